"""What an operator does and meets: reload and drain under load, group durability, full and unreadable disks, bad configuration,
shadow mode."""

import hashlib
import http.client
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

import gateway as gateway_module
from conftest import ask, ask_stream, client_of
from gateway import free_port, in_background
from test_process import recorded_ids, wait_for


def serve_refused(*arguments, **options):
    """Standard error of a `serve` that must refuse to start with exit status 2."""
    listen = [] if "--listen" in arguments else ["--listen", "127.0.0.1:0"]
    done = subprocess.run([gateway_module.PROGRAM, "serve", *listen, *map(str, arguments)],
                          capture_output=True, text=True, timeout=30, **options)
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "\nunderstudy serve: " in "\n" + done.stderr, "warnings may stand before it"
    assert "terminate called" not in done.stderr
    return done.stderr


def models(student="http://127.0.0.1:9/v1#s", teacher="http://127.0.0.1:9/v1#t"):
    return ["--student", student, "--teacher", teacher]


class Load:
    """Clients that send one request after the other; what they got is kept, whole or not."""

    def __init__(self, gateway, clients=6, headers=None):
        self.port, self.stop = gateway.port, threading.Event()
        self.finished, self.refused, self.broken = [], [], []
        self.unanswered = []  # the connection ended before a byte of an answer: a client may send such a request again
        self.headers = headers or {}
        self.threads = [threading.Thread(target=self.run, args=(f"load-{id(self)}-{c}",), daemon=True) for c in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, name):
        n = 0
        while not self.stop.is_set():
            n += 1
            request_id, streamed = f"{name}-{n}", n % 3 == 0
            body = json.dumps({"model": "support", "messages": [{"role": "user", "content": request_id}], "stream": streamed})
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            try:
                connection.connect()
            except OSError:
                self.refused.append(request_id)  # nothing was taken from us
                time.sleep(0.01)
                continue
            reply = None
            try:
                connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-request-id": request_id, **self.headers})
                reply = connection.getresponse()
                text = reply.read()
                if reply.status == 503:
                    self.refused.append(request_id)
                elif reply.status == 200 and text.endswith(b"data: [DONE]\n\n" if streamed else b"}"):
                    self.finished.append(request_id)
                else:
                    self.broken.append((request_id, reply.status, text[-200:]))
            except (OSError, http.client.HTTPException) as error:
                if reply is None:
                    self.unanswered.append(request_id)
                else:
                    self.broken.append((request_id, repr(error), b""))
            finally:
                connection.close()

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(30)
        return self


def test_reload_under_load_breaks_no_request(make_gateway, student, teacher):
    gateway = make_gateway(workers=2, stages='["student", "teacher"]')
    with open(gateway.config_path) as f:
        good = f.read()
    load = Load(gateway)
    for round_number in range(12):
        bad = round_number % 3 == 2
        with open(gateway.config_path, "w") as f:
            f.write(good + "\nnonsense = [" if bad else good.replace("escalate_below = 0.8", f"escalate_below = 0.{round_number + 10}"))
        before = gateway.log_tail().count("reload")
        gateway.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: gateway.log_tail().count("reload") > before)
    load.end()
    assert not load.broken and not load.refused and not load.unanswered, (load.broken[:3], load.refused[:3], load.unanswered[:3])
    assert len(load.finished) > 50
    versions = {r["policy_version"] for r in gateway.cli_json("requests", "--limit", "10000")["requests"]}
    assert len(versions) > 2, "requests say which policy they were decided by"


def test_reload_of_keys_locks_the_old_key_out_and_lets_the_new_one_in(make_gateway):
    def section(key):
        return f'[[keys]]\nname = "bot"\nhash = "{hashlib.sha256(key.encode()).hexdigest()}"\n'
    gateway = make_gateway(more=section("old-key"))
    body = {"model": "support", "messages": [{"role": "user", "content": "rotate"}]}
    assert gateway.post(body, {"Authorization": "Bearer old-key"})[0] == 200
    with open(gateway.config_path) as f:
        text = f.read()
    with open(gateway.config_path, "w") as f:
        f.write(text.replace(section("old-key"), section("new-key")))
    gateway.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: gateway.post(body, {"Authorization": "Bearer new-key"})[0] == 200)
    assert gateway.post(body, {"Authorization": "Bearer old-key"})[0] == 401


