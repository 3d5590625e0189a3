#!/usr/bin/env python3
"""What examples bring, with a model that really answers: the student is asked each request without and with lessons.

    bench/learning/uplift.py --student-url http://127.0.0.1:28111/v1 --texts FILE [--few-shots auto|K] [--lessons 2500] [--requests 500]
                             [--seed 1] [--program build/release/understudy] [--out FILE]

FILE has a JSON object a line with `text` and `label`. The data set's labels stand in the place of a teacher, behind `understudy replay`;
no model made them. Two gateways over one data directory:

1. A recorded student that is always wrong lets the teacher write lessons from the first requests in seconds.
2. The real student (any OpenAI-compatible server with logprobs) gets the next ones, through the gateway over HTTP: while the promise is
   not proven every request is a coin row, so the gateway asks it plain and with examples. Every call is noted on its way to the student;
   on rows that fits are made of, each chosen lesson is held back with probability 0.2.

Recorded answers cannot respond to examples, so nothing of this can be had from a replay of the student. Only the standard library.
"""
import argparse
import collections
import http.client
import http.server
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Child:
    def __init__(self, folder, name, command):
        port_file = os.path.join(folder, name + ".address")
        self.log = open(os.path.join(folder, name + ".log"), "wb")
        self.process = subprocess.Popen([*command, "--port-file", port_file], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while not (os.path.exists(port_file) and open(port_file).read().strip()):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{name} did not start: {open(self.log.name).read()[-1000:]}")
            time.sleep(0.02)
        self.address = open(port_file).read().strip()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Tap(http.server.ThreadingHTTPServer):
    """Passes calls on to the student and notes them by the text of their last message."""

    def __init__(self, url):
        self.to = urllib.parse.urlsplit(url)
        self.calls = collections.defaultdict(list)
        super().__init__(("127.0.0.1", 0), TapHandler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class TapHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        to = self.server.to
        upstream = http.client.HTTPConnection(to.hostname, to.port, timeout=300)
        upstream.request("POST", to.path + self.path[len("/v1"):], body, {"Content-Type": "application/json"})
        reply = upstream.getresponse()
        answer = reply.read()
        upstream.close()
        request = json.loads(body)
        if reply.status == 200:
            told = json.loads(answer)
            turns = [m for m in request["messages"] if m["role"] != "system"]
            self.server.calls[turns[-1]["content"]].append({
                "examples": [(turns[i]["content"], turns[i + 1]["content"]) for i in range(0, len(turns) - 1, 2)],
                "answer": told["choices"][0]["message"]["content"], "usage": told.get("usage") or {}})
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def recording(path, name, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.write(json.dumps({"schema": "understudy.recording/1", "model": name, "source": "bench/learning/uplift.py", "recorded": "2026-11-28"}) + "\n")
        for text, answer, logprob in rows:
            row = {"match": text, "answer": answer, "finish_reason": "stop", "usage": {"prompt_tokens": max(1, len(text) // 4), "completion_tokens": 1}}
            if logprob is not None:
                row["tokens"] = [[answer, logprob, []]]
            f.write(json.dumps(row) + "\n")


def config(path, student, teacher, labels, few_shots):
    with open(path, "w", encoding="utf-8") as f:
        f.write(f"""[models.student]
url = "{student}"
model = "student"
price = {{ input = "0.10", output = "0.40" }}
[models.teacher]
url = "{teacher}"
model = "teacher"
price = {{ input = "2.50", output = "10.00" }}
[cascade.default]
stages = ["student", "teacher"]
alpha = 0.01          # out of the student's reach: every request stays a coin row
label_budget_usd_per_day = 1000.0
lesson_budget_usd_per_day = 0.0
[tasks.uplift]
compare = "choice"
labels = {json.dumps(labels)}
few_shots = {json.dumps(few_shots)}
""")


def ask(address, system, text):
    host, port = address.rsplit(":", 1)
    body = {"model": "understudy/auto", "temperature": 0, "max_tokens": 8, "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}]}
    connection = http.client.HTTPConnection(host, int(port), timeout=60)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"Content-Type": "application/json", "x-understudy-task": "uplift"})
    reply = connection.getresponse()
    answer = reply.read()
    connection.close()
    if reply.status != 200:
        raise SystemExit(f"the gateway answered {reply.status}: {answer[:300]!r}")


def same(answer, label):
    return answer.strip().strip(".\"'` ").lower() == label.lower()


def share(hits):
    """Share and its 95 % interval by Wilson."""
    n, z = len(hits), 1.96
    if n == 0:
        return {"n": 0}
    p = sum(hits) / n
    middle, half = (p + z * z / 2 / n) / (1 + z * z / n), z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return {"n": n, "share": round(p, 4), "low": round(middle - half, 4), "high": round(middle + half, 4)}


def paired(differences):
    """Mean of differences in -1, 0, 1 and its 95 % interval, normal."""
    n = len(differences)
    if n < 2:
        return {"n": n}
    mean = sum(differences) / n
    half = 1.96 * math.sqrt(sum((d - mean) ** 2 for d in differences) / (n - 1) / n)
    return {"n": n, "mean": round(mean, 4), "low": round(mean - half, 4), "high": round(mean + half, 4)}


def figures(rows):
    tokens = lambda calls: round(sum(c["usage"].get("prompt_tokens", 0) for c in calls) / max(1, len(calls)), 1)
    return {
        "without": share([same(p["answer"], label) for label, p, e in rows]),
        "with": share([same(e["answer"], label) for label, p, e in rows]),
        "uplift": paired([same(e["answer"], label) - same(p["answer"], label) for label, p, e in rows]),
        "copy_nearest": share([same(e["examples"][-1][1], label) for label, p, e in rows]),
        "with_less_copy": paired([same(e["answer"], label) - same(e["examples"][-1][1], label) for label, p, e in rows]),
        "prompt_tokens": {"without": tokens([p for _, p, e in rows]), "with": tokens([e for _, p, e in rows])},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--student-url", required=True)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--few-shots", default="auto")
    parser.add_argument("--lessons", type=int, default=2500)
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=3000, help="stop measuring then")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/understudy"))
    parser.add_argument("--out")
    args = parser.parse_args()
    few_shots = "auto" if args.few_shots == "auto" else int(args.few_shots)

    labels_of = {}
    for line in open(args.texts, encoding="utf-8"):
        row = json.loads(line)
        labels_of.setdefault(row["text"], row["label"])
    texts = sorted(labels_of)
    random.Random(args.seed).shuffle(texts)
    labels = sorted(set(labels_of.values()))
    system = "Say what the message is about, in one of these words: " + ", ".join(labels) + "."
    # One fixed example a label, as applications have them: without any, small models do not even answer in the right form.
    fixed = [next(t for t in texts if labels_of[t] == label) for label in labels]
    random.Random(args.seed).shuffle(fixed)
    system += "".join(f"\n\n{t}\nAnswer: {labels_of[t]}" for t in fixed)
    texts = [t for t in texts if t not in fixed]
    first, then = texts[:args.lessons], texts[args.lessons:args.lessons + args.requests]

    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))   # report what there is
    folder = tempfile.mkdtemp(prefix="understudy-uplift-")
    data = os.path.join(folder, "data")
    tap = Tap(args.student_url)
    children = []
    try:
        recording(os.path.join(folder, "teacher.jsonl"), "labels", [(t, l, None) for t, l in labels_of.items()])
        recording(os.path.join(folder, "wrong.jsonl"), "wrong", [(t, "unknown", -0.5) for t in first])
        replay = lambda name: Child(folder, name, [args.program, "replay", os.path.join(folder, name + ".jsonl"), "--listen", "127.0.0.1:0", "--fast"])
        teacher, wrong = replay("teacher"), replay("wrong")
        children += [teacher, wrong]

        def gateway(name, student, shots):
            file = os.path.join(folder, name + ".toml")
            config(file, student, f"http://{teacher.address}/v1", labels, shots)
            child = Child(folder, name, [args.program, "serve", "--config", file, "--listen", "127.0.0.1:0", "--data", data, "--workers", "1"])
            children.insert(0, child)
            return child

        pool = gateway("pool", f"http://{wrong.address}/v1", 0)
        for text in first:
            ask(pool.address, system, text)
            time.sleep(0.005)   # labels are collected beside the answers, a few hundred at once
        time.sleep(5)
        pool.stop()
        children.remove(pool)

        live = gateway("live", f"http://127.0.0.1:{tap.server_address[1]}/v1", few_shots)
        rows, started = [], time.monotonic()
        for i, text in enumerate(then):
            if stopped or time.monotonic() - started > args.seconds:
                break
            ask(live.address, system, text)
            deadline = time.monotonic() + 60
            plain = examples = None
            while time.monotonic() < deadline and not (plain and examples):
                for call in list(tap.calls[text]):
                    if call["examples"]:
                        examples = call
                    else:
                        plain = call
                time.sleep(0.01)
                # All lessons withheld: there is no second call, and nothing is waited for much longer than one takes.
                if plain and not examples and time.monotonic() > deadline - 50:
                    break
            if plain and examples:
                rows.append((labels_of[text], plain, examples))
            if (i + 1) % 50 == 0:
                print(f"{i + 1} requests, {len(rows)} pairs, {time.monotonic() - started:.0f} s: {json.dumps(figures(rows)['uplift'])}", file=sys.stderr, flush=True)
        time.sleep(2)
        shown = subprocess.run([args.program, "tasks", "show", "uplift", "--data", data, "--json"], capture_output=True, text=True)
        decisions = os.path.join(data, "few_shots.json")
        by_shown = collections.defaultdict(list)
        for row in rows:
            n = len(row[2]["examples"])
            by_shown["1" if n == 1 else "2-3" if n < 4 else "4-5" if n < 6 else "6-10" if n < 11 else "11-20"].append(row)
        report = {"seed": args.seed, "texts": os.path.basename(args.texts), "labels": len(labels), "few_shots": few_shots, "requests_for_lessons": len(first),
                  "requests": i + 1, "pairs": len(rows), "seconds": round(time.monotonic() - started), "all": figures(rows),
                  "by_examples_shown": {k: figures(v) for k, v in sorted(by_shown.items())},
                  "decisions": json.load(open(decisions)) if os.path.exists(decisions) else None,
                  "first": {"label": rows[0][0], "without": rows[0][1], "with": rows[0][2]} if rows else None}
        if shown.returncode == 0:
            report["task"] = json.loads(shown.stdout).get("promise")
        text = json.dumps(report, indent=1)
        print(text)
        if args.out:
            open(args.out, "w").write(text + "\n")
    finally:
        for child in children:
            child.stop()
        tap.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
