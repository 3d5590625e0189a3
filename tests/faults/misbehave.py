"""An upstream that misbehaves. The fault is named by the path of its URL (http://HOST:PORT/FAULT/v1), so that one server plays
all of them. `UPSTREAM_FAULTS` maps each name to a function that gets the connection, the request and how often this message has
been asked before, and writes whatever bytes it likes.

Except for its fault a fault answers as a sure model would: `TEXT`, with logprobs, in one piece or as events.
"""

import collections
import json
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sdk"))
from imposter import last_user_message, split_tokens, token_logprobs  # noqa: E402

WORDS = ["zebraquilt", "violinmango", "tundraprism", "walrusember", "fjordlantern"]
TEXT = " ".join(WORDS)
HANG_S = 20          # longer than any time-out of the tests
UPSTREAM_FAULTS = {}
WARM_UP = set()      # faults that need a connection which has been used before


class Call:
    """One request as it came in, and ways to answer it properly or not."""

    def __init__(self, connection, body, calls, on_connection):
        self.connection, self.body, self.calls, self.on_connection = connection, body, calls, on_connection
        self.streamed = bool(body.get("stream"))

    def send(self, data):
        self.connection.sendall(data)

    def hang(self):
        """Until the gateway has enough of it."""
        self.connection.settimeout(HANG_S)
        try:
            while self.connection.recv(65536):
                pass
        except OSError:
            pass

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def payload(self):
        """The pieces of a right answer: one JSON text, or the events of a stream."""
        tokens = split_tokens(TEXT)
        logprobs = None
        if self.body.get("logprobs"):
            logprobs = {"content": [token_logprobs(t, 0.99, self.body.get("top_logprobs", 0)) for t in tokens], "refusal": None}
        usage = {"prompt_tokens": 7, "completion_tokens": len(tokens), "total_tokens": 7 + len(tokens)}
        head = {"id": "chatcmpl-x", "created": 1767225600, "model": "up"}
        if not self.streamed:
            message = {"role": "assistant", "content": TEXT, "refusal": None}
            choice = {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}
            return [json.dumps({**head, "object": "chat.completion", "choices": [choice], "usage": usage}).encode()]

        def event(choices, **more):
            return b"data: " + json.dumps({**head, "object": "chat.completion.chunk", "choices": choices, **more}).encode() + b"\n\n"

        def choice(delta, i=None, reason=None):
            one = None if logprobs is None or i is None else {"content": [logprobs["content"][i]], "refusal": None}
            return {"index": 0, "delta": delta, "logprobs": one, "finish_reason": reason}

        events = [event([choice({"role": "assistant", "content": ""})])]
        events += [event([choice({"content": token}, i)]) for i, token in enumerate(tokens)]
        events += [event([choice({}, None, "stop")]), event([], usage=usage), b"data: [DONE]\n\n"]
        return events

    def head(self, *fields, status="200 OK", version="1.1", content_type=None):
        kind = content_type or ("text/event-stream" if self.streamed else "application/json")
        lines = [f"HTTP/{version} {status}", f"content-type: {kind}", *fields]
        return "\r\n".join(lines).encode() + b"\r\n\r\n"

    def whole(self, pieces=None, *fields, **options):
        """A proper HTTP message around `pieces`: chunked where there are several."""
        pieces = self.payload() if pieces is None else pieces
        if len(pieces) == 1:
            self.send(self.head(f"content-length: {len(pieces[0])}", *fields, **options) + pieces[0])
        else:
            self.send(self.head("transfer-encoding: chunked", *fields, **options) + b"".join(map(chunk, pieces)) + b"0\r\n\r\n")

    def error(self, status, *fields, code=None, kind="test_error"):
        body = json.dumps({"error": {"message": f"upstream says {status}", "type": kind, "param": None, "code": code or f"test_{status[:3]}"}}).encode()
        self.send(self.head(f"content-length: {len(body)}", *fields, status=status, content_type="application/json") + body)


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def fault(name, warm_up=False):
    def register(function):
        UPSTREAM_FAULTS[name] = function
        if warm_up:
            WARM_UP.add(name)
        return function
    return register


# -- times ------------------------------------------------------------------------------------------------------------

@fault("hang")
def _(call):
    call.hang()


@fault("hang-in-header")
def _(call):
    call.send(b"HTTP/1.1 200 OK\r\ncontent-ty")
    call.hang()