def test_drain_under_load_ends_whole_answers_only_and_records_them(make_gateway, student):
    gateway = make_gateway(workers=2)
    student.default.delay_s = 0.02
    try:
        load = Load(gateway, clients=8)
        assert wait_for(lambda: len(load.finished) > 40)
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(30) == 0
        load.end()
    finally:
        student.default.delay_s = 0
    assert not load.broken, f"{len(load.broken)} answers were cut: {load.broken[:3]}"
    recorded = recorded_ids(gateway)
    assert set(load.finished) <= recorded
    # A connection that the drain closed before its request was read: nobody was asked for it.
    assert not set(load.unanswered) & recorded, load.unanswered
    assert gateway.cli("store", "check")[0] == 0


def test_a_drain_that_takes_too_long_is_ended(make_gateway, teacher, message):
    gateway = make_gateway(more="")
    with open(gateway.config_path) as f:
        text = f.read()
    assert gateway.stop() == 0
    with open(gateway.config_path, "w") as f:
        f.write(text.replace("[server]", '[server]\ndrain = "500ms"'))
    gateway.start()
    gate = threading.Event()
    teacher.on(message, text="never in time", gate=gate)
    try:
        def call():
            try:
                return gateway.post({"model": "understudy/teacher", "messages": [{"role": "user", "content": message}]})[0]
            except (OSError, http.client.HTTPException):
                return None
        answer = in_background(call)
        assert wait_for(lambda: teacher.calls(message))
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0, "the deadline ends it in order"
        assert answer() != 200
    finally:
        gate.set()


def test_group_durability_serves_and_keeps_everything(make_gateway, student):
    gateway = make_gateway(workers=2, more='[store]\ndurability = "group"\n')
    headers, _ = ask(client_of(gateway), "group plain")
    assert "".join(c.choices[0].delta.content or "" for c in ask_stream(client_of(gateway), "group stream") if c.choices) == student.default.text
    load = Load(gateway, clients=8)
    assert wait_for(lambda: len(load.finished) > 60, 30)
    gateway.process.kill()
    gateway.process.wait()
    load.end()
    gateway.start()
    ids = recorded_ids(gateway)
    assert headers["x-request-id"] in ids and set(load.finished) <= ids
    assert gateway.cli_json("status")["records_dropped"] == 0
    assert gateway.cli("store", "check")[0] == 0


