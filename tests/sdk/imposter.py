"""A scripted OpenAI-compatible upstream for tests. It runs on threads of the test process; each test tells it what to
answer to which last user message, and can read what it was asked.

    student = Imposter("student")
    student.on("where is my card?", text="On its way.", p=0.99)
"""

import collections
import copy
import json
import math
import re
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler


class Script:
    """What to answer. Everything has a default, so that a test says only what it is about."""

    def __init__(self, text="ok", p=0.99, tool_calls=None, status=200, body=None, headers=None, delay_s=0.0, chunk_delay_s=0.0,
                 cut_after=None, logprobs=True, usage=True, first_status=None, gate=None):
        self.text = text                    # of the assistant's message; with n > 1 each choice gets " #i" appended
        self.p = p                          # probability of the least certain token; the others have 0.999
        self.tool_calls = tool_calls        # [(id, name, arguments JSON text)]: instead of text
        self.status = status                # other than 200: an error in OpenAI's form, or `body`
        self.body = body                    # bytes sent as they are (with `status`)
        self.headers = headers or {}
        self.delay_s = delay_s              # before the first byte
        self.chunk_delay_s = chunk_delay_s  # between chunks of a stream
        self.cut_after = cut_after          # close the connection after so many chunks of a stream, or bytes of an answer
        self.logprobs = logprobs            # False: cannot give them
        self.usage = usage                  # False: gives none
        self.first_status = first_status    # the first call gets this error, later ones the answer
        self.gate = gate                    # threading.Event to wait for before answering
        self.calls = 0


def split_tokens(text):
    """Words with the space before them, as tokenizers like them; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text) or [text]


class Imposter:
    def __init__(self, name):
        self.name = name
        self.scripts = {}
        self.default = Script(text=f"default answer of {name}")
        self.requests = []          # (path, headers, parsed body) of every POST
        self.cancelled = 0          # answers whose reader went away
        self.embedding = [1.0, 0.0]   # of every text
        self._lock = threading.Lock()
        outer = self

        class Handler(_Handler):
            imposter = outer

        class Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 256

            def handle_error(self, request, client_address):
                pass  # a peer that goes away is part of the tests

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def on(self, message, **script):
        self.scripts[message] = Script(**script)
        return self.scripts[message]

    def script_for(self, body):
        """A conversation that ends with a tool's result is "MESSAGE, answered" where there is a script of that name."""
        message = last_user_message(body)
        if body.get("messages", [{}])[-1].get("role") == "tool" and f"{message}, answered" in self.scripts:
            message += ", answered"
        return self.scripts.get(message, self.default)

    def calls(self, message):
        """Bodies of the calls whose last user message was this."""
        with self._lock:
            return [body for _, _, body in self.requests if last_user_message(body) == message]

    def headers_of(self, message):
        with self._lock:
            return [headers for _, headers, body in self.requests if last_user_message(body) == message]

    def note(self, path, headers, body):
        with self._lock:
            self.requests.append((path, headers, body))

    def note_cancelled(self):
        with self._lock:
            self.cancelled += 1


def last_user_message(body):
    for message in reversed(body.get("messages", [])):
        if message.get("role") == "user":
            content = message.get("content")
            if isinstance(content, str):
                return content
            return "".join(part.get("text", "") for part in content)
    return ""


