#!/usr/bin/env python3
"""The promise over real HTTP: recorded answers behind `understudy replay`, the gateway between, and what came of it.

    bench/quality/over_http.py [--program build/release/understudy] [--data ../shared/data/replay] [--file chain_mmlu_llama]
                          [--deployments 3] [--requests 6000] [--drift-at 3000] [--alpha 0.1] [--seed 1]

Each deployment draws requests with replacement from the file's rows (another `seed` field each time, so that no two are equal),
sends them through a gateway of its own, and counts: when the first cheap answer came, which share was served cheaply, how many of
those disagree with the recorded teacher, when an alarm took the student off after the drift. With --drift-at N the student's
answers come from the worst other model of the file from request N on (same questions). Only the standard library is used.
"""
import argparse
import gzip
import http.client
import json
import os
import queue
import random
import signal
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


def recording(path, model, answers):
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps({"schema": "understudy.recording/1", "model": model, "source": "bench/quality/over_http.py", "recorded": "2026-11-28"}) + "\n")
        for match, answer, logprob in answers:
            row = {"match": match, "answer": answer, "finish_reason": "stop", "usage": {"prompt_tokens": max(1, len(match) // 4), "completion_tokens": 1}}
            if logprob is not None:
                row["tokens"] = [[answer, min(0.0, logprob), []]]
            f.write(json.dumps(row) + "\n")


class Child:
    def __init__(self, folder, name, command):
        self.address_file = os.path.join(folder, name + ".address")
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        self.process = subprocess.Popen([*command, "--port-file", self.address_file], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not (os.path.exists(self.address_file) and open(self.address_file).read().strip()):
            if self.process.poll() is not None:
                raise SystemExit(f"{name} ended: {open(self.log.name).read()[-1000:]}")
            time.sleep(0.02)
        self.address = open(self.address_file).read().strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()


def load(path):
    rows, seen = [], set()
    for line in gzip.open(path, "rt", encoding="utf-8"):
        row = json.loads(line)
        if row.get("contaminated") or row["weak_answer"] is None or row["strong_answer"] is None or row["prompt"] in seen:
            continue
        seen.add(row["prompt"])
        rows.append(row)
    return rows


def worst_peer(rows):
    names = set.intersection(*(set(r.get("others", {})) for r in rows))
    usable = [n for n in names if all(r["others"][n].get("logprob") is not None for r in rows)]
    if not usable:
        raise SystemExit("no other model answered every row: no drift for this file")
    return min(usable, key=lambda n: sum(r["others"][n]["answer"] == r["strong_answer"] for r in rows))


def deployment(args, rows, seed):
    rng = random.Random(seed)
    drifted = " "  # a prompt with a blank behind it is answered by the worse model
    with tempfile.TemporaryDirectory(prefix="understudy-http-") as folder:
        student = [(r["prompt"], r["weak_answer"], r["weak_logprob"]) for r in rows]
        teacher = [(r["prompt"], r["strong_answer"], None) for r in rows]
        if args.drift_at:
            peer = worst_peer(rows)
            student += [(r["prompt"] + drifted, r["others"][peer]["answer"], r["others"][peer]["logprob"]) for r in rows]
            teacher += [(r["prompt"] + drifted, r["strong_answer"], None) for r in rows]
        recording(os.path.join(folder, "student.jsonl"), "student", student)
        recording(os.path.join(folder, "teacher.jsonl"), "teacher", teacher)
        children = []
        try:
            for name in ("student", "teacher"):
                children.append(Child(folder, name, [args.program, "replay", os.path.join(folder, name + ".jsonl"), "--listen", "127.0.0.1:0", "--fast"]))
            config = os.path.join(folder, "understudy.toml")
            with open(config, "w") as f:
                f.write(f"""[models.student]
url = "http://{children[0].address}/v1"
model = "student"
price = {{ input = "0.10", output = "0.40" }}
[models.teacher]
url = "http://{children[1].address}/v1"
model = "teacher"
price = {{ input = "2.50", output = "10.00" }}
[cascade.default]
stages = ["student", "teacher"]
alpha = {args.alpha}
delta = {args.delta}
label_budget_usd_per_day = 1000.0
lesson_budget_usd_per_day = 0.0
[tasks.replayed]
compare = "text"
""")
            data = os.path.join(folder, "data")
            gateway = Child(folder, "gateway", [args.program, "serve", "--config", config, "--listen", "127.0.0.1:0", "--data", data, "--workers", "1"])
            children.insert(0, gateway)
            served = send(args, rows, rng, gateway.address, drifted)
            time.sleep(1)
            shown = subprocess.run([args.program, "tasks", "show", "replayed", "--data", data, "--json"], capture_output=True, text=True)
            alarms = open(gateway.log.name, encoding="utf-8", errors="replace").read().count("ALARM")
            return served, alarms, json.loads(shown.stdout) if shown.returncode == 0 else {}
        finally:
            for child in children:
                child.stop()


def send(args, rows, rng, address, drifted):
    """By request: (served cheaply, agrees with the recorded teacher)."""
    todo = queue.Queue()
    picks = []
    for i in range(args.requests):
        row = rows[rng.randrange(len(rows))]
        picks.append(row)
        todo.put((i, row["prompt"] + (drifted if args.drift_at and i >= args.drift_at else "")))
    out = [None] * args.requests
    host, port = address.rsplit(":", 1)

    def client():
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        while True:
            try:
                i, prompt = todo.get_nowait()
            except queue.Empty:
                return
            body = json.dumps({"model": "app", "seed": i, "messages": [{"role": "system", "content": "Answer."}, {"role": "user", "content": prompt}]})
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json", "x-understudy-task": "replayed"})
            reply = connection.getresponse()
            data = reply.read()
            if reply.status != 200:
                raise SystemExit(f"status {reply.status}: {data[:300]}")
            answer = json.loads(data)["choices"][0]["message"]["content"]
            normal = lambda text: " ".join(text.lower().split()).strip(" .,;:!\"'*_`")
            out[i] = (reply.headers["x-understudy-served-by"] != "teacher", normal(answer) == normal(picks[i]["strong_answer"]))

    threads = [threading.Thread(target=client) for _ in range(args.clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/understudy"))
    parser.add_argument("--data", default=os.path.join(os.path.dirname(ROOT), "shared/data/replay"))
    parser.add_argument("--file", default="chain_mmlu_llama")
    parser.add_argument("--deployments", type=int, default=3)
    parser.add_argument("--requests", type=int, default=6000)
    parser.add_argument("--drift-at", type=int, default=0)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--alpha", type=float, default=0.10)
    parser.add_argument("--delta", type=float, default=0.10)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    path = os.path.join(args.data, args.file + ".jsonl.gz")
    if not os.path.exists(path):
        print(f"SKIPPED: {path} is not here")
        return
    rows = load(path)
    print(f"{args.file}: {len(rows)} rows, {args.deployments} deployments of {args.requests} requests, alpha {args.alpha}, delta {args.delta}"
          + (f", drift at {args.drift_at}" if args.drift_at else ""))
    print(f"{'seed':>6} {'first cheap':>12} {'served before':>14} {'bad of it':>10} {'after drift: served':>20} {'bad of it':>10} {'last served':>12} {'alarms':>7}  state at the end")
    for d in range(args.deployments):
        out, alarms, shown = deployment(args, rows, args.seed + d)
        cut = args.drift_at or args.requests

        def figures(part):
            cheap = [agrees for served, agrees in part if served]
            return len(cheap), (sum(not a for a in cheap) / len(cheap) if cheap else float("nan"))

        first = next((i for i, (served, _) in enumerate(out) if served), None)
        before, after = figures(out[:cut]), figures(out[cut:])
        last = max((i for i, (served, _) in enumerate(out) if served), default=-1)
        print(f"{args.seed + d:>6} {first if first is not None else '-':>12} {before[0] / cut:>14.3f} {before[1]:>10.4f} "
              f"{after[0] if args.drift_at else '-':>20} {after[1] if args.drift_at else float('nan'):>10.4f} {last:>12} {alarms:>7}  "
              f"{shown.get('promise', {}).get('status', '?')} {shown.get('promise', {}).get('version', '')}", flush=True)


if __name__ == "__main__":
    main()
