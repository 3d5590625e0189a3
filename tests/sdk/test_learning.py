"""Stages that learn, from outside: taught by the teacher's answers, proven, served to the official SDK, kept over kill -9, apart for each tenant, and quiet
when the data directory takes nothing more."""

import json
import os
import signal
import time

import openai
import pytest

from gateway import Gateway
from imposter import Imposter, Script

TASK = {"x-understudy-task": "route"}
INTENTS = {"block": '{"intent": "lost_card"}', "balance": '{"intent": "balance"}', "address": '{"intent": "new_address"}'}
SAYINGS = {"block": "please block my card at once, case {}", "balance": "how much money is left on account {}", "address": "I have moved to house {} in another street"}
_count = iter(range(10**9))


class ByFirstWords(dict):
    """What the teacher answers: it knows the intent of every message."""

    def get(self, message, default=None):
        for kind, saying in SAYINGS.items():
            if message.startswith(saying.split("{")[0]):
                return Script(text=INTENTS[kind])
        return default


@pytest.fixture(scope="module")
def upstreams():
    pair = Imposter("student"), Imposter("teacher")
    pair[1].scripts = ByFirstWords()
    yield pair
    for one in pair:
        one.close()


def make(directory, upstreams, **config):
    student, teacher = upstreams
    return Gateway(directory, student.url, teacher.url, stages='["knn", "specialist", "teacher"]', spot_check=0.05, by_hand="",
                   cascade_extra="alpha = 0.2\ndelta = 0.1\nlesson_budget_usd_per_day = 0", **config)


@pytest.fixture(scope="module")
def live(tmp_path_factory, upstreams):
    gateway = make(tmp_path_factory.mktemp("learning"), upstreams)
    yield gateway
    gateway.stop()


def say(gateway, headers=None):
    number = next(_count)
    kind = list(SAYINGS)[number % 3]
    body = {"model": "support", "messages": [{"role": "user", "content": SAYINGS[kind].format(number)}]}
    status, reply, text = gateway.post(body, {**TASK, **(headers or {})})
    assert status == 200, text
    content = json.loads(text)["choices"][0]["message"]["content"]
    assert content == INTENTS[kind], "an answer that is not the teacher's"
    return reply["x-understudy-served-by"]


def cheap(served_by):
    return served_by in ("knn", "specialist:online")


def send_until_cheap(gateway, most=4000):
    for i in range(most):
        if cheap(say(gateway)):
            return i
        if i % 25 == 24:
            time.sleep(0.2)  # fits are made off the path
    raise AssertionError(f"never: {gateway.cli_json('tasks', 'show', 'route')}")


def test_the_teacher_teaches_and_what_is_proven_serves_the_sdk(live):
    assert say(live) == "teacher"
    send_until_cheap(live)
    task = live.cli_json("tasks", "show", "route")
    assert task["promise"]["status"] == "proven" and task["promise"]["upper_bound"] <= 0.2
    assert set(task["thresholds"]) == {"knn", "specialist"}
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{live.port}/v1", api_key="k", max_retries=0, timeout=30, default_headers=TASK)
    for _ in range(40):
        raw = client.chat.completions.with_raw_response.create(model="support", messages=[{"role": "user", "content": SAYINGS["block"].format(next(_count))}])
        answer = raw.parse()
        assert answer.choices[0].message.content == INTENTS["block"] and answer.choices[0].finish_reason == "stop"
        if cheap(raw.headers["x-understudy-served-by"]):
            break
    else:
        raise AssertionError("the SDK never got a cheap answer")
    assert raw.headers["x-understudy-reason"] == "confident"
    assert float(raw.headers["x-understudy-cost-usd"]) == 0
    explained = live.cli_json("explain", raw.headers["x-request-id"])
    assert explained["served_by"] in ("knn", "specialist")
    pieces = client.chat.completions.create(model="support", stream=True, messages=[{"role": "user", "content": SAYINGS["balance"].format(next(_count))}])
    assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices) == INTENTS["balance"]


def test_what_was_proven_survives_kill_9(live):
    send_until_cheap(live)
    version = live.cli_json("tasks", "show", "route")["promise"]["version"]
    live.process.send_signal(signal.SIGKILL)
    live.process.wait()
    live.start()
    assert any(cheap(say(live)) for _ in range(60))
    assert live.cli_json("tasks", "show", "route")["promise"]["version"] == version
    assert os.listdir(os.path.join(live.data, "learned"))


def test_tenants_learn_apart(live):
    send_until_cheap(live)
    for _ in range(30):
        assert say(live, {"x-understudy-tenant": "acme"}) == "teacher"
    for _ in range(100):
        names = {task["task"] for task in live.cli_json("tasks")["tasks"]}
        if "route@acme" in names:
            break
        time.sleep(0.1)
    assert {"route", "route@acme"} <= names


def test_where_fits_cannot_be_kept_the_teacher_serves(tmp_path, upstreams):
    gateway = make(tmp_path, upstreams)
    try:
        os.makedirs(gateway.data, exist_ok=True)
        open(os.path.join(gateway.data, "learned"), "w").close()  # a file where the folder should be
        # Fits are made beside, and yield to whatever else the machine has to do.
        deadline = time.monotonic() + 120
        asked = 0
        while asked < 500 or ("could not be written" not in gateway.log_tail() and time.monotonic() < deadline):
            assert say(gateway) == "teacher"
            asked += 1
            if asked % 50 == 0:
                time.sleep(0.1)
        assert "could not be written" in gateway.log_tail()
    finally:
        gateway.stop()
