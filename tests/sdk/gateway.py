"""The program under test as a child process."""

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import threading
import time

PROGRAM = os.environ.get("UNDERSTUDY_PROGRAM", "")

CONFIG = """
[server]
workers = {workers}
unknown_model = "{unknown_model}"
heartbeat_s = {heartbeat_s}
{server_extra}
[models.student]
api = "openai"
url = "{student}"
model = "student-v1"
{student_extra}
price = {{ input = "0.10", output = "0.40" }}
[models.teacher]
url = "{teacher}"
model = "teacher-v1"
{teacher_extra}
price = {{ input = "2.50", output = "10.00" }}
[cascade.default]
stages = {stages}
mode = "{mode}"
spot_check = {spot_check}
{by_hand}
{cascade_extra}
{more}
"""

DEFAULTS = {"server_extra": "", "workers": 1, "unknown_model": "auto", "heartbeat_s": 5, "student_extra": "", "teacher_extra": "", "mode": "live", "spot_check": 0.0,
            "stages": '["cache", "student", "teacher"]', "by_hand": "escalate_below = 0.8", "cascade_extra": "", "more": ""}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gateway:
    def __init__(self, directory, student_url, teacher_url, environment=None, tls=None, **config):
        """`tls`: has `ca`, a file, and `path(name)`, where live.pem and live.key are."""
        self.tls = tls
        if tls:
            config["server_extra"] = f'tls_cert = "{tls.path("live.pem")}"\ntls_key = "{tls.path("live.key")}"'
        self.directory = str(directory)
        self.data = os.path.join(self.directory, "data")
        self.config_path = os.path.join(self.directory, "understudy.toml")
        self.environment = {**os.environ, **(environment or {})}
        with open(self.config_path, "w") as f:
            f.write(CONFIG.format(**{**DEFAULTS, **config}, student=student_url, teacher=teacher_url))
        self.log_path = os.path.join(self.directory, "gateway.log")
        self.process = None
        self.start()

    def start(self):
        self.port = free_port()
        self.base_url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/v1"
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "serve", "--config", self.config_path, "--listen", f"127.0.0.1:{self.port}", "--data", self.data],
                stdout=log, stderr=log, env=self.environment)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the gateway ended with {self.process.returncode}:\n{self.log_tail()}")
            try:
                status, _, _ = self.raw("GET", "/health")
                if status == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"the gateway is not healthy after 30 s:\n{self.log_tail()}")

    def log_tail(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as f:
            return f.read()[-3000:]

    def stop(self, how=signal.SIGTERM, seconds=30):
        """Exit status, or None where it does not end in time (then it is killed)."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def raw(self, method, path, body=None, headers=None, timeout=30):
        """(status, headers, bytes) over a plain connection: for what an SDK would hide."""
        if self.tls:
            connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=ssl.create_default_context(cafile=self.tls.ca))
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            reply = connection.getresponse()
            return reply.status, {k.lower(): v for k, v in reply.getheaders()}, reply.read()
        finally:
            connection.close()

    def post(self, body, headers=None):
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return self.raw("POST", "/v1/chat/completions", data, {"Content-Type": "application/json", **(headers or {})})

    def cli(self, *arguments):
        """(exit status, standard output, standard error) of a command on this gateway's data."""
        done = subprocess.run([PROGRAM, *arguments, "--data", self.data], capture_output=True, text=True, timeout=60, env=self.environment)
        return done.returncode, done.stdout, done.stderr

    def cli_json(self, *arguments):
        status, out, err = self.cli(*arguments, "--json")
        assert status == 0, (arguments, status, err)
        return json.loads(out)


def in_background(call):
    """Runs `call` on a thread; the returned function waits for its result (or raises its exception)."""
    box = {}

    def run():
        try:
            box["result"] = call()
        except BaseException as error:  # handed to whoever waits
            box["error"] = error

    thread = threading.Thread(target=run, daemon=True)
    thread.start()

    def wait(seconds=60):
        thread.join(seconds)
        assert not thread.is_alive(), "the call did not return"
        if "error" in box:
            raise box["error"]
        return box["result"]

    return wait
