"""Clients that misbehave: smuggling, slowness, leaving, too much of everything."""

import gzip
import json
import re
import socket
import ssl
import threading
import time

import pytest

import table
from authority import Authority
from conftest import metric
from wire import Reply, chat_bytes, exchange, read_all, replies, until

ATTEMPTS = table.read("client-faults.md", "attempt")


def decode(text):
    """The bytes that a cell of the table stands for."""
    text = re.sub(r"\{(\d+)\*(.*?)\}", lambda m: int(m.group(1)) * m.group(2), text.strip("`"))
    escapes = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0"}
    out = b""
    for piece in re.split(r"(\\x[0-9a-f]{2}|\\[rnt0])", text):
        if piece.startswith("\\x"):
            out += bytes([int(piece[2:], 16)])
        elif piece.startswith("\\"):
            out += escapes[piece[1]]
        else:
            out += piece.encode()
    return out


@pytest.fixture(scope="module")
def gateway(make_gateway):
    return make_gateway()


@pytest.mark.parametrize("row", ATTEMPTS, ids=[row["attempt"] for row in ATTEMPTS])
@pytest.mark.parametrize("cut", ["in one piece", "byte by byte"])
def test_smuggling(gateway, row, cut):
    data = decode(row["bytes"])
    if cut == "in one piece":
        raw = exchange(gateway.port, data)
    elif len(data) > 1000:
        pytest.skip("too long to send byte by byte")
    else:
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                for i in range(len(data)):
                    s.sendall(data[i:i + 1])
            except OSError:
                pass  # refused before the end
            raw = read_all(s)
    got = replies(raw)
    assert ", ".join(str(reply.status) for reply in got) == row["answers"], raw
    for reply in got:
        if reply.status >= 400:
            error = reply.json()["error"]
            assert error["message"] and error["type"], "every refusal says what is wrong"


# -- slow ones ----------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def impatient(make_gateway):
    return make_gateway(more='[limits]\nheader_timeout = "1s"\nbody_timeout = "1s"\nidle_timeout = "2s"\nwrite_timeout = "1s"\nmax_body_bytes = 20000\n')


def connect(gateway):
    return socket.create_connection(("127.0.0.1", gateway.port), timeout=30)


def test_a_header_that_drips_is_408(impatient):
    with connect(impatient) as s:
        started = time.monotonic()
        s.settimeout(0.05)
        raw = b""
        for byte in b"GET /health HTTP/1.1\r\nHost: x\r\n" + 1000 * b"X: y\r\n":
            try:
                s.sendall(bytes([byte]))
                raw = s.recv(65536)
                break
            except TimeoutError:
                pass
        reply = Reply(raw)
        assert reply.status == 408 and "header" in reply.json()["error"]["message"]
        assert 0.9 < time.monotonic() - started < 10, "bytes do not prolong it"


def test_a_body_that_stops_is_408(impatient):
    reply = Reply(exchange(impatient.port, chat_bytes("x")[:-5]))
    assert reply.status == 408 and "body" in reply.json()["error"]["message"]
    assert reply.headers["connection"] == "close"


def test_an_idle_connection_is_closed_without_a_word(impatient):
    with connect(impatient) as s:
        started = time.monotonic()
        assert s.recv(100) == b"" and 1.5 < time.monotonic() - started < 15
    with connect(impatient) as s:
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 200")
        assert s.recv(100) == b""


def test_a_reader_that_stops_is_let_go_and_its_upstream_call_too(impatient, teacher, message):
    teacher.on(message, text="w " * 120_000)
    before = teacher.cancelled
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", impatient.port))
        s.sendall(chat_bytes(message, stream=True))
        assert until(lambda: teacher.cancelled > before, 20), "the upstream call goes on although nobody reads"
        assert metric(impatient, "requests_in_flight") == 1, "only the scrape itself"


def test_a_slow_reader_gets_everything_and_holds_nobody_up(impatient, teacher, message):
    text = " ".join(f"w{i}" for i in range(8000))
    teacher.on(message, text=text)
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.settimeout(30)
        s.connect(("127.0.0.1", impatient.port))
        s.sendall(chat_bytes(message, stream=True))
        time.sleep(0.3)
        started = time.monotonic()
        assert impatient.raw("GET", "/health")[0] == 200 and time.monotonic() - started < 5
        raw = b""
        while piece := s.recv(16384):
            raw += piece
            time.sleep(0.005)
    reply = Reply(raw)
    assert reply.complete and reply.done()
    assert "".join(c["delta"].get("content") or "" for e in reply.events() for c in e["choices"]) == text


# -- too much -----------------------------------------------------------------------------------------------------------

