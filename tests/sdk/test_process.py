"""The program as a process: what it records, how it ends, how it comes back."""

import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import threading
import time

import openai
import pytest

import gateway as gateway_module
from conftest import ask, ask_stream, client_of
from gateway import in_background


def wait_for(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


def recorded_ids(gateway):
    """Request ids of all finished requests in the store."""
    ids, cursor = set(), None
    while True:
        page = gateway.cli_json("requests", "--limit", "10000", *(["--cursor", cursor] if cursor else []))
        ids |= {r["request_id"] for r in page["requests"] if r["finished"]}
        cursor = page["next"]
        if not cursor:
            return ids


def test_status_explain_and_requests_tell_what_happened(make_gateway, student, teacher, message):
    gateway = make_gateway()
    client = client_of(gateway)
    student.on(message, text="draft", p=0.3)
    teacher.on(message, text="final")
    headers, _ = ask(client, message, extra_headers={"x-understudy-task": "billing", "x-understudy-session": "s-1"})
    ask(client, message, extra_headers={"x-understudy-task": "billing"})
    student.on(message + " easy", text="sure", p=0.99)
    ask_stream(client, message + " easy")
    status = gateway.cli_json("status")
    assert status["all"]["requests"] == 3
    assert {k: v for k, v in status["all"]["served_by"].items() if v} == {"cache": 1, "student": 1, "teacher": 1}
    assert status["all"]["escalated"] == 1 and status["all"]["teacher_calls"] == 1 and status["records_dropped"] == 0
    assert [t["task"] for t in status["tasks"] if t["all"]["requests"] == 2] == ["billing"]
    explained = gateway.cli_json("explain", headers["x-request-id"])
    assert explained["served_by"] == "teacher" and explained["reason"] == "below_threshold" and explained["escalated"] is True
    assert explained["task"] == "billing" and explained["session"] == "s-1" and explained["status"] == 200
    assert float(explained["cost_usd"]) == float(headers["x-understudy-cost-usd"])
    assert f"{explained['confidence']:.4f}" == headers["x-understudy-confidence"]
    assert explained["threshold"] == 0.8 and explained["threshold_by_hand"] is True
    assert explained["coin"] == {"heads": False, "probability": 0}
    attempts = explained["attempts"]
    assert [a["stage"] for a in attempts] == ["student", "teacher"] and [a["served"] for a in attempts] == [False, True]
    assert "draft" in attempts[0]["answer"]["text"] and "final" in attempts[1]["answer"]["text"]
    assert attempts[0]["features"] and attempts[0]["usage"]["output"] == 1
    code, text, _ = gateway.cli("explain", headers["x-request-id"])
    assert code == 0 and "teacher" in text and headers["x-request-id"] in text
    code, _, error = gateway.cli("explain", "req_that_never_was")
    assert code == 2 and "req_that_never_was" in error
    assert gateway.cli("store", "check")[0] == 0


def test_errors_are_recorded_too(make_gateway, student, teacher, message):
    gateway = make_gateway()
    student.on(message, p=0.3)
    teacher.on(message, status=400)
    with pytest.raises(openai.BadRequestError) as info:
        ask(client_of(gateway), message)
    explained = gateway.cli_json("explain", info.value.response.headers["x-request-id"])
    assert explained["status"] == 400 and explained["served_by"] is None and explained["error"]
    assert explained["cost_usd"] is None or float(explained["cost_usd"]) >= 0


def test_everything_is_there_after_a_restart(make_gateway, student, message):
    gateway = make_gateway()
    headers, _ = ask(client_of(gateway), message)
    before = gateway.cli_json("status")["all"]
    assert gateway.stop() == 0
    assert gateway.cli_json("status")["all"] == before, "the store can be read with no gateway running"
    gateway.start()
    assert gateway.cli_json("explain", headers["x-request-id"])["served_by"] == "student"
    ask(client_of(gateway), message + " more")
    assert gateway.cli_json("status")["all"]["requests"] == before["requests"] + 1


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_signal_lets_requests_in_flight_finish(make_gateway, teacher, message, how, streamed):
    gateway = make_gateway()
    gate = threading.Event()
    teacher.on(message, text="finished in time", gate=gate)
    if streamed:
        answer = in_background(lambda: "".join(c.choices[0].delta.content or "" for c in ask_stream(client_of(gateway), message, model="understudy/teacher") if c.choices))
    else:
        answer = in_background(lambda: ask(client_of(gateway), message, model="understudy/teacher")[1].choices[0].message.content)
    assert wait_for(lambda: teacher.calls(message))
    gateway.process.send_signal(how)
    assert wait_for(lambda: "stopping" in gateway.log_tail())

    def refuses():
        try:
            status, _, _ = gateway.raw("GET", "/health/ready", timeout=2)
            return status == 503
        except OSError:
            return True
    assert wait_for(refuses), "no new work is taken while draining"
    assert gateway.process.poll() is None, "it waits for the request"
    gate.set()
    assert answer() == "finished in time"
    assert gateway.process.wait(20) == 0
    assert gateway.cli_json("status")["all"]["served_by"]["teacher"] == 1


def test_a_second_gateway_on_the_same_data_is_refused(make_gateway, student, teacher):
    gateway = make_gateway()
    other = subprocess.run([gateway_module.PROGRAM, "serve", "--config", gateway.config_path, "--listen", "127.0.0.1:0", "--data", gateway.data],
                           capture_output=True, text=True, timeout=30)
    assert other.returncode == 2 and gateway.data in other.stderr
    assert ask(client_of(gateway), "still serving")[1].choices[0].message.content


def test_a_port_in_use_is_refused_with_a_sentence(make_gateway, tmp_path):
    gateway = make_gateway()
    other = subprocess.run([gateway_module.PROGRAM, "serve", "--config", gateway.config_path, "--listen", f"127.0.0.1:{gateway.port}", "--data", str(tmp_path / "d")],
                           capture_output=True, text=True, timeout=30)
    assert other.returncode == 2 and str(gateway.port) in other.stderr


def test_a_wrong_configuration_names_the_nearest_key(make_gateway, tmp_path):
    gateway = make_gateway()
    path = tmp_path / "wrong.toml"
    with open(gateway.config_path) as f:
        path.write_text(f.read().replace("escalate_below", "escalate_bellow"))
    other = subprocess.run([gateway_module.PROGRAM, "serve", "--config", str(path), "--listen", "127.0.0.1:0", "--data", str(tmp_path / "d")],
                           capture_output=True, text=True, timeout=30)
    assert other.returncode == 2 and "escalate_bellow" in other.stderr and "escalate_below" in other.stderr.replace("escalate_bellow", "")


def test_reload_changes_the_threshold_between_requests(make_gateway, student, teacher, message):
    gateway = make_gateway(stages='["student", "teacher"]')
    client = client_of(gateway)
    student.on(message, text="draft", p=0.6)
    teacher.on(message, text="final")
    assert ask(client, message)[1].choices[0].message.content == "final"
    with open(gateway.config_path) as f:
        text = f.read()
    with open(gateway.config_path, "w") as f:
        f.write(text.replace("escalate_below = 0.8", "escalate_below = 0.1"))
    gateway.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: ask(client, message)[1].choices[0].message.content == "draft")
    with open(gateway.config_path, "w") as f:
        f.write("nonsense = [")
    gateway.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: "reload refused" in gateway.log_tail())
    assert ask(client, message)[1].choices[0].message.content == "draft"


