"""Many streams at once, on both sides of the gateway, in one asyncio loop: upstreams whose every byte is known, and clients that keep every byte they get.

Stream `n` of round `r` asks "n r". Everything a student says carries DRAFT and its own numbers, everything a teacher says carries TAUGHT and its own, so that a
byte that went astray is found wherever it is."""

import asyncio
import json
import math
import random

DRAFT = "Zdraft"
TAUGHT = "Qtaught"
TOKENS = 12


def rejected(n, r):
    """Whether the draft is one that the gateway must reject: half of them, the other half in the next round."""
    return (n + r) % 2 == 0


def wants_usage(n):
    return n % 3 == 0


def tokens(mark, n, r):
    return [f" {mark}.{n}.{r}.{k}" for k in range(TOKENS)]


class Barrier:
    """Lets everybody go on `then_s` after the last of `count` has come."""

    def __init__(self, count, then_s):
        self.count, self.then_s = count, then_s
        self.here = 0
        self.all_here = asyncio.Event()

    async def wait(self):
        self.here += 1
        if self.here == self.count:
            self.all_here.set()
        await self.all_here.wait()
        await asyncio.sleep(self.then_s)


class Upstreams:
    """A student and a teacher, at /student/v1 and /teacher/v1 of one port."""

    def __init__(self, drafts, answers):
        """`drafts`, `answers`: the barriers in the middle of round 0's streams."""
        self.drafts, self.answers = drafts, answers
        self.asked = {"student": set(), "teacher": set()}
        self.left = 0               # streams whose reader went away
        self.random = random.Random(7)

    async def start(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, backlog=4096)
        return self.server.sockets[0].getsockname()[1]

    def close(self):
        """From now on connections are refused. Without this they would be accepted by nobody, and who asks would wait."""
        self.server.close()

    async def serve(self, reader, writer):
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
                body = json.loads(await reader.readexactly(int(fields["content-length"])))
                await self.answer("student" if b" /student/" in head.split(b"\r\n")[0] else "teacher", body, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def answer(self, who, body, reader, writer):
        if not body.get("stream"):  # the gateway asks at start whether there are logprobs
            writer.write(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n")
            return
        n, r = map(int, body["messages"][-1]["content"].split())
        self.asked[who].add((n, r))
        mark = DRAFT if who == "student" else TAUGHT
        p = 0.3 if rejected(n, r) else 0.99
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

        def send(choices, usage=None):
            chunk = {"id": f"chatcmpl-{mark}.{n}.{r}", "object": "chat.completion.chunk", "created": 1700000000 + n, "model": f"{mark}-model",
                     "system_fingerprint": f"fp-{mark}", "choices": choices, **({"usage": usage} if usage else {})}
            data = f"data: {json.dumps(chunk)}\n\n".encode()
            writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")

        def choice(delta, reason=None, logprobs=None):
            return [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": logprobs}]

        send(choice({"role": "assistant", "content": ""}))
        for k, token in enumerate(tokens(mark, n, r)):
            if r > 0:
                await asyncio.sleep(self.random.random() * 0.1)
            elif k == TOKENS // 2 and not await self.hold(self.drafts if who == "student" else self.answers, reader):
                self.left += 1
                raise ConnectionError("the reader went away")
            send(choice({"content": token}, None, self.logprobs(token, p) if body.get("logprobs") else None))
            await writer.drain()
        send(choice({}, "stop"))
        send([], {"prompt_tokens": 10, "completion_tokens": TOKENS, "total_tokens": 10 + TOKENS})
        writer.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
        await writer.drain()

    @staticmethod
    async def hold(barrier, reader):
        """False where the reader went away while it waited."""
        waiting, gone = asyncio.ensure_future(barrier.wait()), asyncio.ensure_future(reader.read(1))
        done, _ = await asyncio.wait([waiting, gone], return_when=asyncio.FIRST_COMPLETED)
        for future in (waiting, gone):
            future.cancel()
        return waiting in done

    @staticmethod
    def logprobs(token, p):
        def entry(text, probability):
            return {"token": text, "logprob": math.log(probability), "bytes": list(text.encode())}
        return {"content": [{**entry(token, p), "top_logprobs": [entry(token, p), entry(token + "?", (1 - p) / 2)]}], "refusal": None}


class Client:
    """One connection."""

    async def connect(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)

    async def ask(self, n, r):
        """All bytes of the answer."""
        body = {"model": "default", "messages": [{"role": "user", "content": f"{n} {r}"}], "stream": True}
        if wants_usage(n):
            body["stream_options"] = {"include_usage": True}
        data = json.dumps(body).encode()
        self.writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(data) + data)
        got = bytearray()
        while not got.endswith(b"\r\n0\r\n\r\n"):
            piece = await self.reader.read(1 << 16)
            if not piece:
                break
            got += piece
        return bytes(got)

    def close(self):
        self.writer.close()


def faults_of(n, r, raw, beats):
    """What is wrong with the bytes that stream `n` of round `r` got, in words; [] where nothing is. `beats`: how many heartbeats it must have had at least."""
    from wire import Reply  # here, so that this file has no part in how pytest finds modules

    reply = Reply(raw)
    if reply.status != 200 or not reply.complete or reply.rest:
        return [f"status {reply.status}, complete: {reply.complete}, {len(reply.rest)} bytes behind it"]
    wrong = []
    whose, other = (TAUGHT, DRAFT) if rejected(n, r) else (DRAFT, TAUGHT)
    if other.encode() in raw:
        wrong.append(f"{other} got through: {raw[max(0, raw.index(other.encode()) - 80):][:160]!r}")
    blocks = reply.body.split(b"\n\n")
    if blocks.pop() != b"":
        wrong.append("the last event is not ended")
    comments = [i for i, block in enumerate(blocks) if block.startswith(b":")]
    events = [block for block in blocks if not block.startswith(b":")]
    if any(b"\n" in block or not block.startswith((b": ", b"data: ")) for block in blocks):
        wrong.append("something stands between events")
    if len(comments) < beats:
        wrong.append(f"{len(comments)} heartbeats")
    if not events or events.pop() != b"data: [DONE]":
        return wrong + ["no [DONE] at the end"]
    chunks = [json.loads(event[len("data: "):]) for event in events]
    if {(c["id"], c["created"], c["model"], c["object"]) for c in chunks} != {(f"chatcmpl-{whose}.{n}.{r}", 1700000000 + n, "default", "chat.completion.chunk")}:
        wrong.append("id, created or model is another's, or changes")
    choices = [choice for c in chunks for choice in c["choices"]]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    if text != "".join(tokens(whose, n, r)):
        wrong.append(f"the text is {text!r}")
    if [choice["finish_reason"] for choice in choices] != [None] * (len(choices) - 1) + ["stop"]:
        wrong.append("finish_reason is not at the end, or twice")
    if ["role" in choice["delta"] for choice in choices] != [True] + [False] * (len(choices) - 1):
        wrong.append("the role is not in the first chunk, or again")
    if any(choice.get("logprobs") for choice in choices):
        wrong.append("logprobs that were not asked for")
    usage = [c for c in chunks if not c["choices"]]
    if len(usage) != wants_usage(n) or (usage and (usage[0] is not chunks[-1] or usage[0]["usage"]["completion_tokens"] != TOKENS)):
        wrong.append("usage is not where it was asked for, or not in the last chunk")
    return wrong
