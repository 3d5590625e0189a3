#!/usr/bin/env python3
"""A trained specialist in front of the recorded teacher, over all of BANKING77's test rows: who served, and how often otherwise than the teacher.

    bench/specialists/serve.py [--program build/release/understudy] [--data ../shared/data/specialists] [--specialist DIR] [--orders 3] [--alpha 0.05]

Trains on the training rows (unless --specialist names one), plays the recorded labels of data/demo as the teacher, and sends the 3,080 test rows as chat completions to a
gateway that knows nothing yet, in a shuffled order each time: the gateway proves its promise on the way and then serves. Exits 1 where what the specialist served was wrong more
often than alpha. Needs the zstd program; otherwise only the standard library.
"""
import argparse
import collections
import concurrent.futures
import http.client
import json
import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
DEMO = os.path.join(ROOT, "data/demo")

CONFIG = """
[server]
workers = 1
[models.teacher]
url = "http://{teacher}/v1"
model = "dataset-labels"
price = {{ input = "2.50", output = "10.00" }}
[cascade.default]
stages = ["teacher"]
alpha = {alpha}
[specialists.intent]
folder = "{specialist}"
[tasks.intent]
compare = "json"
specialist = "intent"
render = '{{"intent": "{{label}}"}}'
"""


def wilson(bad, n, z=1.96):
    if n == 0:
        return 0.0, 1.0
    p, m = bad / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / m
    return max(0.0, (p + z * z / (2 * n)) / m - half), min(1.0, (p + z * z / (2 * n)) / m + half)


def start(command, port_file, log):
    process = subprocess.Popen([*command, "--listen", "127.0.0.1:0", "--port-file", port_file], stdout=log, stderr=log)
    for _ in range(600):
        if process.poll() is not None:
            sys.exit(f"{' '.join(command)} ended with {process.returncode}; its log: {log.name}")
        if os.path.exists(port_file):
            with open(port_file, encoding="utf-8") as file:
                return process, file.read().strip()
        time.sleep(0.05)
    sys.exit(f"{' '.join(command)} did not start; its log: {log.name}")


def stop(process):
    process.send_signal(signal.SIGTERM)
    process.wait(60)


def run(args, folder, specialist, rows, seed):
    """Sends all rows to a gateway without any evidence; (served by, text is answered as the teacher's) in the order in which they were sent."""
    order = list(rows)
    random.Random(seed).shuffle(order)
    with open(os.path.join(DEMO, "system.txt"), encoding="utf-8") as file:
        system = file.read().rstrip("\n")
    with open(os.path.join(folder, f"log-{seed}"), "w", encoding="utf-8") as log:
        recordings = [os.path.join(DEMO, name) for name in ("teacher.jsonl", "teacher_rest.jsonl")]
        teacher, teacher_address = start([args.program, "replay", *recordings, "--fast"], os.path.join(folder, f"teacher-{seed}"), log)
        config = os.path.join(folder, f"config-{seed}.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(teacher=teacher_address, alpha=args.alpha, specialist=specialist))
        gateway, address = start([args.program, "serve", "--config", config, "--data", os.path.join(folder, f"data-{seed}")], os.path.join(folder, f"gateway-{seed}"), log)
        connections = threading.local()

        def send(row):
            if not hasattr(connections, "kept"):
                connections.kept = http.client.HTTPConnection(address, timeout=60)
            body = {"model": "any", "messages": [{"role": "system", "content": system}, {"role": "user", "content": row["text"]}]}
            connections.kept.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json", "x-understudy-task": "intent"})
            reply = connections.kept.getresponse()
            answer = json.loads(reply.read())
            if reply.status != 200:
                sys.exit(f"{reply.status}: {answer}")
            said = json.loads(answer["choices"][0]["message"]["content"])["intent"]
            return reply.headers["x-understudy-served-by"], said == row["label"]

        try:
            with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
                return list(pool.map(send, order))
        finally:
            stop(gateway)
            stop(teacher)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/understudy"))
    shared = os.environ.get("UNDERSTUDY_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    parser.add_argument("--data", default=os.path.join(shared, "data/specialists"))
    parser.add_argument("--specialist", help="a folder that `understudy train intent` made (default: trained here)")
    parser.add_argument("--orders", type=int, default=3)
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--at-once", type=int, default=4)
    args = parser.parse_args()
    packed = os.path.join(args.data, "intent", "banking77.jsonl.zst")
    if not os.path.exists(packed):
        sys.exit(f"{packed}: no such file; --data names the labelled sets")
    text = subprocess.run(["zstd", "-dcq", packed], capture_output=True, check=True).stdout.decode()
    rows = [json.loads(line) for line in text.splitlines()]
    rows = [{"text": " ".join(row["text"].split()), "label": row["label"]} for row in rows if row["split"] == "test"]
    broken = 0
    with tempfile.TemporaryDirectory() as folder:
        specialist = args.specialist
        if not specialist:
            specialist = os.path.join(folder, "intent")
            subprocess.run([args.program, "train", "intent", "--data", packed, "--out", specialist], check=True, stdout=subprocess.DEVNULL)
        print(f"| order | rows | served by the specialist | of the second half | wrong of them [95 %] | alpha {args.alpha}, delta 0.1 |")
        print("| --- | --- | --- | --- | --- | --- |")
        for seed in range(1, args.orders + 1):
            answers = run(args, folder, os.path.abspath(specialist), rows, seed)
            served = [right for by, right in answers if by.startswith("specialist:")]
            late = collections.Counter(by.startswith("specialist:") for by, _ in answers[len(answers) // 2:])
            wrong = len(served) - sum(served)
            low, high = wilson(wrong, len(served))
            kept = not served or wrong <= args.alpha * len(served)
            broken += not kept
            print(f"| {seed} | {len(answers)} | {len(served)} ({100 * len(served) / len(answers):.1f} %) | {100 * late[True] / (late[True] + late[False]):.1f} % | "
                  f"{wrong} ({100 * wrong / max(1, len(served)):.2f} % [{100 * low:.1f}, {100 * high:.1f}]) | {'held' if kept else 'BROKEN'} |", flush=True)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
