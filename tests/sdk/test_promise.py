"""The promise from outside: warm-up, proof, what `tasks` and `explain` tell, pins, restarts, drift. Alpha is large so that few labels do."""

import json
import os
import signal
import subprocess
import time

import pytest

from gateway import PROGRAM, Gateway
from imposter import Imposter, Script

TASK = {"x-understudy-task": "ticket"}
PROMISE = "alpha = 0.2\ndelta = 0.1"
_count = iter(range(10**9))


@pytest.fixture(scope="module")
def upstreams():
    pair = Imposter("student"), Imposter("teacher")
    for one in pair:
        one.default = Script(text="same answer", p=0.99)
    yield pair
    for one in pair:
        one.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory, upstreams):
    student, teacher = upstreams
    gateway = Gateway(tmp_path_factory.mktemp("promise"), student.url, teacher.url, stages='["student", "teacher"]', spot_check=0.3,
                      by_hand="", cascade_extra=PROMISE)
    yield gateway
    gateway.stop()


def say(gateway):
    """Headers of one request that nobody has sent before."""
    message = {"role": "user", "content": f"promise question {next(_count)}"}
    status, headers, body = gateway.post({"model": "support", "messages": [message]}, TASK)
    assert status == 200, body
    return headers


def show(gateway, task="ticket"):
    return gateway.cli_json("tasks", "show", task)


def until(what, seconds=60):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError("it did not happen in time")


def send_until(gateway, what, most=3000, every=25):
    for i in range(most):
        say(gateway)
        if i % every == every - 1:
            time.sleep(0.3)  # labels are made off the path
            found = what()
            if found:
                return found
    raise AssertionError(f"not after {most} requests: {show(gateway)}")


@pytest.fixture
def proven(live):
    """The gateway with a version in force: each test stands alone, and the proof is made once."""
    def is_proven():
        status, text, _ = live.cli("tasks", "show", "ticket", "--json")   # no such task before its first request
        return status == 0 and json.loads(text)["promise"]["status"] == "proven"
    if not is_proven():
        send_until(live, is_proven)
    return live


def by_url(gateway, *arguments):
    done = subprocess.run([PROGRAM, *arguments, "--url", f"http://127.0.0.1:{gateway.port}"], capture_output=True, text=True, timeout=60,
                          env=gateway.environment)
    return done.returncode, done.stdout, done.stderr


def test_until_proven_the_teacher_serves_and_what_is_missing_is_told(live):
    headers = say(live)
    assert headers["x-understudy-served-by"] == "teacher"
    assert headers["x-understudy-reason"] == "no_calibration"
    task = until(lambda: (lambda t: t if t["promise"]["status"] == "warming" and t["promise"].get("fit_rows", 0) + t["promise"].get("test_rows", 0) else None)(show(live)))
    assert task["promise"]["alpha"] == 0.2 and task["promise"]["delta"] == 0.1
    assert task["thresholds"] == {"student": "never"}
    assert task["coin"] == 1
    assert 5 < task["labels_needed"] < 300 and task["labels_guessed"]
    status, text, _ = live.cli("tasks", "show", "ticket")
    assert status == 0 and "until the first cheap answer" in text and "Why the bill is what it is" in text
    status, text, _ = live.cli("tasks")
    assert status == 0 and "ticket" in text and "warming" in text


def test_a_proven_version_serves_and_is_shown(proven):
    headers = until(lambda: (lambda h: h if h["x-understudy-served-by"] == "student" else None)(say(proven)))
    assert headers["x-understudy-reason"] == "confident"
    task = show(proven)
    promise = task["promise"]
    assert promise["upper_bound"] <= 0.2 and promise["rows"] >= 10 and promise["bad"] == 0
    assert promise["age_s"] >= 0 and promise["version"]
    assert isinstance(task["thresholds"]["student"], float)
    assert task["labels_needed"] == 0
    assert task["served"]["teacher"] > 0
    assert float(task["cost_usd"]) > 0 and float(task["teacher_only_usd"]) > 0
    explained = until(lambda: (lambda e: e if e["finished"] else None)(proven.cli_json("explain", headers["x-request-id"])))
    assert explained["promise"]["version"] == explained["promise_version"] == promise["version"]
    assert explained["promise"]["upper_bound"] == promise["upper_bound"]
    assert explained["promise"]["thresholds"] == task["thresholds"]


def test_a_labelled_request_tells_what_its_row_is_for(proven):
    def labelled():
        explained = proven.cli_json("explain", say(proven)["x-request-id"])
        if not explained["coin"]["heads"]:
            return None
        time.sleep(1)
        return proven.cli_json("explain", explained["request_id"])
    explained = until(labelled)
    assert explained["row"]["use"] in ("fit", "test")  # the second coin, on its own after the warm-up, says which
    assert 0 < explained["row"]["propensity"] <= 1
    assert explained["row"]["rungs"][0]["rung"] == "student" and explained["row"]["rungs"][0]["agrees"] is True
    assert "used in epoch 1" in explained["row"]["fate"]


