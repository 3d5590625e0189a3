"""Keys made by the command line, and limits, as the official SDK meets them."""

import json
import signal
import subprocess
import time

import openai
import pytest

from conftest import ask, client_of
from gateway import PROGRAM


def keys(gateway, *arguments):
    done = subprocess.run([PROGRAM, "keys", *arguments, "--config", gateway.config_path, "--json"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def reload(gateway):
    before = gateway.log_tail().count("reloaded:")
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while gateway.log_tail().count("reloaded:") == before:
        assert time.monotonic() < deadline, gateway.log_tail()
        time.sleep(0.02)


def test_a_key_is_made_rotated_and_revoked_beside_a_running_gateway(make_gateway, message):
    gateway = make_gateway()
    other = keys(gateway, "create", "other")["key"]
    first = keys(gateway, "create", "bot")["key"]
    reload(gateway)
    with pytest.raises(openai.AuthenticationError):
        ask(client_of(gateway, api_key="sk-wrong"), message)
    assert ask(client_of(gateway, api_key=first), message)[0]["x-understudy-served-by"]
    second = keys(gateway, "rotate", "bot", "--grace", "1h")["key"]
    reload(gateway)
    for key in (first, second):
        ask(client_of(gateway, api_key=key), message)
    keys(gateway, "revoke", "bot")
    reload(gateway)
    for key in (first, second):
        with pytest.raises(openai.AuthenticationError):
            ask(client_of(gateway, api_key=key), message)
    ask(client_of(gateway, api_key=other), message)


def test_the_sdk_waits_as_long_as_the_limit_says(make_gateway, message):
    gateway = make_gateway()
    key = keys(gateway, "create", "bot", "--requests-per-second", "2")["key"]
    reload(gateway)
    impatient = client_of(gateway, api_key=key)
    limits = [ask(impatient, message)[0]["x-ratelimit-remaining-requests"] for _ in range(2)]
    assert limits[0] == "1"
    refused = None
    for _ in range(20):  # a slow machine may refill in between
        try:
            ask(impatient, message)
        except openai.RateLimitError as error:
            refused = error
            break
    assert refused is not None and refused.code == "rate_limit_exceeded" and refused.type == "rate_limit_error"
    assert 1 <= int(refused.response.headers["retry-after-ms"]) <= 500
    assert refused.response.headers["x-ratelimit-limit-requests"] == "2"
    patient = client_of(gateway, api_key=key, max_retries=3)
    for _ in range(5):  # more than the bucket holds: without waiting some would fail
        assert ask(patient, message)[1].choices[0].message.content


def test_a_limit_of_tokens_counts_what_answers_really_had(make_gateway, teacher, message):
    import hashlib
    key = f'[[keys]]\nname = "bot"\nhash = "{hashlib.sha256(b"bot").hexdigest()}"\ntokens_per_minute = 600\n'
    gateway = make_gateway(more=key, stages='["student", "teacher"]')
    client = client_of(gateway, api_key="bot")
    teacher.on(message, text="word " * 400)
    headers, answer = ask(client, message, model="understudy/teacher")
    assert headers["x-ratelimit-limit-tokens"] == "600" and "x-ratelimit-limit-requests" not in headers
    assert 500 < int(headers["x-ratelimit-remaining-tokens"]) < 600, "only the request's own are known when the headers go out"
    assert answer.usage.total_tokens > 400
    headers, _ = ask(client, message + " small", model="understudy/teacher")
    assert int(headers["x-ratelimit-remaining-tokens"]) < 250, "now the first answer's are counted, too"
    with pytest.raises(openai.RateLimitError, match="tokens a minute") as info:
        for _ in range(20):
            ask(client, message, model="understudy/teacher")
    assert int(info.value.response.headers["retry-after-ms"]) > 0 and info.value.response.headers["x-ratelimit-remaining-tokens"].isdigit()
    assert 'understudy_rate_limited_total{key="bot"} 1' in gateway.raw("GET", "/metrics")[2].decode()