def test_a_body_over_the_limit_is_413_however_it_is_announced(impatient):
    big = chat_bytes("x" * 30_000)
    reply = Reply(exchange(impatient.port, big))
    assert reply.status == 413 and "20000" in reply.json()["error"]["message"]
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    reply = Reply(exchange(impatient.port, head + 30 * (b"400\r\n" + 1024 * b"x" + b"\r\n") + b"0\r\n\r\n"))
    assert reply.status == 413 and "20000" in reply.json()["error"]["message"]


def test_expect_continue_is_refused_before_the_body_is_sent(impatient):
    with connect(impatient) as s:
        s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\nExpect: 100-continue\r\n\r\n")
        assert s.recv(65536).startswith(b"HTTP/1.1 413")


def test_connections_and_requests_over_the_limit_are_503(make_gateway, student, teacher, message):
    gateway = make_gateway(more="[limits]\nmax_connections = 8\nmax_concurrent_requests = 2\n")
    gate = threading.Event()
    student.on(message, text="slow", p=0.99, gate=gate)
    held = []
    try:
        for _ in range(2):
            held.append(connect(gateway))
            held[-1].sendall(chat_bytes(message))
        assert until(lambda: len(student.calls(message)) == 2)
        reply = Reply(exchange(gateway.port, chat_bytes("one more")))
        assert reply.status == 503 and reply.json()["error"]["code"] == "overloaded" and int(reply.headers["retry-after-ms"]) > 0
        while len(held) < 8:
            held.append(connect(gateway))
        time.sleep(0.2)
        reply = Reply(exchange(gateway.port, b""))
        assert reply.status == 503 and "connections" in reply.json()["error"]["message"]
    finally:
        gate.set()
    assert Reply(read_all(held[0])).status == 200, "those that were in are answered"
    for s in held:
        s.close()
    assert until(lambda: gateway.raw("GET", "/health")[0] == 200)


# -- pipelines ----------------------------------------------------------------------------------------------------------

def test_pipelined_requests_are_answered_in_order(gateway, student):
    count = 60
    for i in range(count):
        student.on(f"pipe {i}", text=f"answer {i}", p=0.99)
    data = b"".join(chat_bytes(f"pipe {i}", stream=i % 3 == 0, close=i == count - 1) for i in range(count))
    got = replies(exchange(gateway.port, data))
    assert [reply.status for reply in got] == [200] * count
    for i, reply in enumerate(got):
        text = "".join(c["delta"].get("content") or "" for e in reply.events() for c in e["choices"]) if i % 3 == 0 else reply.json()["choices"][0]["message"]["content"]
        assert text == f"answer {i}"


