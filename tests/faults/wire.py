"""A client that keeps every byte, and reads HTTP itself: no library hides anything."""

import json
import socket
import time

from gateway import PROGRAM


class Reply:
    def __init__(self, raw):
        self.raw = raw
        head, _, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1]) if lines[0] else 0
        self.headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            self.headers[name.lower()] = value.strip()
        self.rest = b""         # what follows the first message
        self.complete = True
        if self.headers.get("transfer-encoding") == "chunked":
            self.body, self.complete, self.rest = dechunk(rest)
        else:
            length = int(self.headers.get("content-length", len(rest)))
            self.body, self.rest = rest[:length], rest[length:]
            self.complete = len(self.body) == length

    def json(self):
        return json.loads(self.body)

    def events(self):
        """Parsed events without [DONE]."""
        return [json.loads(line[6:]) for line in self.body.decode().splitlines() if line.startswith("data: ") and line != "data: [DONE]"]

    def done(self):
        return self.body.endswith(b"data: [DONE]\n\n")


def dechunk(data):
    out = []
    at = 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            return b"".join(out), False, b""
        size = int(data[at:end], 16)
        if len(data) < end + 2 + size + 2:
            return b"".join(out) + data[end + 2:], False, b""
        if size == 0:
            return b"".join(out), True, data[end + 4:]
        out.append(data[end + 2:end + 2 + size])
        at = end + 2 + size + 2


def exchange(port, data, timeout=60, end=False):
    """Sends these bytes and returns all that comes until the server closes (b"" too where it resets)."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as s:
        try:
            s.sendall(data)
            if end:
                s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        return read_all(s)


def read_all(s):
    got = []
    try:
        while True:
            piece = s.recv(1 << 20)
            if not piece:
                break
            got.append(piece)
    except ConnectionResetError:
        pass
    return b"".join(got)


def replies(raw):
    """All messages in these bytes."""
    out = []
    while raw:
        out.append(Reply(raw))
        raw = out[-1].rest
    return out


def chat_bytes(message, model="default", stream=False, headers=(), close=True, **more):
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": message}], "stream": stream, **more}).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: gateway", f"content-length: {len(body)}", "content-type: application/json", *headers]
    if close:
        lines.append("connection: close")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def ask(gateway, message, **options):
    """(Reply, seconds) of one chat completion."""
    started = time.monotonic()
    raw = exchange(gateway.port, chat_bytes(message, **options))
    return Reply(raw), time.monotonic() - started


def sanitized():
    """Whether the program under test carries AddressSanitizer, which is slower, and pads and keeps what is freed."""
    with open(PROGRAM, "rb") as f:
        return b"__asan_init" in f.read()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()