def hammer(port, name, finished, stop):
    """Sends requests until the connection breaks; `finished` gets the ids whose answer was complete here."""
    n = 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        while not stop.is_set():
            n += 1
            request_id, streamed = f"{name}-{n}", n % 3 == 0
            body = json.dumps({"model": "support", "messages": [{"role": "user", "content": f"kill {request_id}"}], "stream": streamed})
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-request-id": request_id})
            reply = connection.getresponse()
            text = reply.read()  # IncompleteRead where the connection was cut
            complete = text.endswith(b"data: [DONE]\n\n") if streamed else text.endswith(b"}")
            if reply.status == 200 and complete:
                finished.append(request_id)
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


KILLS = int(os.environ.get("UNDERSTUDY_KILLS", "20"))


def test_kill_9_under_load_loses_no_answered_request(make_gateway):
    gateway = make_gateway(spot_check=0.1)
    rng = random.Random(20)
    finished, per_round = [], []
    for round_number in range(KILLS):
        stop = threading.Event()
        threads = [threading.Thread(target=hammer, args=(gateway.port, f"r{round_number}-c{c}", finished, stop)) for c in range(8)]
        before = len(finished)
        for thread in threads:
            thread.start()
        time.sleep(rng.uniform(0.05, 0.5))
        gateway.process.kill()
        gateway.process.wait()
        stop.set()
        for thread in threads:
            thread.join()
        per_round.append(len(finished) - before)
        gateway.start()  # healthy only when recovery is done
        missing = set(finished) - recorded_ids(gateway)
        assert not missing, f"round {round_number}: {len(missing)} of {len(finished)} answered requests are not in the store: {sorted(missing)[:5]}"
    assert sum(1 for n in per_round if n > 0) > KILLS // 2, f"the load was too thin to show anything: {per_round}"
    print(f"answered per round: {per_round}")
    status = gateway.cli_json("status")
    assert status["all"]["requests"] >= len(finished) and status["records_dropped"] == 0
    assert gateway.cli("store", "check")[0] == 0
    assert len(recorded_ids(gateway)) == status["all"]["requests"], "no request is there twice"
    for path in (p for p in os.listdir(gateway.data) if p.endswith((".db", ".sqlite", ".sqlite3"))):
        with sqlite3.connect(f"file:{os.path.join(gateway.data, path)}?mode=ro", uri=True) as db:
            assert db.execute("pragma integrity_check").fetchone()[0] == "ok"


def test_a_full_disk_does_not_stop_answers(make_gateway, student, message):
    """Files may not grow over 4 MiB: what a full disk does to the writer, without filling one."""
    resource = pytest.importorskip("resource")
    gateway = make_gateway()
    assert gateway.stop() == 0
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    database = max((os.path.getsize(os.path.join(gateway.data, p)), p) for p in os.listdir(gateway.data) if os.path.isfile(os.path.join(gateway.data, p)))[1]
    gateway.start()
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (4 << 20, hard))
    client = client_of(gateway)
    for i in range(40):
        text = f"{message} {i} " + "filler " * 20000
        assert ask(client, text)[1].choices[0].message.content == student.default.text, database
    assert gateway.process.poll() is None
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (soft, hard))
    assert wait_for(lambda: gateway.cli_json("status")["all"]["requests"] == 40, 30), "what the disk refused came later"
