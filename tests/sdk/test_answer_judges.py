"""Judges of answers as applications meet them: POST /v1/score with a prompt and responses, or with two of them."""

import json
import signal
import subprocess
import time

import pytest

from gateway import PROGRAM
from test_rerank import THINGS, post, predict, train

PROMPT = "Say something of the lantern, harbour, violin, glacier and compass, number"


def response(good):
    return "".join(f"The {thing} is useful. " if i < good else "Nothing here is useful. " for i, thing in enumerate(THINGS))


def score_rows(count=180):
    return [{"id": str(i), "prompt": f"{PROMPT} {i // 2}.", "response": response(i % 6), "teacher_score": i % 6 + 1} for i in range(count)]


def preference_rows(count=180):
    rows = []
    for i in range(count):
        a, b = i % 6, i // 6 % 6
        rows.append({"id": str(i), "prompt": f"{PROMPT} {i // 2}.", "a": response(a), "b": response(b), "gold": 0 if a == b else 1 if a > b else 2})
    return rows


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("judges")
    train("judge", folder / "grader", score_rows())
    train("judge", folder / "better", preference_rows())
    return folder


@pytest.fixture(scope="module")
def serving(make_gateway, places):
    return make_gateway(more=f'[specialists]\ndirectory = "{places}"\n')


def test_scores_and_choices_are_those_of_predict(serving, places):
    rows = [{key: row[key] for key in ("id", "prompt", "response")} for row in score_rows(40)]
    said = predict(places / "grader", rows)
    status, headers, scored = post(serving, "/v1/score", {"model": "grader", "prompt": [row["prompt"] for row in rows], "response": [row["response"] for row in rows]})
    assert status == 200 and headers["x-understudy-served-by"] == "specialist:grader"
    keys = ("score", "rating", "probability", "raw")
    assert [[one[key] for key in keys] for one in scored["data"]] == [[one[key] for key in keys] for one in said]
    assert scored["scale"] == {"lowest": 1, "highest": 6, "step": 1} and scored["calibration"]["rows"] == 180
    best = post(serving, "/v1/score", {"prompt": f"{PROMPT} 900.", "response": [response(1), response(5), ""]})[2]["data"]
    assert max(best, key=lambda one: one["raw"])["index"] == 1

    rows = [{key: row[key] for key in ("id", "prompt", "a", "b")} for row in preference_rows(40)]
    said = predict(places / "better", rows)
    _, _, compared = post(serving, "/score", {"model": "better", **{key: [row[key] for row in rows] for key in ("prompt", "a", "b")}})
    assert [(one["choice"], one["probability"]) for one in compared["data"]] == [(one["choice"], one["probability"]) for one in said]
    assert {one["choice"] for one in compared["data"]} == {0, 1, 2}


def test_wrong_inputs_are_told_which_fields_are_read(serving):
    for body, status, param, words in (
        ({"model": "grader", "text_1": "p", "text_2": "r"}, 400, "text_1", "reads 'prompt' and 'response'"),
        ({"model": "better", "prompt": "p", "response": "r"}, 400, "response", "reads 'prompt', 'a' and 'b'"),
        ({"model": "grader", "prompt": "p", "a": "x", "b": "y"}, 400, "a", "reads 'prompt' and 'response'"),
        ({"model": "grader", "prompt": "", "response": "r"}, 400, "prompt", "empty text"),
        ({"model": "grader", "prompt": "p"}, 400, "response", "missing"),
        ({"model": "graders", "prompt": "p", "response": "r"}, 404, "model", 'did you mean "grader"'),
        ({"text_1": "a", "text_2": "b"}, 400, "model", "kind judge or rerank"),
    ):
        got, _, answer = post(serving, "/v1/score", body)
        assert (got, answer["error"]["param"]) == (status, param) and words in answer["error"]["message"], answer


def test_a_new_version_is_served_after_a_reload(make_gateway, tmp_path):
    train("judge", tmp_path / "judge", score_rows())
    gateway = make_gateway(more=f'[specialists]\ndirectory = "{tmp_path}"\n')
    body = {"model": "judge", "prompt": f"{PROMPT} 1.", "response": response(3)}
    first = post(gateway, "/v1/score", body)[2]
    train("judge", tmp_path / "next", score_rows(120))
    (tmp_path / "judge").rename(tmp_path.parent / f"{tmp_path.name}-old")
    (tmp_path / "next").rename(tmp_path / "judge")
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while True:
        status, _, answer = post(gateway, "/v1/score", body)
        assert status == 200, answer
        if answer["calibration"]["id"] != first["calibration"]["id"]:
            break
        assert time.monotonic() < deadline, gateway.log_tail()
        time.sleep(0.05)
    said = predict(tmp_path / "judge", [{"id": "1", "prompt": body["prompt"], "response": body["response"]}])[0]
    assert answer["data"][0]["score"] == said["score"]


def test_list_and_show_know_them(serving, places):
    listed = subprocess.run([PROGRAM, "specialists", "list", "--directory", str(places), "--json"], capture_output=True, text=True, timeout=60)
    assert {one["name"]: (one["kind"], one["task"]) for one in json.loads(listed.stdout)["specialists"]} == {"grader": ("judge", "score"), "better": ("judge", "preference")}
    shown = subprocess.run([PROGRAM, "specialists", "show", "better", "--directory", str(places)], capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0 and "judge (preference)" in shown.stdout, shown
    assert {"grader", "better"} <= {model["id"] for model in json.loads(serving.raw("GET", "/v1/models")[2])["data"]}
