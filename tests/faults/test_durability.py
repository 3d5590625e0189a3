"""The rows of docs/operate/durability.md that need the whole program: kill -9 under load, full and read-only disks, two gateways."""

import http.client
import json
import os
import pathlib
import random
import re
import subprocess
import threading
import time

import pytest

import gateway as gateway_module
from conftest import TEACHER_TEXT, metric
from table import read

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROWS = read("durability.md", "what fails")
KILLS = int(os.environ.get("UNDERSTUDY_KILLS", "8"))


def row_of(test):
    """The page's row that this test is about."""
    return next(row for row in ROWS if row["tested by"] == f"`{test}`")


def test_every_row_names_a_test_that_exists():
    cases = set(re.findall(r"^def (test_\w+)", (ROOT / "tests/faults/test_durability.py").read_text(), re.M))
    for path in (ROOT / "src/store").glob("*_test.cc"):
        cases |= {f"{suite}.{name}" for suite, name in re.findall(r"^TEST\((\w+), (\w+)\)", path.read_text(), re.M)}
    missing = [row["tested by"] for row in ROWS if row["tested by"].strip("`") not in cases]
    assert not missing


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.05)
    return False


class Load:
    """Clients that send one request after the other; `answered` maps the ids of those that got a whole answer to how."""

    def __init__(self, gateway, name, clients=6, text=""):
        self.gateway, self.text, self.stop, self.answered, self.failed = gateway, text, threading.Event(), {}, []
        self.threads = [threading.Thread(target=self.run, args=(f"{name}-{c}",), daemon=True) for c in range(clients)]
        for thread in self.threads:
            thread.start()

    def run(self, name):
        n = 0
        while not self.stop.is_set():
            n += 1
            request_id, streamed = f"{name}-{n}", n % 3 == 0
            body = json.dumps({"model": "support", "messages": [{"role": "user", "content": request_id + self.text}], "stream": streamed})
            try:
                status, _, text = self.gateway.raw("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-request-id": request_id})
            except (OSError, http.client.HTTPException):
                time.sleep(0.01)  # it was killed
                continue
            if status == 200 and text.endswith(b"data: [DONE]\n\n" if streamed else b"}"):
                self.answered[request_id] = streamed
            else:
                self.failed.append((request_id, status, text[-200:]))

    def end(self):
        self.stop.set()
        for thread in self.threads:
            thread.join(60)
        return self


def records(gateway):
    """All of them, by id."""
    everything, after = [], []
    while True:
        page = gateway.cli_json("requests", "--limit", "10000", *after)
        everything += page["requests"]
        if not page["next"]:
            break
        after = ["--after", page["next"]]
    by_id = {r["request_id"]: r for r in everything}
    assert len(by_id) == len(everything), "a request is there twice"
    return by_id


@pytest.mark.parametrize("durability", ["process", "group"])
def test_kill_9_under_load_keeps_every_answered_request(make_gateway, durability):
    gateway = make_gateway(workers=2, spot_check=0.1, more=f'[store]\ndurability = "{durability}"\n')
    rng = random.Random(f"kill {durability}")
    answered, thick = {}, 0
    for number in range(KILLS):
        load = Load(gateway, f"{durability}{number}")
        wait_for(lambda: load.answered or rng.random() < 0.02)
        time.sleep(rng.uniform(0, 0.4))
        gateway.process.kill()
        gateway.process.wait()
        load.end()
        thick += len(load.answered) > 0
        answered |= load.answered
        if number % 3 == 2:  # and again while it recovers
            again = subprocess.Popen([gateway_module.PROGRAM, "serve", "--config", gateway.config_path, "--listen", "127.0.0.1:0", "--data", gateway.data],
                                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=gateway.environment)
            time.sleep(rng.uniform(0, 0.1))
            again.kill()
            again.wait()
        gateway.start()
        stored = records(gateway)
        for request_id, streamed in answered.items():
            assert request_id in stored, f"kill {number}: answered and lost: {request_id} of {len(answered)}"
            record = stored[request_id]
            assert (record["status"], record["served_by"], record["streamed"], record["complete"]) == (200, "teacher", streamed, True), record
    assert thick > KILLS // 2, "the load was too thin to show anything"
    assert re.search(r"of an earlier run were moved", gateway.log_tail()) or KILLS < 2
    assert gateway.cli_json("status")["records_dropped"] == 0
    assert gateway.cli("store", "check")[0] == 0


