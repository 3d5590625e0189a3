import itertools

import openai
import pytest

import gateway as gateway_module
from imposter import Imposter


@pytest.fixture(scope="session")
def student():
    imposter = Imposter("student")
    yield imposter
    imposter.close()


@pytest.fixture(scope="session")
def teacher():
    imposter = Imposter("teacher")
    yield imposter
    imposter.close()


@pytest.fixture(scope="session")
def make_gateway(tmp_path_factory, student, teacher):
    """make_gateway(**config) -> Gateway, ended with the session. Upstreams are the shared imposters."""
    started = []

    def make(**config):
        started.append(gateway_module.Gateway(tmp_path_factory.mktemp("gateway"), student.url, teacher.url, **config))
        return started[-1]

    yield make
    # A gateway that dies late, or is ended by a sanitizer or its leak check, fails the run.
    ends = [(gateway.stop(), gateway.log_tail()) for gateway in started]
    assert all(status == 0 for status, _ in ends), "\n".join(f"ended with {status}:\n{log}" for status, log in ends if status != 0)


@pytest.fixture(scope="session")
def gateway(make_gateway):
    """The ordinary one: cache, student, teacher, live, no coins, no keys."""
    return make_gateway()


@pytest.fixture(scope="session")
def uncached(make_gateway):
    return make_gateway(stages='["student", "teacher"]')


def client_of(gateway, **options):
    return openai.OpenAI(base_url=gateway.base_url, **{"api_key": "sk-anything", "max_retries": 0, "timeout": 30, **options})


@pytest.fixture(scope="session")
def client(gateway):
    return client_of(gateway)


_numbers = itertools.count()


@pytest.fixture
def message():
    """A user message that no other test has sent: neither scripts nor cached answers are shared."""
    return f"question number {next(_numbers)}"


def ask(client, message, **options):
    """Headers and parsed answer of one plain call."""
    raw = client.chat.completions.with_raw_response.create(
        **{"model": "support", "messages": [{"role": "user", "content": message}], **options})
    return raw.headers, raw.parse()


def ask_stream(client, message, **options):
    """All chunks of one streamed call."""
    return list(client.chat.completions.create(
        **{"model": "support", "messages": [{"role": "user", "content": message}], "stream": True, **options}))


def assemble(chunks):
    """What a client makes of a stream's first choice: text, tool calls, finish reason, usage."""
    text, calls, reason, usage = None, {}, None, None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            if choice.index != 0:
                continue
            if choice.delta.content is not None:
                text = (text or "") + choice.delta.content
            for call in choice.delta.tool_calls or []:
                one = calls.setdefault(call.index, {"id": None, "name": None, "arguments": ""})
                if call.id:
                    assert one["id"] is None, "only the first delta of a tool call has its id"
                    one["id"], one["name"] = call.id, call.function.name
                one["arguments"] += call.function.arguments or ""
            reason = choice.finish_reason or reason
    return {"text": text or None, "calls": [calls[i] for i in sorted(calls)], "reason": reason, "usage": usage}


def assembled_plain(answer):
    message = answer.choices[0].message
    calls = [{"id": c.id, "name": c.function.name, "arguments": c.function.arguments} for c in message.tool_calls or []]
    return {"text": message.content or None, "calls": calls, "reason": answer.choices[0].finish_reason, "usage": answer.usage}
