"""Requests with an idempotency key: a repeat is answered from the first one's result and paid once."""

import http.client
import json
import threading

import openai
import pytest

from conftest import assemble, client_of
from gateway import in_background
from test_process import wait_for

DIRECT = "understudy/teacher"


def ask_keyed(client, text, key, **options):
    raw = client.chat.completions.with_raw_response.create(model=DIRECT, messages=[{"role": "user", "content": text}], extra_headers={"Idempotency-Key": key}, **options)
    return raw.headers, raw.parse()


@pytest.fixture(scope="module")
def two(make_gateway):
    """Two reactors: a repeat may come in on the other one."""
    return make_gateway(workers=2, stages='["student", "teacher"]')


def test_a_repeat_gets_the_same_answer_and_costs_nothing(two, teacher, message):
    teacher.on(message, text="once")
    before = two.cli_json("status")["all"]["requests"]
    first_headers, first = ask_keyed(client_of(two), message, message)
    for _ in range(5):  # on new connections
        headers, again = ask_keyed(client_of(two), message, message)
        assert again == first and headers["x-understudy-replayed"] == "1" and "x-understudy-replayed" not in first_headers
        assert headers["x-request-id"] == first_headers["x-request-id"] and headers["x-understudy-served-by"] == "teacher"
    assert len(teacher.calls(message)) == 1
    assert two.cli_json("status")["all"]["requests"] == before + 1
    ask_keyed(client_of(two), message, message + " other key")
    assert len(teacher.calls(message)) == 2


def test_a_stream_is_replayed_as_a_stream(two, teacher, message):
    teacher.on(message, text="one two three")
    options = {"stream": True, "stream_options": {"include_usage": True}}
    first = assemble(list(ask_keyed(client_of(two), message, message, **options)[1]))
    headers, chunks = ask_keyed(client_of(two), message, message, **options)
    assert assemble(list(chunks)) == first and first["text"] == "one two three"
    assert headers["content-type"].startswith("text/event-stream") and headers["x-understudy-replayed"] == "1"
    assert len(teacher.calls(message)) == 1


def test_the_same_key_with_another_body_is_a_conflict_and_is_not_retried(two, teacher, message):
    ask_keyed(client_of(two), message, message)
    with pytest.raises(openai.ConflictError) as info:
        ask_keyed(client_of(two, max_retries=3), message + " changed", message)
    assert info.value.response.headers["x-should-retry"] == "false" and message in info.value.message
    assert not teacher.calls(message + " changed")


def test_a_key_that_is_none_is_refused(two, message):
    for key in ["x" * 256, ""]:
        with pytest.raises(openai.BadRequestError, match="idempotency-key"):
            ask_keyed(client_of(two), message, key)


def test_errors_are_not_kept(two, teacher, message):
    teacher.on(message, text="second try", first_status=400)
    with pytest.raises(openai.BadRequestError):
        ask_keyed(client_of(two), message, message)
    assert ask_keyed(client_of(two), message, message)[1].choices[0].message.content == "second try"
    assert len(teacher.calls(message)) == 2


def test_repeats_of_a_running_request_wait_for_it(two, teacher, message):
    gate = threading.Event()
    teacher.on(message, text="waited for", gate=gate)
    waiting = [in_background(lambda: ask_keyed(client_of(two), message, message)) for _ in range(6)]
    assert wait_for(lambda: teacher.calls(message))
    with pytest.raises(openai.ConflictError):
        ask_keyed(client_of(two), message + " changed", message)
    gate.set()
    answers = [wait() for wait in waiting]
    assert {answer.choices[0].message.content for _, answer in answers} == {"waited for"}
    assert sum(1 for headers, _ in answers if "x-understudy-replayed" in headers) == 5
    assert len(teacher.calls(message)) == 1


def test_the_sdks_own_retry_after_a_timeout_gets_the_first_calls_answer(two, teacher, message):
    """The client gives up before the upstream answers; its retry, under the same key, waits for that answer."""
    gate = threading.Event()
    teacher.on(message, text="late", gate=gate)
    client = client_of(two, timeout=1.0, max_retries=8)
    answer = in_background(lambda: ask_keyed(client, message, message))
    assert wait_for(lambda: teacher.calls(message))
    threading.Timer(2.5, gate.set).start()
    headers, completion = answer()
    assert completion.choices[0].message.content == "late" and headers["x-understudy-replayed"] == "1"
    assert len(teacher.calls(message)) == 1, "the call went on without its client, and was paid once"


def test_a_client_that_leaves_a_stream_can_come_back_for_all_of_it(two, teacher, message):
    teacher.on(message, text=" ".join(f"w{i}" for i in range(30)), chunk_delay_s=0.02)
    body = json.dumps({"model": DIRECT, "messages": [{"role": "user", "content": message}], "stream": True})
    connection = http.client.HTTPConnection("127.0.0.1", two.port, timeout=20)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Idempotency-Key": message})
    assert connection.getresponse().read(20)
    connection.close()
    status, headers, text = two.raw("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Idempotency-Key": message})
    assert status == 200 and headers["x-understudy-replayed"] == "1"
    assert text.endswith(b"data: [DONE]\n\n") and b"w29" in text
    assert len(teacher.calls(message)) == 1


def test_keys_of_two_callers_are_two_keys(make_gateway, teacher, message):
    import hashlib
    keys = "".join(f'[[keys]]\nname = "{n}"\nhash = "{hashlib.sha256(n.encode()).hexdigest()}"\n' for n in ("anna", "bert"))
    gateway = make_gateway(more=keys, stages='["student", "teacher"]')
    ask_keyed(client_of(gateway, api_key="anna"), message, "the-same")
    ask_keyed(client_of(gateway, api_key="bert"), message + " other", "the-same")
    assert len(teacher.calls(message)) == 1 and len(teacher.calls(message + " other")) == 1


def test_a_stop_does_not_wait_for_a_keyed_call_whose_client_left(make_gateway, teacher, message):
    gateway = make_gateway(more="", cascade_extra="", stages='["student", "teacher"]')
    with open(gateway.config_path) as f:
        text = f.read()
    with open(gateway.config_path, "w") as f:
        f.write(text.replace("[server]", '[server]\ndrain = "200ms"'))
    assert gateway.stop() == 0
    gateway.start()
    gate = threading.Event()
    teacher.on(message, gate=gate)
    body = json.dumps({"model": DIRECT, "messages": [{"role": "user", "content": message}]})
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "Idempotency-Key": message})
    assert wait_for(lambda: teacher.calls(message))
    connection.close()
    assert gateway.stop(seconds=15) == 0, "it ends, although the upstream never answers"
    gate.set()
    gateway.start()
