"""Streams: no byte of a rejected draft, the same answer as without streaming, honest ends."""

import json
import random
import socket
import threading
import time

import openai
import pytest

from conftest import ask, ask_stream, assemble, assembled_plain, client_of
from gateway import in_background

SECRET = ["zebra", "quartz", "violin", "mango", "tundra"]


def stream_bytes(gateway, message, **more):
    return gateway.post({"model": "support", "messages": [{"role": "user", "content": message}], "stream": True, **more})


def events(body):
    return [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ") and line != "data: [DONE]"]


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}, {"logprobs": True, "top_logprobs": 3}])
def test_no_byte_of_a_rejected_draft_reaches_the_client(uncached, student, teacher, message, options):
    student.on(message, text=" ".join(SECRET), p=0.3, chunk_delay_s=0.01)
    teacher.on(message, text="the right answer", chunk_delay_s=0.01)
    status, headers, body = stream_bytes(uncached, message, **options)
    assert status == 200 and headers["x-understudy-served-by"] == "teacher"
    for word in SECRET:
        assert word.encode() not in body and word not in str(headers)
    assert b"the" in body and body.endswith(b"data: [DONE]\n\n")
    assert student.calls(message)[0]["stream"] is True


def test_the_teachers_stream_is_passed_on_as_it_comes(uncached, student, teacher, message):
    student.on(message, text="draft", p=0.3)
    teacher.on(message, text="a b c d e f g h i j", chunk_delay_s=0.08)
    times = []
    for chunk in client_of(uncached).chat.completions.create(model="support", messages=[{"role": "user", "content": message}], stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            times.append(time.monotonic())
    assert len(times) == 10
    assert times[-1] - times[0] > 0.3, "the tokens came one by one, not all at the end"


def test_a_slow_decision_is_bridged_by_heartbeats(make_gateway, student, teacher, message):
    gateway = make_gateway(heartbeat_s=1, stages='["student", "teacher"]')
    student.on(message, text=" ".join(SECRET), p=0.3, delay_s=2.5)
    teacher.on(message, text="late but right")
    status, headers, body = stream_bytes(gateway, message, stream_options={"include_usage": True})
    assert status == 200
    comments = [line for line in body.decode().splitlines() if line.startswith(":")]
    assert len(comments) >= 2
    assert "x-understudy-served-by" not in headers, "not known when the heartbeat sent the head"
    assert not [word for word in SECRET if word.encode() in body]
    finishing = [e for e in events(body) if e["choices"] and e["choices"][0]["finish_reason"]]
    assert finishing[0]["understudy"]["served_by"] == "teacher" and finishing[0]["understudy"]["escalated"] in (True, 1)
    usage = [e["usage"] for e in events(body) if not e["choices"]][0]
    assert [a["stage"] for a in usage["understudy"]] == ["student", "teacher"]
    assert assemble(ask_stream(client_of(gateway), message))["text"] == "late but right", "the SDK skips heartbeats"


def random_script(rng):
    words = ["caf\u00e9", "\u4f60\u597d", "\U0001f600", "a\"b", "back\\slash", "new\nline", "tab\t", "\u2028", "</script>", "plain", "x" * 50, "{}", "data:", "[DONE]"]
    if rng.random() < 0.35:
        return {"tool_calls": [(f"call_{k}", rng.choice(["lookup", "pay"]), json.dumps({"v": rng.choice(words), "n": rng.random()}, ensure_ascii=rng.random() < 0.5))
                               for k in range(rng.randint(1, 3))]}
    return {"text": " ".join(rng.choice(words) for _ in range(rng.randint(1, 30)))}


@pytest.mark.parametrize("seed", range(20))
def test_assembled_stream_equals_plain_answer(uncached, student, teacher, message, seed):
    rng = random.Random(seed)
    sure = rng.random() < 0.5
    student.on(message, p=0.99 if sure else 0.3, **random_script(rng))
    teacher.on(message, **random_script(rng))
    client = client_of(uncached)
    headers, plain = ask(client, message)
    chunks = ask_stream(client, message, stream_options={"include_usage": True})
    a, b = assembled_plain(plain), assemble(chunks)
    assert (a["text"], a["calls"], a["reason"]) == (b["text"], b["calls"], b["reason"]), f"seed {seed}, served by {headers['x-understudy-served-by']}"
    for field in ("prompt_tokens", "completion_tokens", "total_tokens"):
        assert getattr(a["usage"], field) == getattr(b["usage"], field)
    assert [(x["stage"], x["cost_usd"]) for x in a["usage"].model_extra["understudy"]] == [(x["stage"], x["cost_usd"]) for x in b["usage"].model_extra["understudy"]]


def test_a_teachers_stream_that_breaks_off_ends_with_an_error_event(uncached, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, text="one two three four five six", cut_after=3)
    status, _, body = stream_bytes(uncached, message)
    assert status == 200 and b"[DONE]" not in body
    last = events(body)[-1]
    assert last["error"]["message"] and last["error"]["type"]
    with pytest.raises(openai.APIError):
        ask_stream(client_of(uncached), message)


def test_a_students_stream_that_breaks_off_is_the_teachers_case(uncached, student, teacher, message):
    student.on(message, text=" ".join(SECRET), cut_after=3)
    teacher.on(message, text="whole answer")
    status, headers, body = stream_bytes(uncached, message)
    assert status == 200 and headers["x-understudy-served-by"] == "teacher" and headers["x-understudy-reason"] == "student_error"
    assert not [word for word in SECRET if word.encode() in body] and b"[DONE]" in body


def ask_and_leave(gateway, imposter, message, request_id="left"):
    """Asks for a stream and hangs up once `imposter` has been asked for a while."""
    body = json.dumps({"model": "support", "messages": [{"role": "user", "content": message}], "stream": True}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-request-id: {request_id}\r\nContent-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", gateway.port)) as s:
        s.sendall(head.encode() + body)
        deadline = time.monotonic() + 10
        while not imposter.calls(message) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.2)


@pytest.mark.parametrize("who", ["student", "teacher"])
def test_a_client_that_leaves_cancels_the_upstream_call(uncached, student, teacher, message, who):
    imposter = student if who == "student" else teacher
    student.on(message, text="w " * 200, p=0.3, chunk_delay_s=0.02 if who == "student" else 0)
    teacher.on(message, text="w " * 200, chunk_delay_s=0.02)
    before = imposter.cancelled
    ask_and_leave(uncached, imposter, message)
    deadline = time.monotonic() + 3
    while imposter.cancelled == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert imposter.cancelled == before + 1, "the upstream call went on for nobody"


def test_a_client_that_leaves_while_the_draft_is_held_is_no_case_for_the_teacher(make_gateway, student, teacher, message):
    gateway = make_gateway(stages='["student", "teacher"]')
    student.on(message, text="w " * 200, p=0.3, chunk_delay_s=0.02)
    ask_and_leave(gateway, student, message, request_id="left-early")
    deadline = time.monotonic() + 10
    while gateway.cli_json("status")["all"]["requests"] == 0 and time.monotonic() < deadline:
        time.sleep(0.05)
    explained = gateway.cli_json("explain", "left-early")
    assert explained["status"] == 499 and explained["reason"] == "client_gone" and explained["client_gone"] is True
    assert [a["stage"] for a in explained["attempts"]] == ["student"] and not teacher.calls(message)
    assert explained["escalated"] is False and float(explained["cost_usd"]) > 0
    assert b"understudy_clients_gone_total 1\n" in gateway.raw("GET", "/metrics")[2]


@pytest.fixture(scope="module")
def hedging(make_gateway, student, teacher):
    """A gateway whose students have just been enough for nothing, so that it asks the teacher beside them."""
    gateway = make_gateway(stages='["student", "teacher"]', cascade_extra="hedge_above = 0.5")
    student.on("hedge: learn", p=0.3)
    for _ in range(40):
        gateway.post({"model": "support", "messages": [{"role": "user", "content": "hedge: learn"}]})
    return gateway


@pytest.mark.parametrize("stream", [False, True])
def test_a_hedged_teacher_is_asked_while_the_student_still_thinks_and_nothing_else_changes(hedging, student, teacher, message, stream):
    gate = threading.Event()
    student.on(message, text=" ".join(SECRET), p=0.3, gate=gate)
    teacher.on(message, text="the right answer")
    answer = in_background(lambda: hedging.post({"model": "support", "messages": [{"role": "user", "content": message}], "stream": stream}))
    deadline = time.monotonic() + 10
    while not teacher.calls(message) and time.monotonic() < deadline:
        time.sleep(0.01)
    asked_early = len(teacher.calls(message))
    gate.set()
    status, headers, body = answer()
    assert asked_early == 1 and len(teacher.calls(message)) == 1
    assert status == 200 and headers["x-understudy-served-by"] == "teacher" and headers["x-understudy-reason"] == "below_threshold"
    assert b"right" in body and not [word for word in SECRET if word.encode() in body]


@pytest.mark.parametrize("stream", [False, True])
def test_a_hedged_teacher_that_is_not_needed_is_cancelled_and_charged(hedging, student, teacher, message, stream):
    student.on(message, text="sure enough", p=0.99, delay_s=0.3)
    teacher.on(message, text="w " * 500, chunk_delay_s=0.02, delay_s=0 if stream else 3)
    before = teacher.cancelled
    status, headers, body = hedging.post({"model": "support", "messages": [{"role": "user", "content": message}], "stream": stream}, {"x-request-id": f"hedged-{stream}"})
    assert status == 200 and headers["x-understudy-served-by"] == "student" and b"sure" in body and b"w w" not in body
    explained = hedging.cli_json("explain", f"hedged-{stream}")
    lost = [a for a in explained["attempts"] if a["stage"] == "teacher"]
    assert len(lost) == 1 and not lost[0]["served"] and lost[0]["error"] and float(lost[0]["cost_usd"]) > 0 and lost[0]["usage"]["estimated"]
    assert float(explained["cost_usd"]) == pytest.approx(sum(float(a["cost_usd"]) for a in explained["attempts"]))
    deadline = time.monotonic() + 10
    while stream and teacher.cancelled == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert teacher.cancelled == before + stream, "the stream went on for nobody"


@pytest.fixture(scope="module")
def leaving_early(make_gateway, student, teacher):
    return make_gateway(stages='["student", "teacher"]', cascade_extra="early_reject = true")


def test_a_draft_that_cannot_be_served_is_left_before_its_end(leaving_early, student, teacher, message):
    student.on(message, text=" ".join(SECRET * 20), p=0.3, chunk_delay_s=0.05)
    teacher.on(message, text="the right answer")
    before = student.cancelled
    status, headers, body = leaving_early.post({"model": "support", "messages": [{"role": "user", "content": message}], "stream": True}, {"x-request-id": "early"})
    assert status == 200 and headers["x-understudy-served-by"] == "teacher" and headers["x-understudy-reason"] == "below_threshold"
    assert b"right" in body and not [word for word in SECRET if word.encode() in body]
    deadline = time.monotonic() + 10
    while student.cancelled == before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert student.cancelled == before + 1, "the draft went on for nobody"
    explained = leaving_early.cli_json("explain", "early")
    left = explained["attempts"][0]
    assert left["finish_reason"] == "cut_short" and not left["error"] and left["usage"]["estimated"] and left["answer"] is None
    assert 0 < left["usage"]["output"] < 100, "the unlikely token stands in the middle of a hundred words"
    assert b"understudy_early_rejects_total 1\n" in leaving_early.raw("GET", "/metrics")[2]


def test_what_may_be_served_is_served_whole_where_others_are_left_early(leaving_early, student, teacher, message):
    student.on(message, text="sure enough", p=0.99)
    status, headers, body = leaving_early.post({"model": "support", "messages": [{"role": "user", "content": message}], "stream": True})
    assert status == 200 and headers["x-understudy-served-by"] == "student" and b"enough" in body and not teacher.calls(message)
