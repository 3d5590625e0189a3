"""What goes wrong: requests we refuse, upstreams that fail."""

import hashlib
import json

import openai
import pytest

from conftest import ask, client_of


def error_of(body):
    error = json.loads(body)["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert isinstance(error["message"], str) and error["message"] and isinstance(error["type"], str)
    return error


def chat(message, **more):
    return {"model": "support", "messages": [{"role": "user", "content": message}], **more}


@pytest.mark.parametrize("body", [b'{"model": "support", "messages": [', b"", b"not json", b"[]", b'"text"', b'{"model": "support"}\x00',
                                  b'{"model": "x", "messages": [{"role": "user", "content": "\xff\xfe"}]}'])
def test_broken_json_is_a_clear_400(gateway, body):
    status, headers, reply = gateway.post(body)
    assert status == 400, reply
    assert error_of(reply)["type"] == "invalid_request_error"
    assert headers["x-should-retry"] == "false"


@pytest.mark.parametrize("field, body", [
    ("messages", {"model": "support"}),
    ("messages", {"model": "support", "messages": "hello"}),
    ("messages", {"model": "support", "messages": []}),
    ("messages", {"model": "support", "messages": [7]}),
    ("model", {"model": 7, "messages": [{"role": "user", "content": "x"}]}),
    ("stream", {"model": "support", "messages": [{"role": "user", "content": "x"}], "stream": "yes"}),
    ("n", {"model": "support", "messages": [{"role": "user", "content": "x"}], "n": "two"}),
    ("logprobs", {"model": "support", "messages": [{"role": "user", "content": "x"}], "logprobs": 3}),
])
def test_wrong_types_name_the_field(gateway, field, body):
    status, _, reply = gateway.post(body)
    assert status == 400, reply
    error = error_of(reply)
    assert field in (error["param"] or "") or field in error["message"]


def test_the_sdk_raises_its_own_exceptions(client):
    with pytest.raises(openai.BadRequestError) as info:
        client.chat.completions.create(model="support", messages="not a list")
    assert info.value.type == "invalid_request_error" and info.value.status_code == 400


def test_unknown_model_where_it_is_an_error(make_gateway, message):
    client = client_of(make_gateway(unknown_model="error"))
    assert ask(client, message, model="understudy/auto")[1].choices[0].message.content
    with pytest.raises(openai.NotFoundError) as info:
        ask(client, message, model="gpt-nonsense")
    assert "gpt-nonsense" in str(info.value) and info.value.code == "model_not_found"


def test_unknown_model_to_the_teacher(make_gateway, teacher, message):
    client = client_of(make_gateway(unknown_model="teacher"))
    teacher.on(message, text="as before")
    headers, answer = ask(client, message, model="gpt-anything")
    assert answer.choices[0].message.content == "as before" and answer.model == "gpt-anything"
    assert headers["x-understudy-served-by"] == "teacher"


def test_keys(make_gateway, message):
    key = "us-test-key-" + "0" * 32
    gateway = make_gateway(more=f'[[keys]]\nname = "bot"\nhash = "{hashlib.sha256(key.encode()).hexdigest()}"\n')
    assert ask(client_of(gateway, api_key=key), message)[1].choices[0].message.content
    with pytest.raises(openai.AuthenticationError) as info:
        ask(client_of(gateway, api_key="wrong-key"), message)
    assert "wrong-key" not in str(info.value)
    status, _, body = gateway.post(chat(message), {"x-api-key": key})
    assert status == 200, body
    status, _, body = gateway.post(chat(message))
    assert status == 401 and error_of(body)
    assert gateway.raw("GET", "/health")[0] == 200, "probes carry no key"


def test_unknown_routes_and_methods(gateway):
    status, _, body = gateway.raw("GET", "/v1/no/such/route")
    assert status == 404 and error_of(body)
    status, headers, body = gateway.raw("GET", "/v1/chat/completions")
    assert status == 405 and error_of(body)
    assert "POST" in headers.get("allow", "")


def test_a_body_over_the_limit_is_413(make_gateway):
    gateway = make_gateway(more="[limits]\nmax_body_bytes = 20000\n")
    status, _, body = gateway.post(chat("x" * 30000))
    assert status == 413 and "20000" in error_of(body)["message"]


@pytest.mark.parametrize("status", [429, 500, 401, 503])
def test_a_failing_student_is_the_teachers_case(client, student, teacher, message, status):
    student.on(message, status=status)
    teacher.on(message, text="I can")
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "I can"
    assert headers["x-understudy-reason"] == "student_error" and headers["x-understudy-escalated"] == "1"
    assert len(student.calls(message)) == 1, "a student is not retried: the teacher is quicker"


def test_a_garbage_answer_of_the_student_is_the_teachers_case(client, student, teacher, message):
    student.on(message, body=b"<html>busy</html>")
    teacher.on(message, text="sound")
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "sound" and headers["x-understudy-reason"] == "student_error"
    student.on(message + " cut", text="half an answer", cut_after=40)
    teacher.on(message + " cut", text="sound too")
    assert ask(client, message + " cut")[1].choices[0].message.content == "sound too"


def test_the_teachers_429_reaches_the_client(client, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, status=429, headers={"retry-after": "1"})
    with pytest.raises(openai.RateLimitError) as info:
        ask(client, message)
    assert "teacher" in str(info.value)
    assert "retry-after" in info.value.response.headers or "retry-after-ms" in info.value.response.headers


def test_exhausted_quota_is_not_retried(client, student, teacher, message):
    student.on(message, p=0.3)
    quota = {"error": {"message": "You exceeded your current quota", "type": "insufficient_quota", "param": None, "code": "insufficient_quota"}}
    teacher.on(message, status=429, body=json.dumps(quota).encode())
    with pytest.raises(openai.RateLimitError) as info:
        ask(client, message)
    assert "quota" in str(info.value) and info.value.code == "insufficient_quota"
    assert len(teacher.calls(message)) == 1


def test_the_teachers_500_is_a_server_error_that_names_it(client, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, status=500)
    with pytest.raises(openai.InternalServerError) as info:
        ask(client, message)
    assert info.value.status_code in (500, 502, 503) and "teacher" in str(info.value)


def test_one_failure_of_the_teacher_is_retried(client, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, text="second try", first_status=503)
    assert ask(client, message)[1].choices[0].message.content == "second try"
    assert len(teacher.calls(message)) == 2


def test_the_teachers_401_is_our_configuration_not_the_clients_key(client, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, status=401)
    with pytest.raises(openai.APIStatusError) as info:
        ask(client, message)
    assert info.value.status_code >= 500 and "key" in str(info.value) and "teacher" in str(info.value)


def test_the_teachers_400_keeps_its_text(client, student, teacher, message):
    student.on(message, p=0.3)
    error = {"error": {"message": "context length exceeded", "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}}
    teacher.on(message, status=400, body=json.dumps(error).encode())
    with pytest.raises(openai.BadRequestError) as info:
        ask(client, message)
    assert info.value.code == "context_length_exceeded" and info.value.param == "messages"


def test_an_upstream_that_is_not_there(tmp_path_factory, student, message):
    from gateway import Gateway, free_port
    gateway = Gateway(tmp_path_factory.mktemp("gone"), student.url, f"http://127.0.0.1:{free_port()}/v1")
    try:
        student.on(message, p=0.3)
        with pytest.raises(openai.InternalServerError) as info:
            ask(client_of(gateway), message)
        assert info.value.status_code in (502, 503) and "teacher" in str(info.value)
        student.on(message + " sure", text="still here", p=0.99)
        assert ask(client_of(gateway), message + " sure")[1].choices[0].message.content == "still here"
    finally:
        gateway.stop()


def test_an_error_is_never_cached(client, student, teacher, message):
    student.on(message, p=0.3)
    teacher.on(message, status=400)
    with pytest.raises(openai.BadRequestError):
        ask(client, message)
    teacher.on(message, text="better now")
    assert ask(client, message)[1].choices[0].message.content == "better now"
