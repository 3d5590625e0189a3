"""The circuit breaker from outside: quick when open, trials, back again; and deadlines that travel with the request."""

import signal
import socket
import time

import pytest

from conftest import DRAFT_WORDS, TEACHER_TEXT, metric
from misbehave import TEXT
from wire import ask, until

MODEL = '[models.{name}]\nurl = "{url}"\nmodel = "x"\nprice = {{ input = "1", output = "2" }}\n{extra}\n'
CASCADE = '[cascade.{name}]\nstages = ["student", "teacher"]\nspot_check = 0.0\nescalate_below = 0.8\n{extra}\n'


def open_circuit(gateway, bad, cascade, model, stream=False):
    for i in range(5):
        ask(gateway, f"opens {model} {i} {time.monotonic()}", model=cascade, stream=stream)
        if metric(gateway, f'circuit_open{{model="{model}"}}') == 1:
            return
    assert metric(gateway, f'circuit_open{{model="{model}"}}') == 1


@pytest.fixture(scope="module")
def gateway(make_gateway, bad):
    more = ""
    for fault in ("hang", "status-503", "hang-in-body", "status-429", "status-500"):
        more += MODEL.format(name=f"s-{fault}", url=bad.url(fault), extra='timeout = "1s"\nidle_timeout = "300ms"')
        more += MODEL.format(name=f"t-{fault}", url=bad.url(fault), extra='timeout = "1s"\nidle_timeout = "300ms"')
        more += CASCADE.format(name=f"student-{fault}", extra=f'student = "s-{fault}"')
        more += CASCADE.format(name=f"teacher-{fault}", extra=f'teacher = "t-{fault}"')
    more += MODEL.format(name="t-fallback", url=bad.url("status-503"), extra="")
    more += CASCADE.format(name="fallback", extra='teacher = "t-fallback"\non_teacher_failure = "student"')
    more += MODEL.format(name="t-slow", url=bad.url("hang"), extra="")
    more += CASCADE.format(name="teacher-slow", extra='teacher = "t-slow"')
    more += CASCADE.format(name="slow-fallback", extra='teacher = "t-slow"\non_teacher_failure = "student"')
    return make_gateway(more=more)


@pytest.mark.parametrize("stream", [False, True])
def test_a_student_that_hangs_is_soon_not_waited_for(gateway, bad, message, stream):
    fault, model = ("hang-in-body", "s-hang-in-body") if stream else ("hang", "s-hang")
    open_circuit(gateway, bad, f"student-{fault}", model, stream)
    reply, _ = ask(gateway, message, model=f"student-{fault}", stream=stream)
    assert reply.status == 200 and bad.asked[message] == 0, "answered without asking it"
    assert reply.headers["x-understudy-served-by"] == "teacher" and reply.headers["x-understudy-reason"] == "student_error"
    assert metric(gateway, f'circuit_opened_total{{model="{model}"}}') == 1
    assert metric(gateway, f'circuit_refused_total{{model="{model}"}}') >= 1


def test_a_student_that_hangs_when_it_is_probed_does_not_hold_up_a_drain(make_gateway):
    with socket.create_server(("127.0.0.1", 0)) as student:
        stopping = make_gateway(student_url=f"http://127.0.0.1:{student.getsockname()[1]}/v1")
        connection, _ = student.accept()
        with connection:
            assert connection.recv(65536).startswith(b"POST /v1/chat/completions"), "the probe is under way"
            stopping.process.send_signal(signal.SIGTERM)
            assert stopping.process.wait(15) == 0


def test_it_comes_back_by_a_trial(gateway, bad, message):
    open_circuit(gateway, bad, "student-status-500", "s-status-500")
    bad.healthy.add("status-500")
    try:
        assert until(lambda: metric(gateway, 'circuit_open{model="s-status-500"}') == 0.5, 5), "after two seconds a trial is allowed"
        reply, _ = ask(gateway, message, model="student-status-500")
        assert reply.headers["x-understudy-served-by"] == "student" and reply.json()["choices"][0]["message"]["content"] == TEXT
        assert metric(gateway, 'circuit_open{model="s-status-500"}') == 0
    finally:
        bad.healthy.discard("status-500")


