"""The official OpenAI SDK for Node: tests/sdk/node/*.test.cjs under node's own test runner. Node and the pinned package are got by run.sh."""

import os
import pathlib
import shutil
import subprocess
import time

import pytest

HERE = pathlib.Path(__file__).resolve().parent
MODULES = HERE.parents[1] / ".deps" / "node" / "node_modules"


def missing():
    if not shutil.which("node"):
        return "node is not installed"
    if not (MODULES / "openai").is_dir():
        return f"the openai package is not in {MODULES}: run.sh installs it where npm can reach a registry"
    return None


def clients_gone(gateway):
    text = gateway.raw("GET", "/metrics")[2].decode()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("understudy_clients_gone_total "))


def test_the_node_sdk(uncached, student, teacher):
    if why := missing():
        assert not os.environ.get("UNDERSTUDY_SDK_REQUIRED"), why
        pytest.skip(why)
    student.on("node sure", text="Your card is on its way.")
    student.on("node unsure", text="Perhaps on Sunday?", p=0.3)
    teacher.on("node unsure", text="On Monday.")
    student.on("node tools", tool_calls=[("call_1", "lookup", '{"id":"7"}')])
    student.on("node tools, answered", text="Card 7 is blocked.")
    student.on("node schema", text='{"city":"Graz"}')
    for i in range(50):
        student.on(f"node parallel {i}", text=f"student's answer number {i}", p=0.3 if i % 2 else 0.99, chunk_delay_s=0.01)
        teacher.on(f"node parallel {i}", text=f"teacher's answer number {i}", chunk_delay_s=0.01)
    for question in ("node throttled", "node cut", "node endless", "node slow"):
        student.on(question, p=0.3)
    teacher.on("node throttled", status=429, headers={"retry-after-ms": "1500"})
    teacher.on("node cut", text="one two three four", cut_after=3)
    teacher.on("node endless", text="word " * 500, chunk_delay_s=0.02)
    teacher.on("node slow", text="word " * 100, delay_s=1.0)
    cancelled, gone = teacher.cancelled, clients_gone(uncached)
    done = subprocess.run(["node", "--test", str(HERE / "node")], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NODE_PATH": str(MODULES), "UNDERSTUDY_BASE_URL": uncached.base_url})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 10\n" in done.stdout and "# skipped 0\n" in done.stdout, done.stdout
    deadline = time.monotonic() + 10
    while (teacher.cancelled, clients_gone(uncached)) != (cancelled + 1, gone + 2) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert (teacher.cancelled, clients_gone(uncached)) == (cancelled + 1, gone + 2), "what the SDK aborted went on"
