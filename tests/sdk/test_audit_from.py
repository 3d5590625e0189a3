"""`understudy audit --from`: the gateway's own log, from its directory and from its address."""

import hashlib
import json
import os
import subprocess

import pytest

from conftest import ask, client_of
from gateway import PROGRAM

KEYS = """
[[keys]]
name = "app"
hash = "{app}"
scopes = ["inference"]
[[keys]]
name = "boss"
hash = "{boss}"
scopes = ["admin"]
[[keys]]
name = "auditor"
hash = "{auditor}"
scopes = ["audit"]
"""


def audit(source, **environment):
    run = subprocess.run([PROGRAM, "audit", "--from", source, "--json"], capture_output=True, text=True, timeout=60,
                         env={**os.environ, **environment})
    return run.returncode, run.stdout, run.stderr


@pytest.fixture(scope="module")
def busy(make_gateway, student):
    gateway = make_gateway(stages='["student", "teacher"]')
    client = client_of(gateway)
    for i in range(40):
        ask(client, f"audited {i}" + (" please say unsure" if i % 4 == 0 else ""), extra_headers={"x-understudy-task": f"task_{i % 3}"})
    return gateway


def test_the_address_gives_the_figures_of_the_directory(busy):
    by_url = audit(f"http://127.0.0.1:{busy.port}")
    by_directory = audit(busy.data)
    assert by_url[0] == by_directory[0], by_url[2]
    one, other = json.loads(by_url[1]), json.loads(by_directory[1])
    for report in (one, other):
        report.pop("inputs")
        report.pop("generated_at", None)
    assert one == other
    assert len(one["steps"]) == 3


def test_the_lines_are_call_records(busy):
    status, headers, body = busy.raw("GET", "/admin/api/calls")
    assert status == 200 and headers["content-type"] == "application/x-ndjson"
    calls = [json.loads(line) for line in body.splitlines()]
    assert len(calls) >= 40
    assert {"ts", "request_id", "call_id", "step", "model", "tok_in", "tok_out", "cost_usd", "status"} <= set(calls[0])
    assert {call["step"] for call in calls} == {"task_0", "task_1", "task_2"}


def test_only_keys_for_audits_and_admins_read_the_log(make_gateway):
    keys = KEYS.format(app=hashlib.sha256(b"sk-app").hexdigest(), boss=hashlib.sha256(b"sk-boss").hexdigest(),
                       auditor=hashlib.sha256(b"sk-auditor").hexdigest())
    gateway = make_gateway(more=keys)
    ask(client_of(gateway, api_key="sk-app"), "with a key")
    assert gateway.raw("GET", "/admin/api/calls")[0] == 401
    assert gateway.raw("GET", "/admin/api/calls", headers={"Authorization": "Bearer sk-app"})[0] == 403
    assert gateway.raw("GET", "/admin/api/calls", headers={"Authorization": "Bearer sk-boss"})[0] == 200
    address = f"http://127.0.0.1:{gateway.port}"
    status, _, error = audit(address, UNDERSTUDY_ADMIN_KEY="sk-app")
    assert status == 2 and "lacks the scope 'audit' (or 'admin')" in error
    for key in ("sk-boss", "sk-auditor"):
        status, report, error = audit(address, UNDERSTUDY_ADMIN_KEY=key)
        assert status in (0, 3) and json.loads(report)["schema"] == "understudy.audit/1", error
    assert gateway.raw("GET", "/admin/api/status", headers={"Authorization": "Bearer sk-auditor"})[0] == 403


def test_what_is_no_gateway_is_said(student):
    status, _, error = audit(student.url.removesuffix("/v1"))
    assert status == 2 and "--from http://" in error
    status, _, error = audit("http://127.0.0.1:1")
    assert status == 2 and "cannot reach" in error
