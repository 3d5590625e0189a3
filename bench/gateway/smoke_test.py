#!/usr/bin/env python3
"""The benchmark rig against itself, in seconds: its figures exist, and a wrong answer fails a run.
Usage: smoke_test.py FOLDER_OF_THE_BENCH_PROGRAMS. Times nothing."""

import os
import sys
import tempfile
import types

import rig
import run

bin_dir = sys.argv[1]


def check(condition, what):
    if not condition:
        sys.exit(f"smoke_test: {what}")


def must_fail(port, needle, **options):
    try:
        rig.run_load(bin_dir, port, **options)
    except rig.RigError as error:
        check(needle in str(error), f"expected '{needle}' in: {error}")
        return
    sys.exit(f"smoke_test: a load that must fail passed: {options}")


def wrong_answers_fail(log_dir):
    upstream, port = rig.start_upstream(bin_dir, "teacher", log_dir, "--stream-tokens", 8, "--stream-interval-ms", 1)
    floor = rig.start_floor(bin_dir, port, log_dir)
    try:
        good = {"connections": 4, "requests": 50, "expect": "teacher", "stream_tokens": 8, "ramp_ms": 1}
        for via in (port, floor.port):
            for mode in ("closed", "open", "stream"):
                for logprobs in (False, True):
                    report = rig.run_load(bin_dir, via, mode=mode, logprobs=logprobs, **good)
                    check(report["requests"] == (4 if mode == "stream" else 50), f"all requests answered: {report}")
        for mode in ("closed", "stream"):
            must_fail(floor.port, "not the text of", mode=mode, **{**good, "expect": "student"})
        must_fail(floor.port, "not the text of", mode="stream", **{**good, "stream_tokens": 9})
        must_fail(floor.port, "not the text of", mode="closed", logprobs=True, answer_tokens=8, **good)
        upstream.child.kill()
        must_fail(floor.port, "closed before the answer was complete", mode="closed", **good)
    finally:
        floor.process.stop()
        upstream.stop()


def every_scenario_has_figures(log_dir):
    args = types.SimpleNamespace(
        bin=bin_dir, gateway=None, contestants=["nginx", "floor"], scenarios=run.SCENARIOS, rounds=2, requests=100, connections=4,
        rates=[200], open_seconds=0.5, streams=5, ramp_ms=5, stream_tokens=8, stream_interval_ms=2, answer_tokens=7, top=2, unsure=0.3, million=200)
    bench = run.Bench(args, log_dir)
    try:
        bench.run()
    finally:
        bench.stop(list(bench.started))
    text = run.table(bench.results)
    for scenario in ("closed", "closed_not_asked", "escalate", "sse", "sse_held"):
        series = bench.results[scenario]["cpu_us"]
        check("floor" in series and all(len(v) == 2 and min(v) > 0 for v in series.values()), f"{scenario}: {series}")
    check("added p50 us at 200 requests/s" in text, text)
    check("KiB per open stream, held" in text and "RSS MiB" in text, text)


with tempfile.TemporaryDirectory() as directory:
    for part in (wrong_answers_fail, every_scenario_has_figures):
        log_dir = os.path.join(directory, part.__name__)
        os.mkdir(log_dir)
        part(log_dir)
print("ok")