def test_a_really_full_disk_does_not_stop_answers_and_is_said(make_gateway, student, teacher, tmp_path):
    """The data directory on a file system of 36 MiB that fills up. Needs the right to mount; the limit on file sizes in
    test_process.py stands for it elsewhere."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=36m", "tmpfs", str(disk)], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a file system")
    try:
        gateway = make_gateway()
        assert gateway.stop() == 0
        gateway.data = str(disk / "data")
        gateway.start()
        client = client_of(gateway)
        rng = random.Random(24)
        (disk / "ballast").write_bytes(b"x" * (8 << 20))
        for i in range(120):  # 30 MB of texts that cannot be compressed to fit
            text = f"full disk {i} " + rng.randbytes(125_000).hex()
            assert ask(client, text)[1].choices[0].message.content == student.default.text
        assert gateway.process.poll() is None
        metrics = gateway.raw("GET", "/metrics")[2].decode()
        failures = [line for line in metrics.splitlines() if line.startswith(("understudy_records_dropped_total", "understudy_store_write_failures_total"))]
        assert any(not line.endswith(" 0") for line in failures), failures
        assert "disk" in gateway.log_tail().lower() or "full" in gateway.log_tail().lower(), gateway.log_tail()
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
        answered = gateway.cli_json("status")["all"]["requests"]
        ask(client, "space again")
        assert wait_for(lambda: gateway.cli_json("status")["all"]["requests"] > answered, 30), "what comes after the shortage is recorded"
        assert gateway.stop() == 0
        assert gateway.cli("store", "check")[0] == 0
    finally:
        gateway.stop()
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_a_backup_taken_while_it_runs_can_be_restored(make_gateway, tmp_path):
    gateway = make_gateway()
    load = Load(gateway, clients=3)
    assert wait_for(lambda: len(load.finished) > 30)
    before = set(load.finished)
    assert wait_for(lambda: before <= recorded_ids(gateway))
    time.sleep(1)  # docs/operate/running.md: SQLite has it about 200 ms later
    restored = tmp_path / "restored"
    restored.mkdir()
    with sqlite3.connect(os.path.join(gateway.data, "store.sqlite")) as source, sqlite3.connect(restored / "store.sqlite") as target:
        source.backup(target)
    source.close()
    target.close()
    load.end()
    assert gateway.stop() == 0
    gateway.data = str(restored)
    gateway.start()
    ask(client_of(gateway), "after the restore")
    assert before <= recorded_ids(gateway)
    assert wait_for(lambda: gateway.cli("store", "check")[0] == 0)


def test_data_of_a_newer_version_is_refused_and_left_alone(make_gateway):
    gateway = make_gateway()
    ask(client_of(gateway), "before the downgrade")
    assert gateway.stop() == 0
    path = os.path.join(gateway.data, "store.sqlite")
    with sqlite3.connect(path) as db:
        db.execute("pragma user_version = 99")
    db.close()
    error = serve_refused("--config", gateway.config_path, "--data", gateway.data)
    assert "newer" in error and gateway.data in error
    for command in (["status"], ["requests"], ["store", "check"]):
        status, _, text = gateway.cli(*command)
        assert status == 2 and "newer" in text, (command, status, text)
    with sqlite3.connect(path) as db:
        assert db.execute("pragma user_version").fetchone()[0] == 99
    db.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_data_without_permission_is_named(make_gateway, tmp_path):
    tmp_path.chmod(0o755)
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o700)
    program = str(tmp_path / "understudy")
    with open(gateway_module.PROGRAM, "rb") as source, open(program, "wb") as target:
        target.write(source.read())
    os.chmod(program, 0o755)
    for parent in tmp_path.parents:  # pytest's own folders are private
        if str(parent).startswith("/tmp/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run([program, "serve", "--listen", "127.0.0.1:0", *models(), "--data", str(locked / "data")],
                          capture_output=True, text=True, timeout=30, user=65534, group=65534, cwd="/")
    assert done.returncode == 2, done.stderr
    assert str(locked) in done.stderr and "ermission" in done.stderr


def test_a_file_where_the_data_directory_should_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a directory")
    assert str(file) in serve_refused(*models(), "--data", file)
    assert "not a directory" == file.read_text()
    assert "cannot create" in serve_refused(*models(), "--data", "/proc/no-such-place")


@pytest.mark.parametrize("text, said", [
    ("[server", "toml:1"),
    ("server = 3", "server"),
    ('[server]\nworkers = "two"', "workers"),
    ("[server]\nworkers = 1000", "256"),
    ('[cascade.default]\nmode = "fast"', "shadow"),
    ('[cascade.default]\nspot_check = 1.5', "spot_check"),
    ('[cascade.default]\nstages = ["teacher", "student"]', "must end with"),
    ('[cascade.default]\nteacher = "techer"', "[models.techer]"),
    ('[store]\ndurability = "maybe"', "group"),
    ('[store]\nbodies = "soon"', "bodies"),
    ('[[keys]]\nname = "a"\nhash = "abc"', "64"),
    ('[models.other]\nmodel = "m"', "url"),
    ('[models.other]\nmodel = "openai:m"\nkey_env = "SURELY_NOT_SET"', "SURELY_NOT_SET"),
    ('[limits]\nmax_usd_per_day = -5', "max_usd_per_day"),
    ('[tasks.x]\ncompare = "vibes"', "compare"),
])
def test_a_wrong_configuration_says_what_where_and_how(tmp_path, text, said):
    path = tmp_path / "wrong.toml"
    path.write_text(text + "\n")
    error = serve_refused("--config", path, *models(), "--data", tmp_path / "data")
    assert said in error and str(path) in error, error
    assert not (tmp_path / "data").exists(), "nothing is made before the configuration is known to be good"
    checked = subprocess.run([gateway_module.PROGRAM, "config", "check", str(path), *models()], capture_output=True, text=True, timeout=30)
    assert checked.returncode == 2 and said in checked.stderr


def test_configurations_that_cannot_be_read(tmp_path):
    assert "No such file" in serve_refused("--config", tmp_path / "none.toml")
    assert "directory" in serve_refused("--config", tmp_path)


def test_flags_that_cannot_be_meant(tmp_path):
    data = ["--data", tmp_path / "data"]
    assert "--teacher" in serve_refused("--student", "ollama:x", *data)
    assert "--student" in serve_refused("--teacher", "ollama:x", *data)
    assert 'did you mean "ollama"' in serve_refused(*models(student="olama:x"), *data)
    assert "#my-model" in serve_refused(*models(student="http://127.0.0.1:9/v1"), *data)
    assert "NOT_SET_HERE" in serve_refused(*models(), "--student-key-env", "NOT_SET_HERE", *data)
    assert "IN,OUT" in serve_refused(*models(), "--student-price", "1", *data)
    port = free_port()
    assert "own address" in serve_refused(*models(student=f"http://localhost:{port}/v1#s"), *data, "--listen", f"127.0.0.1:{port}")
    assert "loopback" in serve_refused(*models(), *data, "--listen", "0.0.0.0:0")
    assert "ADDRESS:PORT" in serve_refused(*models(), *data, "--listen", "nowhere")


def test_shadow_mode_reports_what_it_would_have_saved(make_gateway, student, teacher, message):
    gateway = make_gateway(mode="shadow")
    client = client_of(gateway)
    for i, p in enumerate([0.99, 0.95, 0.3]):
        student.on(f"{message} {i}", text=f"answer {i}" if i != 1 else "another answer", p=p)
        teacher.on(f"{message} {i}", text=f"answer {i}")
        headers, answer = ask(client, f"{message} {i}")
        assert answer.choices[0].message.content == f"answer {i}" and headers["x-understudy-served-by"] == "teacher"
    assert wait_for(lambda: (gateway.cli_json("status")["shadow"] or {"requests": 0})["requests"] == 3)
    status = gateway.cli_json("status")
    shadow = status["shadow"]
    assert shadow["would_serve"] == 2 and shadow["agreement_n"] == 2 and shadow["agreement"] == 0.5
    assert 0 < float(shadow["would_save_usd"]) < float(shadow["teacher_cost_usd"])
    assert float(status["all"]["cost_usd"]) > float(status["all"]["teacher_cost_usd"]), "what runs beside is paid for"
    text = gateway.cli("status")[1]
    assert "Shadow: what live mode would have done with 3 requests" in text and "Would have saved" in text


def test_an_upstream_without_usage_makes_the_cost_an_estimate_that_says_so(uncached, student, teacher, message):
    student.on(message, text="sure", p=0.99, usage=False)
    headers, answer = ask(client_of(uncached), message)
    assert headers["x-understudy-cost-usd"].startswith("~") and headers["x-understudy-saved-usd"].startswith("~")
    assert float(headers["x-litellm-response-cost"]) > 0
    request = uncached.cli_json("explain", headers["x-request-id"])
    assert request["cost_estimated"] is True and request["attempts"][0]["usage"]["estimated"] is True
    for stage, model in ((student, "support"), (teacher, "understudy/teacher")):
        stage.on(message + " streamed", text="sure", p=0.99, usage=False)
        usage = ask_stream(client_of(uncached), message + " streamed", model=model, stream_options={"include_usage": True})[-1].usage
        assert usage.prompt_tokens > 0 and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens, "numbers, as SDKs promise"
        assert usage.model_extra["estimated"] is True
    assert "it cost ~$" in uncached.cli("explain", headers["x-request-id"])[1]


def test_doctor_tells_what_works_and_what_does_not(student, teacher, tmp_path):
    def doctor(*arguments):
        done = subprocess.run([gateway_module.PROGRAM, "doctor", *arguments, "--data", str(tmp_path)], capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout
    code, out = doctor(*models(student.url + "#s", teacher.url + "#t"), "--student-price", "0.1,0.4", "--teacher-price", "2.5,10")
    assert code == 0 and "unknown" not in out, out
    code, out = doctor(*models(f"http://127.0.0.1:{free_port()}/v1#s", teacher.url + "#t"))
    assert code == 1 and "FAIL" in out and "student" in out and "unknown" in out, out


def test_doctor_opens_the_encoder_or_says_what_is_missing(student, teacher, tmp_path):
    def encoder(**environment):
        done = subprocess.run([gateway_module.PROGRAM, "doctor", *models(student.url + "#s", teacher.url + "#t"), "--data", str(tmp_path), "--json"],
                              capture_output=True, text=True, timeout=60, env={**os.environ, **environment})
        assert done.returncode == 0, done.stdout + done.stderr  # nothing is broken without one
        return next(check for check in json.loads(done.stdout)["checks"] if check["check"] == "encoder")
    missing = encoder(UNDERSTUDY_ENCODER_MODEL="/nowhere")
    assert not missing["ok"] and missing["note"] == "encoder model: /nowhere is no folder"
    missing = encoder(UNDERSTUDY_ENCODER_RUNTIME="/nowhere/x.so")
    assert not missing["ok"] and ("./dev deps encoder" in missing["note"])
    fetched = pathlib.Path(__file__).parents[2] / ".deps/encoder/all-MiniLM-L6-v2"
    found = encoder(UNDERSTUDY_ENCODER_MODEL=str(fetched))
    if fetched.exists() and (pathlib.Path(gateway_module.PROGRAM).parent / "libunderstudy_openvino.so").exists():
        assert found["ok"] and found["note"].startswith("all-MiniLM-L6-v2 int8 "), found
    else:
        assert not found["ok"], found
