"""Specialists, embeddings and scores as applications meet them: the official SDK, and plain HTTP where it has no method."""

import json
import math
import signal
import subprocess
import time

import openai
import pytest

from conftest import client_of
from gateway import PROGRAM

TEXTS = {"card": "where is my new card", "refund": "i want my money back", "login": "my password does not work"}


def train(folder, prefix=""):
    rows = folder.parent / f"{folder.name}.jsonl"
    rows.write_text("".join(json.dumps({"text": f"{text} please number {i}", "label": prefix + label}) + "\n" for i in range(30) for label, text in TEXTS.items()))
    done = subprocess.run([PROGRAM, "train", "intent", "--data", str(rows), "--out", str(folder)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("specialists")
    train(folder / "intent-v1")
    return folder


@pytest.fixture(scope="module")
def serving(make_gateway, places):
    render = """'{"intent": "{label}"}'"""
    return make_gateway(more=f'[specialists]\ndirectory = "{places}"\n[tasks.intent]\nspecialist = "intent-v1"\nrender = {render}\n')


def post(gateway, path, body):
    status, headers, raw = gateway.raw("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    return status, headers, json.loads(raw)


def chat(gateway, text, **more):
    raw = client_of(gateway).chat.completions.with_raw_response.create(
        model="app-model", messages=[{"role": "user", "content": text}], extra_headers={"x-understudy-task": "intent"}, **more)
    return raw.headers, raw.parse()


def test_classify_and_models(serving):
    status, headers, body = post(serving, "/v1/classify", {"model": "intent-v1", "input": list(TEXTS.values())})
    assert status == 200
    assert body["object"] == "classify" and body["model"] == "intent-v1"
    assert [labels[0]["label"] for labels in body["data"]] == list(TEXTS)
    for labels in body["data"]:
        scores = [entry["score"] for entry in labels]
        assert len(scores) == 3 and scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-4)
    assert body["usage"]["total_tokens"] > 0 and set(body["calibration"]) == {"id", "ece15", "rows"}
    assert headers["x-understudy-served-by"] == "specialist:intent-v1"
    assert "intent-v1" in [model.id for model in client_of(serving).models.list()]


def test_classify_says_what_predict_says(serving, places):
    texts = [*TEXTS.values(), "my plastic has not come in the post", "the thing i sign in with is refused", "quantum chromodynamics"]
    rows = "".join(json.dumps({"id": str(i), "text": text}) + "\n" for i, text in enumerate(texts))
    done = subprocess.run([PROGRAM, "predict", str(places / "intent-v1")], input=rows, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    _, _, body = post(serving, "/v1/classify", {"model": "intent-v1", "input": texts})
    for line, labels, in_scope in zip(done.stdout.splitlines(), body["data"], body["in_scope"]):
        said = json.loads(line)
        assert said["label"] == labels[0]["label"] and said["probability"] == pytest.approx(labels[0]["score"], abs=1e-3)
        assert said["in_scope"] == pytest.approx(in_scope, abs=1e-2)


def test_a_task_is_answered_by_its_specialist_plain_and_streamed(serving):
    headers, answer = chat(serving, TEXTS["refund"])
    assert headers["x-understudy-served-by"] == "specialist:intent-v1"
    assert headers["x-understudy-model"] == "intent-v1" and headers["x-understudy-cost-usd"].strip("0.") == ""
    assert float(headers["x-understudy-confidence"]) >= float(headers["x-understudy-threshold"]) == 0.8
    assert json.loads(answer.choices[0].message.content) == {"intent": "refund"}
    assert answer.choices[0].finish_reason == "stop" and answer.model == "app-model" and answer.usage.total_tokens > 0
    stream = client_of(serving).chat.completions.create(model="app-model", messages=[{"role": "user", "content": TEXTS["refund"]}], stream=True,
                                                        extra_headers={"x-understudy-task": "intent"})
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == answer.choices[0].message.content
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-1].choices[0].finish_reason == "stop"


def test_below_its_confidence_the_student_is_asked(serving, student):
    text = "quantum chromodynamics of gluons"
    student.on(text, text="draft", p=0.99)
    headers, answer = chat(serving, text)
    assert headers["x-understudy-served-by"] == "student" and answer.choices[0].message.content == "draft"


def test_another_version_is_loaded_beside_the_first_while_requests_run(make_gateway, tmp_path):
    train(tmp_path / "intent-v1")
    gateway = make_gateway(more=f'[specialists]\ndirectory = "{tmp_path}"\n')
    train(tmp_path / "intent-v2", "second_")
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while post(gateway, "/v1/classify", {"model": "intent-v2", "input": "x"})[0] != 200:
        assert post(gateway, "/v1/classify", {"model": "intent-v1", "input": "x"})[0] == 200
        assert time.monotonic() < deadline, gateway.log_tail()
    assert post(gateway, "/v1/classify", {"model": "intent-v2", "input": TEXTS["card"]})[2]["data"][0][0]["label"] == "second_card"
    # One that is broken is refused, and all that there was goes on.
    (tmp_path / "intent-v2" / "specialist.json").write_text("{}")
    gateway.process.send_signal(signal.SIGHUP)
    while "reload refused" not in gateway.log_tail():
        assert time.monotonic() < deadline, gateway.log_tail()
        time.sleep(0.02)
    assert post(gateway, "/v1/classify", {"model": "intent-v2", "input": "x"})[0] == 200


def test_embeddings_of_an_upstream_by_the_official_sdk(serving, teacher):
    teacher.embedding = [0.25, -0.5]
    client = client_of(serving)
    answer = client.embeddings.create(model="text-embedding-any", input=["a", "b"], dimensions=2)
    assert [vector.embedding for vector in answer.data] == [[0.25, -0.5]] * 2
    path, headers, body = [request for request in teacher.requests if request[0].endswith("/embeddings")][-1]
    assert path == "/v1/embeddings" and body["model"] == "text-embedding-any" and body["dimensions"] == 2
    client.embeddings.create(model="teacher", input="a")
    assert teacher.requests[-1][2]["model"] == "teacher-v1"


def test_embeddings_of_our_own_encoder_by_the_official_sdk(make_gateway):
    probe = subprocess.run([PROGRAM, "doctor", "--json", "--student", "http://127.0.0.1:9/v1#a", "--teacher", "http://127.0.0.1:9/v1#b"], capture_output=True, text=True, timeout=120)
    encoder = next(check for check in json.loads(probe.stdout)["checks"] if check["check"] == "encoder")
    if not encoder["ok"]:
        pytest.skip(f"no sentence encoder here: {encoder['note']}")
    client = client_of(make_gateway(heartbeat_s='5\nencoder = "on"'))
    texts = ["Where is my card?", "My card has not arrived.", "What is the exchange rate?"]
    floats = client.embeddings.create(model="understudy/encoder", input=texts, encoding_format="float")
    packed = client.embeddings.create(model="understudy/encoder", input=texts)
    for one, other in zip(floats.data, packed.data):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-5)
        assert math.fsum(x * x for x in one.embedding) == pytest.approx(1, abs=1e-3)
    dot = lambda a, b: math.fsum(x * y for x, y in zip(floats.data[a].embedding, floats.data[b].embedding))
    assert dot(0, 1) > dot(0, 2) + 0.1
    assert floats.usage.prompt_tokens > 15
    with pytest.raises(openai.BadRequestError, match="dimensions"):
        client.embeddings.create(model="understudy/encoder", input="a", dimensions=64)


def test_what_is_not_there_is_said(serving, make_gateway):
    for path, body, words in (("/v1/classify", {"model": "intent-v9", "input": "a"}, 'did you mean "intent-v1"'),
                              ("/v1/score", {"model": "intent-v1", "text_1": "a", "text_2": "b"}, "kind judge or rerank")):
        status, _, answer = post(serving, path, body)
        assert 400 <= status < 500 and words in answer["error"]["message"], answer
    with pytest.raises(openai.NotFoundError, match='encoder = "on"'):
        client_of(make_gateway(heartbeat_s='5\nencoder = "off"')).embeddings.create(model="understudy/encoder", input="a")
