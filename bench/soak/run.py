#!/usr/bin/env python3
"""Hours at half load: does anything grow that should not? See README.md. Exit status 1: it does."""

import argparse
import os
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "gateway"))
import rig  # noqa: E402

MIB = 1 << 20
# A growth counts from here on: what the allocator and SQLite's page cache move about lies below.
MORE_BYTES, MORE_SHARE, MORE_DESCRIPTORS = 4 * MIB, 1.05, 8
# The same 1,000 contents again and again: no more lessons, promises and cached answers than after the first seconds, and the answer cache
# too small to hold them, so that the models are asked. A tenth goes on to the teacher.
SERVER = "cache_bytes = 1048576"
SHAPE = {"expect": "cascade", "hard": True, "unsure": 0.1, "distinct": 1000}


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def folder_bytes(path):
    return sum(os.path.getsize(os.path.join(root, f)) for root, _, files in os.walk(path) for f in files)


def grown(samples):
    """What has grown from the middle third of the run to its last, in words."""
    third = len(samples) // 3
    middle, last = samples[third:2 * third], samples[2 * third:]
    found = []
    before, after = (statistics.median(s["rss"] for s in part) for part in (middle, last))
    if after > before + MORE_BYTES and after > before * MORE_SHARE:
        found.append(f"resident memory: {before / MIB:.1f} to {after / MIB:.1f} MiB")
    before, after = (max(s["fds"] for s in part) for part in (middle, last))
    if after > before + MORE_DESCRIPTORS:
        found.append(f"descriptors: {before} to {after}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", default="build/bench", help="build folder")
    parser.add_argument("--program", help="default: the build folder's")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=int, default=0, help="requests a second; 0: half of what it can do, measured first")
    parser.add_argument("--every", type=float, default=10, help="seconds between two samples")
    parser.add_argument("--new-contents", action="store_true", help="no content comes twice: what grows by design (lessons, evidence) shows, too")
    parser.add_argument("--server", default="", help="more lines of [server]")
    parser.add_argument("--cascade", default="", help="more lines of [cascade.default]")
    arguments = parser.parse_args()
    bin_dir = os.path.join(arguments.bin, "bench", "gateway")
    started = []
    with tempfile.TemporaryDirectory(prefix="understudy-soak-") as folder:
        try:
            student, student_port = rig.start_upstream(bin_dir, "student", folder, "--unsure", 0.1)
            started.append(student)
            teacher, teacher_port = rig.start_upstream(bin_dir, "teacher", folder)
            started.append(teacher)
            gateway = rig.start_gateway(arguments.program or os.path.join(arguments.bin, "understudy"), student_port, teacher_port, folder, SERVER + "\n" + arguments.server, cascade=arguments.cascade)
            started.append(gateway.process)
            rate = arguments.rate
            if rate == 0:
                began = time.monotonic()
                rig.run_load(bin_dir, gateway.port, mode="closed", connections=64, requests=20_000, **SHAPE)
                rate = int(20_000 / (time.monotonic() - began) / 2)
            chunk = max(1, int(rate * arguments.every))
            print(f"{rate} requests a second and 50 streams after each {chunk}, {arguments.minutes:g} minutes")
            print("| minute | requests | resident MiB | its anonymous part | descriptors | data MiB |\n| --- | --- | --- | --- | --- | --- |")
            samples, sent, began = [], 0, time.monotonic()
            while time.monotonic() - began < arguments.minutes * 60:
                shape = {**SHAPE, "distinct": 0, "first_tag": 100_000 + sent} if arguments.new_contents else SHAPE
                rig.run_load(bin_dir, gateway.port, mode="open", rate=rate, connections=256, requests=chunk, **shape)
                rig.run_load(bin_dir, gateway.port, mode="stream", connections=50, requests=50, expect="teacher", model="understudy/teacher")
                sent += chunk
                memory = rig.memory(gateway.pid)
                samples.append({"rss": memory["rss"], "fds": descriptors(gateway.pid)})
                data = next(os.path.join(folder, d) for d in os.listdir(folder) if d.startswith("data-"))
                print(f"| {(time.monotonic() - began) / 60:.1f} | {sent} | {memory['rss'] / MIB:.1f} | {memory['anon'] / MIB:.1f} | {samples[-1]['fds']} | "
                      f"{folder_bytes(data) / MIB:.1f} |", flush=True)
        except rig.RigError as error:
            print(f"soak: {error}", file=sys.stderr)
            return 2
        finally:
            for process in reversed(started):
                process.stop()
    if len(samples) < 9:
        print(f"soak: {len(samples)} samples say nothing; at least 9 are needed (--minutes, --every)", file=sys.stderr)
        return 2
    found = grown(samples)
    print("grows: " + "; ".join(found) if found else "nothing grows")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
