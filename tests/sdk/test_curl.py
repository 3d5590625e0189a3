"""curl, as the documentation shows it."""

import json
import os
import shutil
import subprocess
import time

import pytest


@pytest.fixture(autouse=True)
def there():
    if not shutil.which("curl"):
        assert not os.environ.get("UNDERSTUDY_SDK_REQUIRED"), "curl is not installed"
        pytest.skip("curl is not installed")


def arguments(gateway, message, *more, **body):
    data = json.dumps({"model": "support", "messages": [{"role": "user", "content": message}], **body})
    return ["curl", "-sS", *more, f"{gateway.base_url}/chat/completions", "-H", "Content-Type: application/json", "-d", data]


def curl(*arguments):
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_plain(gateway, student, message):
    student.on(message, text="Your card is on its way.")
    head, _, body = curl(*arguments(gateway, message, "-i")).partition("\n\n")
    assert head.startswith("HTTP/1.1 200") and "x-understudy-served-by: student" in head
    assert json.loads(body)["choices"][0]["message"]["content"] == "Your card is on its way."


def test_an_error_fails_where_curl_is_told_so(gateway):
    done = subprocess.run(["curl", "-sS", "--fail-with-body", f"{gateway.base_url}/chat/completions", "-d", "{"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 22 and json.loads(done.stdout)["error"]["message"]


def test_a_large_body_waits_for_100_continue(gateway, student, message):
    """curl says `Expect: 100-continue` for bodies over 1 MB and sends them a second later where nobody answers."""
    student.on(message, text="read")
    data = json.dumps({"model": "support", "messages": [{"role": "system", "content": "x" * 2_000_000}, {"role": "user", "content": message}]})
    done = subprocess.run(["curl", "-sS", "-v", "--expect100-timeout", "20", f"{gateway.base_url}/chat/completions", "-H", "Content-Type: application/json", "-d", "@-"],
                          input=data, capture_output=True, text=True, timeout=30)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "read"
    assert "100 Continue" in done.stderr


def test_n_shows_a_stream_as_it_comes(uncached, student, teacher, message):
    student.on(message, text="secretdraft", p=0.3)
    teacher.on(message, text="a b c d e f g h i j", chunk_delay_s=0.1)
    process = subprocess.Popen(arguments(uncached, message, "-N", stream=True), stdout=subprocess.PIPE)
    lines, times = [], []
    for line in process.stdout:
        if line.startswith(b"data: "):
            lines.append(line)
            times.append(time.monotonic())
    assert process.wait(10) == 0 and lines[-1] == b"data: [DONE]\n"
    text = "".join(c["delta"].get("content") or "" for line in lines[:-1] for c in json.loads(line[6:])["choices"])
    assert text == "a b c d e f g h i j" and b"secretdraft" not in b"".join(lines)
    assert times[-1] - times[0] > 0.5, "the lines came one by one, not all at the end"