@fault("hang-after-header")
def _(call):
    call.send(call.head("transfer-encoding: chunked"))
    call.hang()


@fault("hang-in-body")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(f"content-length: {len(data)}") + data[:len(data) // 2])
    call.hang()


@fault("drip")
def _(call):
    data = call.head("transfer-encoding: chunked") + b"".join(map(chunk, call.payload()))
    for i in range(len(data)):
        call.send(data[i:i + 1])
        time.sleep(0.1)


@fault("slow-but-whole")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(f"content-length: {len(data)}"))
    step = len(data) // 8 + 1
    for i in range(0, len(data), step):
        call.send(data[i:i + step])
        time.sleep(0.1)


# -- cuts -------------------------------------------------------------------------------------------------------------

@fault("close-at-once")
def _(call):
    pass


@fault("reset-at-once")
def _(call):
    call.reset()


@fault("close-once")
def _(call):
    if call.calls > 0:
        call.whole()


@fault("cut-in-header")
def _(call):
    call.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


@fault("cut-in-chunk")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head("transfer-encoding: chunked") + chunk(data)[:len(data) // 2])


@fault("cut-in-event")
def _(call):
    data = b"".join(call.payload())
    half = data[:len(data) // 2]
    call.send(call.head("transfer-encoding: chunked") + chunk(half))


@fault("reset-in-body")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head("transfer-encoding: chunked") + chunk(data[:len(data) // 2]))
    time.sleep(0.2)
    call.reset()


@fault("cut-before-usage")
def _(call):
    pieces = call.payload()
    if call.streamed:
        call.send(call.head("transfer-encoding: chunked") + b"".join(map(chunk, pieces[:-2])))
    else:
        call.send(call.head(f"content-length: {len(pieces[0])}") + pieces[0][:pieces[0].rindex(b'"usage"')])


# -- refusals ---------------------------------------------------------------------------------------------------------

def refusal(name, status, *fields, **options):
    @fault(name)
    def _(call):
        call.error(status, *fields, **options)


refusal("status-400", "400 Bad Request")
refusal("status-401", "401 Unauthorized")
refusal("status-404", "404 Not Found")
refusal("status-408", "408 Request Timeout")
refusal("status-409", "409 Conflict")
refusal("status-425", "425 Too Early")
refusal("status-429", "429 Too Many Requests")
refusal("status-429-ms", "429 Too Many Requests", "retry-after-ms: 50")
refusal("status-429-long", "429 Too Many Requests", "retry-after: 30")
refusal("status-429-date", "429 Too Many Requests", "retry-after: Fri, 31 Dec 2100 23:59:59 GMT")
refusal("status-500", "500 Internal Server Error")
refusal("status-503", "503 Service Unavailable")
refusal("insufficient-quota", "429 Too Many Requests", code="insufficient_quota", kind="insufficient_quota")


@fault("status-503-once")
def _(call):
    if call.calls > 0:
        call.whole()
    else:
        call.error("503 Service Unavailable", "retry-after-ms: 20")


# -- not what was agreed ------------------------------------------------------------------------------------------------

@fault("garbage")
def _(call):
    call.send(bytes(range(256)) * 8 + b"\n\r\n\r\n")


@fault("not-json")
def _(call):
    call.whole([b"this is no JSON"])


@fault("html-200")
def _(call):
    call.whole([b"<html><body>please log in</body></html>"], content_type="text/html")


@fault("html-502")
def _(call):
    call.whole([b"<html><body>Bad Gateway</body></html>"], status="502 Bad Gateway", content_type="text/html")


@fault("wrong-content-type")
def _(call):
    call.whole(content_type="text/plain")


@fault("content-type-in-capitals")
def _(call):
    call.whole(content_type="Text/Event-Stream;Charset=UTF-8" if call.streamed else "Application/JSON")


@fault("length-too-short")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(f"content-length: {len(data) // 2}") + data)


@fault("length-too-long")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(f"content-length: {len(data) + 100}") + data)


@fault("two-lengths")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(f"content-length: {len(data)}", f"content-length: {len(data) - 1}") + data)


@fault("both-lengths")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(f"content-length: {len(data)}", "transfer-encoding: chunked") + chunk(data) + b"0\r\n\r\n")