def test_the_address_answers_as_the_directory_does(proven):
    for command in (["tasks"], ["tasks", "show", "ticket"], ["status"], ["requests", "--limit", "3"], ["requests", "--task", "ticket"]):
        status, out, err = by_url(proven, *command, "--json")
        assert status == 0, err
        directory = proven.cli_json(*command)
        address = json.loads(out)
        assert address["schema"] == directory["schema"] and set(address) == set(directory), command
    assert json.loads(by_url(proven, "tasks", "show", "ticket", "--json")[1])["promise"]["version"] == show(proven)["promise"]["version"]
    status, text, _ = by_url(proven, "tasks", "show", "ticket")
    assert status == 0 and "What would lower it" in text
    for asked in (by_url(proven, "tasks", "show", "tickt"), proven.cli("tasks", "show", "tickt")):
        assert asked[0] == 2 and 'did you mean "ticket"?' in asked[2], asked
    page_status, headers, page = proven.raw("GET", "/")
    assert page_status == 200 and b"ticket" in page and b"proven" in page and b"<script" not in page
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'sha256-")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_version_outlives_the_process(proven, how):
    version = show(proven)["promise"]["version"]
    proven.stop(how)
    assert show(proven)["promise"]["version"] == version, "told without a gateway, too"
    proven.start()
    assert say(proven)["x-understudy-served-by"] == "student", "from the first request on"
    assert show(proven)["promise"]["version"] == version


def test_a_pin_acts_at_once_and_stays(proven):
    assert proven.cli("tasks", "pin", "ticket", "teacher")[0] == 0
    until(lambda: say(proven)["x-understudy-reason"] == "pinned", 10)
    assert show(proven)["pinned"] is True
    proven.stop()
    proven.start()
    assert say(proven)["x-understudy-reason"] == "pinned"
    assert by_url(proven, "tasks", "pin", "ticket", "auto")[0] == 0
    assert say(proven)["x-understudy-served-by"] == "student"
    assert by_url(proven, "tasks", "pin", "ticket", "teacher")[0] == 0
    assert say(proven)["x-understudy-reason"] == "pinned", "at once"
    assert proven.cli("tasks", "pin", "ticket", "auto")[0] == 0
    until(lambda: say(proven)["x-understudy-served-by"] == "student", 10)
    status, _, error = proven.cli("tasks", "pin", "tikcet", "teacher")
    assert status == 2 and 'did you mean "ticket"?' in error


def test_reload_over_http_says_what_came_of_it(proven):
    status, _, body = proven.raw("POST", "/admin/api/reload")
    assert status == 200 and json.loads(body)["schema"] == "understudy.reload/1", body
    with open(proven.config_path) as f:
        good = f.read()
    with open(proven.config_path, "w") as f:
        f.write(good + "\nnonsense = 1\n")
    status, _, body = proven.raw("POST", "/admin/api/reload")
    with open(proven.config_path, "w") as f:
        f.write(good)
    assert status >= 400 and b"nonsense" in body and b"stays in force" in body, body
    assert say(proven)["x-understudy-served-by"] == "student"


def test_drift_raises_an_alarm_and_the_teacher_serves(proven, upstreams):
    student, _ = upstreams
    student.default = Script(text="something else", p=0.99)
    send_until(proven, lambda: show(proven)["promise"]["status"] != "proven", most=1500)
    assert say(proven)["x-understudy-served-by"] == "teacher"
    task = show(proven)
    assert task["promise"]["epoch"] == 2 and task["promise"]["version"] is None
    assert task["alarms"][0]["name"] == "promise" and task["alarms"][0]["subject"] == "default/ticket"
    _, _, body = proven.raw("GET", "/admin/api/alarms?limit=1")
    assert json.loads(body)["alarms"][0]["name"] == "promise"
    until(lambda: 'understudy_alarms_total{name="promise"} 1' in proven.raw("GET", "/metrics")[2].decode(), 10)
    assert 'understudy_promise_state{cascade="default",task="ticket",state="warming"} 1' in proven.raw("GET", "/metrics")[2].decode()
    assert "ALARM promise" in proven.log_tail()


def test_doctor_foresees_the_labels_of_a_fresh_configuration(tmp_path, live):
    done = subprocess.run([PROGRAM, "doctor", "--config", live.config_path, "--data", os.path.join(tmp_path, "fresh"), "--json"], capture_output=True, text=True, timeout=60,
                          env=live.environment)
    report = json.loads(done.stdout)
    assert report["tasks"][0]["labels_guessed"] is True and 5 < report["tasks"][0]["labels_needed"] < 300, report["tasks"]
    at_work = subprocess.run([PROGRAM, "doctor", "--config", live.config_path, "--url", f"http://127.0.0.1:{live.port}"], capture_output=True, text=True, timeout=60,
                             env=live.environment)
    assert at_work.returncode == 0 and "task ticket: " in at_work.stdout, at_work.stdout + at_work.stderr
