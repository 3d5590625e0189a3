"""TLS for listening: SDKs over https with an authority of their own, renewal by reload, and what happens to those who speak something else."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import openai
import pytest

from authority import Authority
from conftest import ask, ask_stream, assemble
from gateway import PROGRAM, in_background


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("authority"))
    for name in ("first", "second"):
        made.sign(name)
    made.put("first")
    return made


@pytest.fixture(scope="module")
def secure(make_gateway, authority):
    return make_gateway(tls=authority, stages='["student", "teacher"]', heartbeat_s=0.2)


def secure_client(gateway, authority):
    """The SDK as it is: it takes the authority from the environment when it is made."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = authority.ca
    try:
        return openai.OpenAI(base_url=gateway.base_url, api_key="sk-anything", max_retries=0, timeout=30)
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


def shown_name(gateway, authority):
    """Common name of the certificate that a new connection is shown."""
    context = ssl.create_default_context(cafile=authority.ca)
    with socket.create_connection(("127.0.0.1", gateway.port)) as s, context.wrap_socket(s, server_hostname="localhost") as tls:
        return dict(part[0] for part in tls.getpeercert()["subject"])["commonName"]


def test_the_sdk_gets_plain_and_streamed_answers_over_https(secure, authority, student, teacher, message):
    client = secure_client(secure, authority)
    teacher.on(message, text="word " * 2000 + "end")
    student.on(message, text="draft", p=0.3, delay_s=0.6)
    headers, answer = ask(client, message)
    assert answer.choices[0].message.content == "word " * 2000 + "end" and headers["x-understudy-served-by"] == "teacher"
    for _ in range(3):
        chunks = ask_stream(client, message, stream_options={"include_usage": True})
        assert assemble(chunks)["text"] == "word " * 2000 + "end"
        assert assemble(chunks)["usage"].completion_tokens == answer.usage.completion_tokens


def test_a_client_that_does_not_know_the_authority_refuses(secure):
    with pytest.raises(openai.APIConnectionError):
        ask(openai.OpenAI(base_url=secure.base_url, api_key="sk-anything", max_retries=0, timeout=30), "hello")


def test_curl_offers_http2_and_gets_http11(secure, authority, student, message):
    student.on(message, text="over TLS")
    done = subprocess.run(["curl", "-sS", "-i", "--cacert", authority.ca, f"https://localhost:{secure.port}/v1/chat/completions", "-d",
                           json.dumps({"model": "support", "messages": [{"role": "user", "content": message}]})], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HTTP/1.1 200") and "over TLS" in done.stdout


def test_http11_is_agreed_on(secure, authority):
    context = ssl.create_default_context(cafile=authority.ca)
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection(("127.0.0.1", secure.port)) as s, context.wrap_socket(s, server_hostname="localhost") as tls:
        assert tls.selected_alpn_protocol() == "http/1.1" and tls.version() == "TLSv1.3"


def test_plain_http_is_told_to_use_https(secure):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"http://127.0.0.1:{secure.port}/health", timeout=10)
    assert refused.value.code == 400 and "https://" in json.loads(refused.value.read())["error"]["message"]


def test_the_commands_speak_https_too(secure, authority):
    done = subprocess.run([PROGRAM, "status", "--url", f"https://localhost:{secure.port}", "--json"], capture_output=True, text=True, timeout=30,
                          env={**os.environ, "SSL_CERT_FILE": authority.ca})
    assert done.returncode == 0, done.stderr
    assert "requests" in json.loads(done.stdout)["all"]


def log_has(gateway, text, times=1):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if gateway.log_tail().count(text) >= times:
            return True
        time.sleep(0.02)
    return False


def test_a_reload_shows_the_new_certificate_and_leaves_running_streams_alone(make_gateway, authority, student, teacher, message):
    gateway = make_gateway(tls=authority, stages='["student", "teacher"]')
    client = secure_client(gateway, authority)
    assert shown_name(gateway, authority) == "first"
    student.on(message, p=0.3)
    teacher.on(message, text="a b c d e f g h i j", chunk_delay_s=0.1)
    running = in_background(lambda: ask_stream(client, message))
    try:
        authority.put("second")
        gateway.process.send_signal(signal.SIGHUP)
        assert log_has(gateway, "reloaded:")
        assert shown_name(gateway, authority) == "second"
        assert assemble(running())["text"] == "a b c d e f g h i j"
        # A broken pair changes nothing.
        with open(authority.path("live.key"), "wb") as target, open(authority.path("first.key"), "rb") as source:
            target.write(source.read())
        gateway.process.send_signal(signal.SIGHUP)
        assert log_has(gateway, "reload refused") and log_has(gateway, "does not belong to the certificate")
        assert shown_name(gateway, authority) == "second"
    finally:
        authority.put("first")


def test_a_drain_finishes_an_encrypted_stream(make_gateway, authority, student, teacher, message):
    gateway = make_gateway(tls=authority, stages='["student", "teacher"]')
    student.on(message, p=0.3)
    teacher.on(message, text="a b c d e f g h i j", chunk_delay_s=0.1)
    running = in_background(lambda: ask_stream(secure_client(gateway, authority), message))
    deadline = time.monotonic() + 10
    while not teacher.calls(message) and time.monotonic() < deadline:
        time.sleep(0.01)
    gateway.process.send_signal(signal.SIGTERM)
    assert assemble(running())["text"] == "a b c d e f g h i j"
    assert gateway.process.wait(30) == 0


def test_config_check_finds_what_is_wrong_and_warns_of_dates(secure, authority, tmp_path):
    authority.sign("brief", days=3)

    def check(cert, key):
        file = tmp_path / "c.toml"
        text = open(secure.config_path).read()
        file.write_text(text.replace(authority.path("live.pem"), cert).replace(authority.path("live.key"), key))
        done = subprocess.run([PROGRAM, "config", "check", str(file)], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    status, said = check(authority.path("first.pem"), authority.path("second.key"))
    assert status == 2 and "second.key" in said and "does not belong" in said
    status, said = check(authority.path("nowhere.pem"), authority.path("first.key"))
    assert status == 2 and "nowhere.pem" in said and "No such file" in said
    status, said = check(authority.path("brief.pem"), authority.path("brief.key"))
    assert status == 0 and "expires on" in said