@fault("duplicate-headers")
def _(call):
    call.whole(None, "x-request-id: one", "x-request-id: two", "content-type: application/x-other", "retry-after: 1", "retry-after: 2")


@fault("huge-header")
def _(call):
    call.whole(None, "x-big: " + "x" * 60_000)


@fault("http-1.0")
def _(call):
    call.send(call.head(version="1.0") + b"".join(call.payload()))


@fault("http-1.0-cut")
def _(call):
    data = b"".join(call.payload())
    call.send(call.head(version="1.0") + data[:len(data) // 2])


@fault("interim-answers")
def _(call):
    call.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n")
    call.whole()


@fault("100-mb")
def _(call):
    if call.streamed:
        call.send(call.head("transfer-encoding: chunked"))
        filler = chunk(call.payload()[1].replace(WORDS[0].encode(), WORDS[0].encode() * 6000))
        for _ in range(100_000_000 // len(filler)):
            call.send(filler)
    else:
        call.send(call.head(f"content-length: {100_000_000}"))
        for _ in range(100):
            call.send(b"x" * 1_000_000)


@fault("100-mb-chunked")
def _(call):
    call.send(call.head("transfer-encoding: chunked"))
    for _ in range(100):
        call.send(chunk(b"x" * 1_000_000))


@fault("100-mb-error")
def _(call):
    call.send(call.head("transfer-encoding: chunked", status="500 Oops"))
    for _ in range(100):
        call.send(chunk(b"x" * 1_000_000))


# -- streams ------------------------------------------------------------------------------------------------------------

@fault("error-event")
def _(call):
    pieces = call.payload()
    error = {"error": {"message": "the engine died", "type": "server_error", "param": None, "code": "engine_died"}}
    if call.streamed:
        pieces = pieces[:3] + [b"data: " + json.dumps(error).encode() + b"\n\n", b"data: [DONE]\n\n"]
        call.whole(pieces)
    else:
        call.whole([json.dumps(error).encode()])


@fault("no-done")
def _(call):
    pieces = call.payload()
    call.whole(pieces[:-1] if call.streamed else pieces)


@fault("no-finish-reason")
def _(call):
    call.whole([piece.replace(b'"finish_reason": "stop"', b'"finish_reason": null') for piece in call.payload()])


@fault("no-usage")
def _(call):
    pieces = call.payload()
    if call.streamed:
        call.whole(pieces[:-2] + pieces[-1:])
    else:
        answer = json.loads(pieces[0])
        del answer["usage"]
        call.whole([json.dumps(answer).encode()])


# -- connections --------------------------------------------------------------------------------------------------------

@fault("closed-as-reused", warm_up=True)
def _(call):
    if call.on_connection == 0:
        call.whole()
        call.keep = True


@fault("closed-when-idle", warm_up=True)
def _(call):
    call.whole()     # says nothing of closing, and closes


# -- the server ---------------------------------------------------------------------------------------------------------

class Misbehaving:
    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.asked = collections.Counter()      # {user message: calls}
        self.hung_up = collections.Counter()    # {user message: calls that the gateway gave up}
        self.lock = threading.Lock()
        self.healthy = set()                    # faults that are over
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, name):
        return f"http://127.0.0.1:{self.port}/{name}/v1"

    def close(self):
        self.listener.close()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        message = None
        try:
            for number in range(1000):
                name, body = read_request(connection)
                message = last_user_message(body)
                with self.lock:
                    calls = self.asked[message]
                    self.asked[message] += 1
                call = Call(connection, body, calls, number)
                call.keep = False
                if message.startswith("Answer with the word"):   # the probe at start is no part of this
                    call.whole()
                elif name in self.healthy:
                    call.whole()
                else:
                    UPSTREAM_FAULTS[name](call)
                if not call.keep:
                    break
        except (OSError, EOFError):
            with self.lock:
                self.hung_up[message] += 1
        finally:
            connection.close()


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        got = connection.recv(65536)
        if not got:
            raise EOFError
        data += got
    head, body = data.split(b"\r\n\r\n", 1)
    lines = head.decode("latin-1").split("\r\n")
    length = next(int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:"))
    while len(body) < length:
        got = connection.recv(65536)
        if not got:
            raise EOFError
        body += got
    return lines[0].split(" ")[1].split("/")[1], json.loads(body)