def test_while_the_teachers_is_open_sure_students_answer_and_the_others_get_503(gateway, bad, student, message):
    open_circuit(gateway, bad, "teacher-status-503", "t-status-503")
    student.on(message, text="I am sure", p=0.99)
    reply, _ = ask(gateway, message, model="teacher-status-503")
    assert reply.status == 200 and reply.json()["choices"][0]["message"]["content"] == "I am sure"
    for stream in (False, True):
        asked = f"{message} unsure {stream}"
        reply, _ = ask(gateway, asked, model="teacher-status-503", stream=stream)
        assert reply.status == 503 and reply.json()["error"]["code"] == "circuit_open"
        assert 0 < int(reply.headers["retry-after-ms"]) <= 2000 and int(reply.headers["retry-after"]) >= 1
        assert bad.asked[asked] == 0
        assert not [word for word in DRAFT_WORDS if word.encode() in reply.raw]


def test_on_teacher_failure_student_holds_while_it_is_open(gateway, bad, message):
    open_circuit(gateway, bad, "fallback", "t-fallback")
    reply, _ = ask(gateway, message, model="fallback")
    assert reply.status == 200 and reply.headers["x-understudy-reason"] == "teacher_error"
    assert reply.headers["x-understudy-served-by"] == "student" and bad.asked[message] == 0


def test_a_429_is_an_answer_not_a_failure(gateway, bad):
    for i in range(8):
        ask(gateway, f"limited {i}", model="student-status-429")
    assert metric(gateway, 'circuit_open{model="s-status-429"}') == 0


# -- deadlines ----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("stream", [False, True])
def test_a_deadline_ends_a_call_that_hangs(gateway, message, stream):
    reply, seconds = ask(gateway, message, model="teacher-slow", stream=stream, headers=["x-understudy-max-latency-ms: 600"])
    assert reply.status == 504 and reply.json()["error"]["code"] == "upstream_timeout"
    assert 0.5 < seconds < 10


def test_a_deadline_cuts_retries(gateway, bad, teacher, message):
    teacher.on(message, status=503, headers={"retry-after-ms": "900"})
    reply, seconds = ask(gateway, message, headers=["x-understudy-max-latency-ms: 1500"])
    assert reply.status == 503 and seconds < 1.5, "the second wait would have ended after the deadline"
    assert len(teacher.calls(message)) == 2
    teacher.on(f"{message} without", status=503, headers={"retry-after-ms": "900"})
    ask(gateway, f"{message} without")
    assert len(teacher.calls(f"{message} without")) == 3


def test_the_models_timeout_is_for_all_tries_together(gateway, bad, message):
    reply, seconds = ask(gateway, message, model="t-hang")
    assert reply.status == 504 and 0.9 < seconds < 10 and bad.asked[message] == 1


def test_a_deadline_that_the_teacher_cannot_keep_is_the_students_case_where_that_is_wanted(gateway, message):
    reply, seconds = ask(gateway, message, model="slow-fallback", headers=["x-understudy-max-latency-ms: 500"])
    assert reply.status == 200 and reply.headers["x-understudy-reason"] == "teacher_error" and seconds < 10


def test_a_slow_student_leaves_the_teacher_half_of_the_time(gateway, teacher, student, message):
    student.on(message, text="late", p=0.99, delay_s=20)
    reply, seconds = ask(gateway, message, headers=["x-understudy-max-latency-ms: 4000"])
    assert reply.status == 200 and reply.json()["choices"][0]["message"]["content"] == TEACHER_TEXT
    assert 1.9 < seconds < 6 and reply.headers["x-understudy-reason"] == "student_error"
    assert metric(gateway, 'circuit_open{model="student"}') == 0, "it was not given the time that it may need"


def test_impatient_clients_do_not_open_the_circuit(gateway, message):
    for i in range(8):
        assert ask(gateway, f"{message} {i}", model="teacher-slow", headers=["x-understudy-max-latency-ms: 120"])[0].status == 504
    assert metric(gateway, 'circuit_open{model="t-slow"}') == 0


@pytest.mark.parametrize("value", ["0", "-5", "1.5", "soon", "", "99999999999"])
def test_a_deadline_that_is_none_is_400(gateway, message, value):
    reply, _ = ask(gateway, message, headers=[f"x-understudy-max-latency-ms: {value}"])
    assert reply.status == 400 and reply.json()["error"]["param"] == "x-understudy-max-latency-ms"


def test_time_enough_changes_nothing(gateway, message):
    reply, _ = ask(gateway, message, headers=["x-understudy-max-latency-ms: 30000"])
    assert reply.status == 200 and reply.json()["choices"][0]["message"]["content"] == TEACHER_TEXT