def usage_of(body, choices, text):
    prompt = sum(len(split_tokens(str(m.get("content")))) for m in body["messages"])
    completion = len(split_tokens(text)) * choices
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def token_logprobs(token, p, top):
    def entry(text, probability):
        return {"token": text, "logprob": math.log(probability), "bytes": list(text.encode())}
    result = entry(token, p)
    result["top_logprobs"] = [entry(token, p), entry(token + "?", (1 - p) * 0.9), entry("~", (1 - p) * 0.05)][:top]
    return result


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    imposter = None
    disable_nagle_algorithm = True
    wbufsize = -1

    def log_message(self, *args):
        pass

    def send_body(self, status, body, headers=None, content_type="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def do_GET(self):
        models = {"object": "list", "data": [{"id": self.imposter.name, "object": "model", "created": 1, "owned_by": "tests"}]}
        self.send_body(200, json.dumps(models).encode())

    def do_POST(self):
        try:
            self.answer()
        except (BrokenPipeError, ConnectionResetError):
            self.imposter.note_cancelled()
            self.close_connection = True

    def answer(self):
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(raw)
        self.imposter.note(self.path, dict(self.headers.items()), body)
        if self.path.endswith("/embeddings"):
            texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
            data = [{"object": "embedding", "index": i, "embedding": self.imposter.embedding} for i in range(len(texts))]
            answer = {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": len(texts), "total_tokens": len(texts)}}
            return self.send_body(200, json.dumps(answer).encode())
        if not self.path.endswith("/chat/completions"):
            return self.send_body(404, b'{"error":{"message":"no such route","type":"invalid_request_error","param":null,"code":null}}')
        script = self.imposter.script_for(body)
        script.calls += 1
        if script.gate is not None:
            script.gate.wait(30)
        if script.delay_s:
            time.sleep(script.delay_s)
        status = script.first_status if script.first_status and script.calls == 1 else script.status
        if script.body is not None and status == script.status:
            return self.send_body(status, script.body, script.headers)
        if status != 200:
            error = {"error": {"message": f"{self.imposter.name} says {status}", "type": "test_error", "param": None, "code": f"test_{status}"}}
            return self.send_body(status, json.dumps(error).encode(), script.headers)
        if body.get("stream"):
            return self.stream(script, body)
        data = json.dumps(self.completion(script, body), ensure_ascii=False).encode()
        if script.cut_after is not None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[:script.cut_after])
            self.wfile.flush()
            self.close_connection = True
            return None
        return self.send_body(200, data, script.headers)

    # -- answers --

    def texts(self, script, body):
        n = body.get("n") or 1
        return [script.text if n == 1 else f"{script.text} #{i}" for i in range(n)]

    def logprobs(self, script, body, text):
        if not body.get("logprobs") or not script.logprobs:
            return None
        tokens = split_tokens(text)
        least = len(tokens) // 2
        return {"content": [token_logprobs(t, script.p if i == least else 0.999, body.get("top_logprobs", 0)) for i, t in enumerate(tokens)],
                "refusal": None}

    def tool_calls(self, script):
        return [{"id": id, "type": "function", "function": {"name": name, "arguments": arguments}} for id, name, arguments in script.tool_calls]

    def completion(self, script, body):
        choices = []
        for i, text in enumerate(self.texts(script, body)):
            message = {"role": "assistant", "content": text, "refusal": None}
            reason = "stop"
            if script.tool_calls:
                message["content"] = None
                message["tool_calls"] = self.tool_calls(script)
                reason = "tool_calls"
                text = script.tool_calls[0][2]
            choices.append({"index": i, "message": message, "logprobs": self.logprobs(script, body, text), "finish_reason": reason})
        result = {"id": f"chatcmpl-{self.imposter.name}", "object": "chat.completion", "created": 1767225600, "model": f"{self.imposter.name}-v1",
                  "choices": choices}
        if script.usage:
            result["usage"] = usage_of(body, len(choices), script.text)
        return result

    def stream(self, script, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for sent, event in enumerate(self.events(script, body)):
            if script.cut_after is not None and sent >= script.cut_after:
                self.close_connection = True
                return
            data = f"data: {event}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
            if script.chunk_delay_s:
                time.sleep(script.chunk_delay_s)
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def events(self, script, body):
        asked_usage = script.usage and (body.get("stream_options") or {}).get("include_usage")

        def chunk(choices, usage=None):
            data = {"id": f"chatcmpl-{self.imposter.name}", "object": "chat.completion.chunk", "created": 1767225600,
                    "model": f"{self.imposter.name}-v1", "choices": choices}
            if asked_usage:
                data["usage"] = usage
            return json.dumps(data, ensure_ascii=False)

        def choice(i, delta, logprobs=None, reason=None):
            return {"index": i, "delta": delta, "logprobs": logprobs, "finish_reason": reason}

        texts = self.texts(script, body)
        for i, text in enumerate(texts):
            yield chunk([choice(i, {"role": "assistant", "content": None if script.tool_calls else "", "refusal": None})])
            if script.tool_calls:
                for k, call in enumerate(self.tool_calls(script)):
                    first = copy.deepcopy(call)
                    first["index"] = k
                    first["function"]["arguments"] = ""
                    yield chunk([choice(i, {"tool_calls": [first]})])
                    arguments = call["function"]["arguments"]
                    for at in range(0, len(arguments), 7):
                        piece = {"index": k, "function": {"arguments": arguments[at:at + 7]}}
                        yield chunk([choice(i, {"tool_calls": [piece]}, self.logprobs(script, body, arguments[at:at + 7]))])
            else:
                whole = self.logprobs(script, body, text)
                for t, token in enumerate(split_tokens(text)):
                    one = None if whole is None else {"content": [whole["content"][t]], "refusal": None}
                    yield chunk([choice(i, {"content": token}, one)])
            yield chunk([choice(i, {}, None, "tool_calls" if script.tool_calls else "stop")])
        if asked_usage:
            yield chunk([], usage_of(body, len(texts), script.text))
        yield "[DONE]"


def counts(imposter):
    """{last user message: calls}"""
    return collections.Counter(last_user_message(body) for _, _, body in list(imposter.requests))
