"""`compare = "judge"`: a model says whether two answers say the same; a judge distilled from it may spare that on the rows that fits are made of."""

import json
import re
import subprocess
import time

import pytest

from gateway import PROGRAM, Gateway
from imposter import Imposter, Script, last_user_message
from teaching import write

TASK = {"x-understudy-task": "fees"}


def told(fee):
    return f"The fee is {fee} euro."


def asked_for(fee):
    return f"You pay a fee of {fee} euro."


def pairs(count):
    rows = []
    for i in range(count):
        fee = 3 + i * 7 % 90
        other = fee if i % 4 < 2 else fee + 1 + i % 5
        a, b = (told(fee), asked_for(other)) if i % 2 == 0 else (asked_for(fee), told(other))
        rows.append({"id": str(i), "claim": a, "evidence": b, "label": int(fee == other)})
    return rows


class Student(Imposter):
    """Says the fee in its own words; wrong about every third, and knows it."""

    def script_for(self, body):
        n = int(last_user_message(body).split()[-1])
        hard = n % 3 == 0
        return Script(text=asked_for(n + 1 if hard else n), p=0.4 if hard else 0.97)


class Teacher(Imposter):
    """Tells the fee, and judges: two answers say the same where they name the same number."""

    def __init__(self):
        super().__init__("teacher")
        self.judge_status = 200

    def script_for(self, body):
        message = last_user_message(body)
        if "You compare two answers" not in body["messages"][0]["content"]:
            return Script(text=told(int(message.split()[-1])))
        if self.judge_status != 200:
            return Script(status=self.judge_status)
        numbers = [re.search(r"(\d+) euro", json.loads(line)["content"]).group(1) for line in message.splitlines() if '"assistant"' in line]
        assert len(numbers) == 2, message
        return Script(text="yes" if numbers[0] == numbers[1] else "no", p=0.9)

    def comparisons(self):
        return [body for _, _, body in self.requests if "You compare two answers" in body["messages"][0]["content"]]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    done = subprocess.run([PROGRAM, "train", "judge", "--data", write(folder / "pairs.jsonl", pairs(400)), "--out", str(folder / "all" / "fees-v1"), "--encoder", "off", "--cross-encoder", "off"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return folder / "all"


@pytest.fixture
def upstreams():
    pair = Student("student"), Teacher()
    yield pair
    for one in pair:
        one.close()


def serving(tmp_path, upstreams, task, more="", spot_check=0.02):
    student, teacher = upstreams
    return Gateway(tmp_path, student.url, teacher.url, stages='["student", "teacher"]', by_hand="", spot_check=spot_check, cascade_extra="alpha = 0.2\ndelta = 0.1", more=f"{more}\n[tasks.fees]\n{task}")


def send(gateway, numbers):
    headers = None
    for n in numbers:
        status, headers, body = gateway.post({"model": "app", "messages": [{"role": "user", "content": f"How much is number {n}"}]}, TASK)
        assert status == 200, body
    return headers


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def rows(gateway):
    promise = gateway.cli_json("tasks", "show", "fees")["promise"]
    return promise.get("fit_rows", 0) + promise.get("test_rows", 0)


def test_a_model_judges_and_a_version_is_proven(tmp_path, upstreams):
    gateway = serving(tmp_path, upstreams, 'compare = "judge"')
    try:
        request_id = send(gateway, [1])["x-request-id"]
        until(lambda: rows(gateway) == 1)
        asked = upstreams[1].comparisons()
        assert len(asked) == 2, "both orders"
        first, second = (re.findall(r"(You pay|The fee)", last_user_message(body)) for body in asked)
        assert first == second[::-1]
        assert all(body["model"] == "teacher-v1" and body["max_tokens"] == 1 and body["logprobs"] for body in asked)
        detail = gateway.cli_json("explain", request_id)
        assert [a["rung"] for a in detail["attempts"]].count("student+judge") == 2
        assert [(label["agrees"], label["comparator"]) for label in detail["labels"]] == [(True, "judge")]
        sent = 1
        while gateway.cli_json("tasks", "show", "fees")["promise"]["status"] != "proven":
            assert sent < 600
            send(gateway, range(sent + 1, sent + 26))
            sent += 25
            until(lambda: rows(gateway) >= sent or gateway.cli_json("tasks", "show", "fees")["promise"]["status"] == "proven")
        served = {n: send(gateway, [n])["x-understudy-served-by"] for n in range(1000, 1030)}
        assert all(by == "teacher" for n, by in served.items() if n % 3 == 0), "wrong in other words is wrong"
        assert sum(by == "student" for by in served.values()) >= 15, "right in other words is right"
        assert gateway.cli_json("tasks", "show", "fees")["distilled_judge"] is None
    finally:
        gateway.stop()


def test_a_distilled_judge_spares_the_model_on_fit_rows(tmp_path, upstreams, judge):
    gateway = serving(tmp_path, upstreams, 'compare = "judge"\ndistilled_judge = "fees-v1"\n', f'[specialists]\ndirectory = "{judge}"', spot_check=1)
    try:
        def shown():
            return gateway.cli_json("tasks", "show", "fees")["distilled_judge"] or {"alone": 0, "trusted": False}

        sent = 0
        while shown()["alone"] < 15:
            assert sent < 600, shown()
            send(gateway, range(sent + 1, sent + 16))
            sent += 15
            until(lambda: rows(gateway) >= sent)
        told_of = shown()
        assert told_of["id"].startswith("fees-v1@") and told_of["trusted"] and told_of["both"] >= 50
        assert told_of["same"] >= 0.8 * told_of["both"]
        share = told_of["disagreement"]["student"]
        assert share["low"] <= 1 / 3 <= share["high"] and 0 <= share["lambda"] <= 1 and share["alone"] == told_of["alone"]
        assert len(upstreams[1].comparisons()) < 5 / 3 * sent, "a no costs one call, a yes two, and some rows cost none"
        text = gateway.cli("tasks", "show", "fees")[1]
        assert "distilled judge" in text and "corrected by" in text
        # Labels are the judge's: there are as many requests with labels as rows that do not rest on the distilled one.
        status = gateway.cli_json("tasks", "show", "fees")
        assert status["promise"]["fit_rows"] + status["promise"]["test_rows"] > told_of["alone"]
    finally:
        gateway.stop()


def test_where_the_judge_fails_nothing_is_guessed(tmp_path, upstreams):
    upstreams[1].judge_status = 400
    gateway = serving(tmp_path, upstreams, 'compare = "judge"')
    try:
        send(gateway, range(1, 6))
        skipped = 'understudy_labels_skipped_total'
        until(lambda: re.search(rf"^{skipped}\S* 5$", gateway.raw("GET", "/metrics")[2].decode(), re.M))
        assert rows(gateway) == 0
    finally:
        gateway.stop()


@pytest.mark.parametrize("task,says", [
    ('judge = "teacher"', 'set compare = "judge"'),
    ('compare = "judge"\njudge = "techer"', 'did you mean "teacher"'),
    ('compare = "judge"\ndistilled_judge = "fees-v2"', "names 'fees-v2', which is not there"),
    ('compare = "judge:1.5"', "tasks.fees.compare"),
])
def test_wrong_configurations_say_what_is_wrong(tmp_path, upstreams, judge, task, says):
    with pytest.raises(AssertionError) as error:
        serving(tmp_path, upstreams, task, f'[specialists]\ndirectory = "{judge}"').stop()
    assert says in str(error.value)