@pytest.fixture
def disk(tmp_path):
    """A file system of 64 MiB. Needs the right to mount; the tests of src/store stand for it elsewhere."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True).returncode != 0:
        pytest.skip("no right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


def moved_to(gateway, data):
    """The same gateway on another data directory; the test must stop it."""
    assert gateway.stop() == 0
    gateway.data = str(data)
    gateway.start()


@pytest.mark.parametrize("durability", ["process", "group"])
def test_a_full_disk_is_served_through_and_alarmed(make_gateway, disk, durability):
    row = row_of("test_a_full_disk_is_served_through_and_alarmed")
    gateway = make_gateway(more=f'[store]\ndurability = "{durability}"\n')
    moved_to(gateway, disk / "data")
    try:
        free = os.statvfs(disk)
        (disk / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_bsize - (64 << 10)))
        noise = random.Random(5).randbytes(100_000).hex()  # does not compress to fit
        load = Load(gateway, f"full-{durability}", clients=4, text=noise)
        names = re.findall(r"`(\w+_total)`", row["told"])
        assert names and wait_for(lambda: all(metric(gateway, name) > 0 for name in names)), [metric(gateway, name) for name in names]
        before = len(load.answered)
        assert wait_for(lambda: len(load.answered) > before + 20), "answers go on"
        load.end()
        assert not load.failed
        (disk / "ballast").unlink()
        subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
        alarm = re.search(r"alarm `(\w+)`", row["told"])[1]
        assert f"ALARM {alarm}" in pathlib.Path(gateway.log_path).read_text(errors="replace")
        assert wait_for(lambda: alarm in [a["name"] for a in json.loads(gateway.raw("GET", "/admin/api/alarms")[2])["alarms"]])
        after = Load(gateway, f"after-{durability}", clients=2)
        assert wait_for(lambda: len(after.answered) > 5)
        # The journal may still have been full for the first of them: from the last on nothing is lost, not even by kill -9.
        dropped = metric(gateway, "records_dropped_total")
        assert wait_for(lambda: metric(gateway, "journal_backlog_bytes") < 1_000_000)
        more = len(after.answered)
        assert wait_for(lambda: len(after.answered) > more + 5)
        gateway.process.kill()
        gateway.process.wait()
        after.end()
        gateway.start()
        stored = records(gateway)
        assert list(after.answered)[-1] in stored
        missing = [i for i in list(load.answered) + list(after.answered) if i not in stored]
        assert dropped > 0 and len(missing) <= dropped, "what is missing was counted"
        assert gateway.cli_json("status")["records_dropped"] > 0
        assert gateway.stop() == 0
        assert gateway.cli("store", "check")[0] == 0
    finally:
        gateway.stop()


def refused(gateway):
    """Standard error of a second `serve` on the gateway's data."""
    done = subprocess.run([gateway_module.PROGRAM, "serve", "--config", gateway.config_path, "--listen", "127.0.0.1:0", "--data", gateway.data],
                          capture_output=True, text=True, timeout=60, env=gateway.environment)
    assert done.returncode == 2, (done.returncode, done.stderr)
    return done.stderr


def test_a_read_only_data_directory_is_refused_and_still_read(make_gateway, disk):
    gateway = make_gateway()
    moved_to(gateway, disk / "data")
    try:
        load = Load(gateway, "read-only", clients=2)
        assert wait_for(lambda: len(load.answered) > 10)
        load.end()
        assert gateway.stop() == 0
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        said = refused(gateway)
        assert gateway.data in said and "read-only" in said and "--data" in said, said
        assert set(load.answered) <= set(records(gateway))
        subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
        gateway.start()
        assert set(load.answered) <= set(records(gateway))
    finally:
        gateway.stop()


def test_a_second_gateway_is_refused_and_told_who_the_first_is(make_gateway):
    gateway = make_gateway()
    said = refused(gateway)
    assert f"process {gateway.process.pid}" in said and gateway.data in said, said
    status, _, text = gateway.post({"model": "support", "messages": [{"role": "user", "content": "still there?"}]})
    assert status == 200 and TEACHER_TEXT in text.decode()
    gateway.process.kill()
    gateway.process.wait()
    gateway.start()  # the lock goes with its holder, however it ends