def test_what_is_pipelined_behind_a_broken_request_is_not_served(gateway, student):
    student.on("must not be asked", text="no")
    got = replies(exchange(gateway.port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nBROKEN\r\n\r\n" + chat_bytes("must not be asked")))
    assert [reply.status for reply in got] == [200, 400] and not student.calls("must not be asked")


def test_a_thousand_requests_on_one_connection(gateway):
    with connect(gateway) as s:
        for _ in range(10):
            s.sendall(100 * b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            raw = b""
            while raw.count(b"HTTP/1.1 200") < 100 or not raw.endswith(b'{"status":"ok"}'):
                raw += s.recv(65536)
        s.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert Reply(read_all(s)).status == 200


# -- TLS ----------------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def secure(make_gateway, tmp_path_factory):
    authority = Authority(tmp_path_factory.mktemp("authority"))
    authority.sign("leaf")
    authority.put("leaf")
    return make_gateway(tls=authority, more='[limits]\nheader_timeout = "1s"\n')


def read_until(s, enough):
    got = b""
    while not enough(got):
        piece = s.recv(4096)
        assert piece, got
        got += piece


def secure_connect(gateway):
    return ssl.create_default_context(cafile=gateway.tls.ca).wrap_socket(connect(gateway), server_hostname="localhost")


def test_handshakes_that_hang_are_closed_and_hold_nobody_up(secure):
    before = metric(secure, "tls_handshakes_failed_total")
    silent = [connect(secure) for _ in range(200)]
    for i, s in enumerate(silent):
        s.sendall(b"\x16\x03\x01\x02\x00\x01\x00"[:i % 8])
    with secure_connect(secure) as s:
        s.sendall(chat_bytes("meanwhile"))
        assert Reply(read_all(s)).status == 200
    for s in silent:
        assert read_all(s) == b"", "closed without a word"
        s.close()
    assert until(lambda: metric(secure, "tls_handshakes_failed_total") == before + 200)


def test_plain_http_on_a_port_with_tls_is_400(secure):
    reply = Reply(exchange(secure.port, chat_bytes("in clear")))
    assert reply.status == 400 and "https://" in reply.json()["error"]["message"] and reply.complete


def test_an_encrypted_answer_to_a_client_that_is_gone_is_not_asked_for_any_more(secure, teacher, message):
    teacher.on(message, text="w " * 400, chunk_delay_s=0.02)
    before = teacher.cancelled
    s = secure_connect(secure)
    s.sendall(chat_bytes(message, stream=True))
    read_until(s, lambda got: got.count(b"data: ") >= 3)
    s.close()
    assert until(lambda: teacher.cancelled == before + 1)


# -- bodies -------------------------------------------------------------------------------------------------------------

BODIES = {
    "compressed": gzip.compress(b'{"model": "default", "messages": [{"role": "user", "content": "x"}]}'),
    "nested too deeply": b'{"model": "default", "messages": [{"role": "user", "content": "x"}], "more": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "not UTF-8": b'{"model": "default", "messages": [{"role": "user", "content": "\xc3("}]}',
}


@pytest.mark.parametrize("what", BODIES)
def test_a_body_that_cannot_be_read_is_400(gateway, what):
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(BODIES[what])}\r\nconnection: close\r\n\r\n"
    reply = Reply(exchange(gateway.port, head.encode() + BODIES[what]))
    assert reply.status == 400 and reply.json()["error"]["type"] == "invalid_request_error", reply.raw[:500]
    assert Reply(exchange(gateway.port, chat_bytes("still there"))).status == 200


# -- those that leave ---------------------------------------------------------------------------------------------------

STAGES = {
    "in its header": lambda m: chat_bytes(m)[:40],
    "in its body": lambda m: chat_bytes(m)[:-5],
}


@pytest.mark.parametrize("stage", STAGES)
def test_a_client_that_leaves_before_it_has_asked_costs_nothing(gateway, student, message, stage):
    before = metric(gateway, "requests_total")
    with connect(gateway) as s:
        s.sendall(STAGES[stage](message))
        time.sleep(0.1)
    time.sleep(0.2)
    assert metric(gateway, "requests_total") == before and not student.calls(message)


def test_a_client_that_leaves_in_the_middle_of_the_teachers_stream_pays_for_what_had_come(gateway, teacher, message):
    teacher.on(message, text="w " * 400, chunk_delay_s=0.02)
    before = teacher.cancelled
    with connect(gateway) as s:
        s.sendall(chat_bytes(message, stream=True, headers=["x-request-id: left-midway"]))
        read_until(s, lambda got: got.count(b"data: ") >= 10)
    assert until(lambda: teacher.cancelled == before + 1)
    assert until(lambda: gateway.cli("explain", "left-midway")[0] == 0), "it is recorded"
    record = gateway.cli_json("explain", "left-midway")
    last = record["attempts"][-1]
    assert record["status"] == 499 and last["stage"] == "teacher"
    assert 5 <= last["usage"]["output"] < 400 and float(last["cost_usd"]) > 0, last


@pytest.mark.parametrize("how", ["closes", "resets"])
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("who", ["student", "teacher"])
def test_a_client_that_leaves_ends_the_upstream_call_and_what_was_spent_is_recorded(make_gateway, gateway, bad, student, teacher, message, who, streamed, how):
    cascade = leaver(make_gateway, bad)
    request_id = f"left-{who}-{streamed}-{how}"
    asked = f"{message} {request_id}"
    s = connect(cascade)
    s.sendall(chat_bytes(asked, model=f"hang_{who}", stream=streamed, headers=[f"x-request-id: {request_id}"]))
    assert until(lambda: bad.asked[asked] == 1)
    if how == "resets":
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    s.close()
    assert until(lambda: cascade.cli("explain", request_id)[0] == 0), "it is recorded"
    record = cascade.cli_json("explain", request_id)
    assert record["status"] == 499 and record["client_gone"] is True
    assert [a["stage"] for a in record["attempts"]] == (["student"] if who == "student" else ["student", "teacher"])
    last = record["attempts"][-1]
    assert last["cost_usd"] is not None and float(last["cost_usd"]) > 0, f"the upstream had the request: {json.dumps(last)}"
    assert float(record["cost_usd"]) >= float(last["cost_usd"])


_leaver = []


def leaver(make_gateway, bad):
    if not _leaver:
        url = bad.url("hang")
        more = f'[models.hang]\nurl = "{url}"\nmodel = "x"\nprice = {{ input = "1", output = "2" }}\n'
        more += '[cascade.hang_student]\nstages = ["student", "teacher"]\nspot_check = 0.0\nescalate_below = 0.8\nstudent = "hang"\n'
        more += '[cascade.hang_teacher]\nstages = ["student", "teacher"]\nspot_check = 0.0\nescalate_below = 0.8\nteacher = "hang"\n'
        _leaver.append(make_gateway(more=more))
    return _leaver[0]
