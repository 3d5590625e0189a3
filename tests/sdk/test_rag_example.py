"""examples/rag: the two bills, from its own excerpt of a public collection."""

import json
import os
import subprocess
import sys

from gateway import PROGRAM

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
EXAMPLE = os.path.join(ROOT, "examples/rag/run.py")


def sanitized():
    with open(PROGRAM, "rb") as program:
        return b"__asan_init" in program.read()


def test_the_example_prints_its_two_bills(tmp_path):
    environment = dict(os.environ)
    environment["UNDERSTUDY_ENCODER_MODEL"] = str(tmp_path / "none")   # by words alone: a minute less
    claims = 4 if sanitized() else 16
    command = [sys.executable, EXAMPLE, "--program", PROGRAM, "--claims", str(claims), "--hurry", "50", "--work", str(tmp_path / "work")]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, timeout=900, env=environment)
    assert done.returncode == 0, done.stderr
    bills = json.loads(done.stdout)
    before, after = bills["before"], bills["after"]
    assert before["claims"] == after["claims"] == claims
    for step in ("rewrite", "rerank", "generate", "faithfulness"):
        assert before["steps"][step]["model_calls"] == claims and before["steps"][step]["usd"] > 0
    # The shape of such bills: reading fifty passages is dearer than everything else.
    assert before["steps"]["rerank"]["usd"] > 0.4 * before["usd"]
    assert abs(sum(step["usd"] for step in before["steps"].values()) - before["usd"]) < 1e-9
    assert after["steps"]["rewrite"]["usd"] == before["steps"]["rewrite"]["usd"]
    assert after["steps"]["rerank"]["specialist_calls"] >= claims / 2
    assert bills["factor"] > 1.3 and bills["factor"] == before["usd"] / after["usd"]
    assert bills["eligible"]["after"] < bills["eligible"]["before"]
    agreement = bills["agreement"]["rerank"]
    assert agreement["n"] >= 0.8 * after["steps"]["rerank"]["specialist_calls"] and agreement["share"] > 0.6
    # Both logs are the audit's to read.
    for name in ("before", "after"):
        audited = subprocess.run([PROGRAM, "audit", "--from", str(tmp_path / "work" / name), "--prices", os.path.join(ROOT, "examples/rag/prices.json")],
                                 capture_output=True, text=True, timeout=60)
        assert audited.returncode == 0 and "rerank" in audited.stdout, audited.stderr


def test_without_its_data_it_says_so(tmp_path):
    done = subprocess.run([sys.executable, EXAMPLE, "--program", PROGRAM, "--data", str(tmp_path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "there is no" in done.stderr and "make_data.py" in done.stderr
    assert subprocess.run([sys.executable, EXAMPLE, "--help"], capture_output=True, text=True, timeout=60).returncode == 0
