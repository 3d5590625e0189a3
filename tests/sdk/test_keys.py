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
