#!/usr/bin/env python3
"""The bill of a retrieval pipeline before and after two of its steps are answered by specialists.

Each claim is checked in four steps: rewrite, rerank 50, generate, faithfulness. First a frontier model answers all of them, then a reranker and a
judge answer two of them where they are sure; the application sends the same calls. `understudy audit` reads both logs.

    examples/rag/run.py                                    # understudy on the PATH; about three minutes
    examples/rag/run.py --program build/release/understudy --claims 10 --hurry 20
    examples/rag/run.py --work /tmp/rag --json             # keeps both data directories: understudy audit --from /tmp/rag/before

The frontier model is a stand-in that answers from the data set's labels (stand_in.py): its rankings, verdicts and waits are not a model's. The
texts, the search, the specialists, the gateway, their times and the audit are real.
"""
import argparse
import concurrent.futures
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import collection as c
from stand_in import StandIn

STEPS = ("rewrite", "rerank", "generate", "faithfulness")
# Chosen on training claims (README.md), before any live claim was looked at.
RERANK_FROM, JUDGE_BAND = 0.9, (0.25, 0.75)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="" if text else "\r", file=sys.stderr, flush=True)


class Program:
    def __init__(self, path):
        self.path = shutil.which(path) or (path if os.path.exists(path) else None)
        if self.path is None:
            raise SystemExit(f"run.py: there is no program {path}: build it (./dev build), or name it with --program")

    def call(self, *arguments, allowed=(0,)):
        done = subprocess.run([self.path, *arguments], capture_output=True, text=True)
        if done.returncode not in allowed:
            raise SystemExit(f"run.py: understudy {' '.join(arguments[:2])} ended with {done.returncode}:\n{done.stderr}")
        return done.stdout


class Gateway:
    """One gateway with a data directory of its own."""

    def __init__(self, program, work, name, config, **filled):
        self.data, self.log = os.path.join(work, name), os.path.join(work, name + ".log")
        with open(os.path.join(HERE, config), encoding="utf-8") as file:
            text = file.read()
        for key, value in filled.items():
            text = text.replace(f"@{key}@", value)
        path, port_file = os.path.join(work, name + ".toml"), os.path.join(work, name + ".port")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([program.path, "serve", "--config", path, "--data", self.data, "--listen", "127.0.0.1:0", "--port-file", port_file],
                                            stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while not os.path.exists(port_file):
            if self.process.poll() is not None or time.monotonic() > deadline:
                with open(self.log, encoding="utf-8") as log:
                    raise SystemExit(f"run.py: the gateway does not serve:\n{log.read()[-2000:]}")
            time.sleep(0.05)
        with open(port_file, encoding="utf-8") as file:
            self.url = f"http://{file.read().strip()}/v1/chat/completions"

    def ask(self, step, prompt, session):
        """(answer, who served it, milliseconds)"""
        body = json.dumps({"model": "frontier", "messages": [{"role": "user", "content": prompt}], "metadata": {"task": step}}).encode()
        request = urllib.request.Request(self.url, body, {"content-type": "application/json", "x-understudy-session": session})
        begun = time.monotonic()
        with urllib.request.urlopen(request, timeout=120) as reply:
            answer = json.load(reply)["choices"][0]["message"]["content"]
            return answer, reply.headers["x-understudy-served-by"], 1000 * (time.monotonic() - begun)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def train(program, work, data):
    """Both specialists, from what the stand-in says of the training claims."""
    folder = os.path.join(work, "specialists")
    os.makedirs(folder, exist_ok=True)
    reranks, verdicts = os.path.join(work, "rerank.jsonl"), os.path.join(work, "judge.jsonl")
    with open(reranks, "w", encoding="utf-8") as rerank_file, open(verdicts, "w", encoding="utf-8") as judge_file:
        for claim in data.of("train"):
            query = c.keywords(claim["claim"])
            found = data.retrieve(query)
            for did in found:
                rerank_file.write(json.dumps({"qid": claim["id"], "query": query, "did": did, "doc": data.passage(did), "rel": int(did in claim["judged"])}) + "\n")
            used = c.gold_order(claim, found)[:c.USED]
            judge_file.write(json.dumps({"id": claim["id"], "claim": claim["claim"], "evidence": data.evidence(used), "label": int(c.gold_verdict(claim, used))}) + "\n")
    for kind, rows, name in (("rerank", reranks, "rerank-v1"), ("judge", verdicts, "judge-v1")):
        progress(f"training the {kind} ...")
        if not os.path.exists(os.path.join(folder, name)):
            program.call("train", kind, "--data", rows, "--out", os.path.join(folder, name), "--cross-encoder", "off")
    progress("")
    return folder


def trace(gateway, data, claim):
    """One claim through the four steps."""
    out = {"id": claim["id"]}

    def ask(step, prompt):
        answer, by, milliseconds = gateway.ask(step, prompt, f"claim-{claim['id']}")
        out[step] = {"prompt": prompt, "answer": answer, "by": by, "ms": milliseconds}
        return answer

    query = ask("rewrite", c.REWRITE.format(claim=claim["claim"]))
    found = data.retrieve(query)
    order = [int(n) - 1 for n in re.findall(r"\[(\d+)\]", ask("rerank", data.rerank_prompt(query, found)))]
    used = [found[i] for i in order][:c.USED]
    ask("generate", c.GENERATE.format(claim=claim["claim"], documents=data.evidence(used)))
    ask("faithfulness", c.FAITHFULNESS.format(claim=claim["claim"], evidence=data.evidence(used)))
    return out


def run(gateway, data, claims, at_once, what):
    done = []
    with concurrent.futures.ThreadPoolExecutor(at_once) as pool:
        for one in pool.map(lambda claim: trace(gateway, data, claim), claims):
            done.append(one)
            progress(f"{what}: {len(done)} of {len(claims)} claims")
    progress("")
    return done


def audit(program, data):
    # Exit status 3: prices are missing. There are none to miss: prices.json has the stand-in's.
    return json.loads(program.call("audit", "--from", data, "--prices", os.path.join(HERE, "prices.json"), "--json"))


def agreement(program, work, filled, served):
    """What the specialists answered is sent once more to a gateway that spot-checks each answer: the specialist serves, the model is asked beside it, and
    whether they agree says the task's own comparator. Not part of either bill."""
    gateway = Gateway(program, work, "check", "after.toml", **{**filled, "SPOT_CHECK": "1.0"})
    try:
        for step, prompts in served.items():
            for i, prompt in enumerate(prompts):
                gateway.ask(step, prompt, "check")
                progress(f"agreement: {step} {i + 1} of {len(prompts)}")
        progress("")
    finally:
        gateway.stop()   # waits for the answers that are still compared
    out = {}
    for step, prompts in served.items():
        if prompts:
            out[step] = json.loads(program.call("tasks", "show", step, "--data", gateway.data, "--json"))["agreement"]
    return out


def median(values):
    return statistics.median(values) if values else 0.0


def summary(runs, audits):
    """Dollars from the audits, milliseconds as the application saw them."""
    out = {}
    for name, done in runs.items():
        steps = {step["step"]: step for step in audits[name]["steps"]}
        out[name] = {"claims": len(done), "usd": float(audits[name]["total_usd"]), "ms": median([sum(one[step]["ms"] for step in STEPS) for one in done]), "steps": {}}
        for step in STEPS:
            by = [one[step]["by"] for one in done]
            out[name]["steps"][step] = {"usd": int(steps[step]["cost_picousd"]) / 1e12 if step in steps else 0.0, "model_calls": by.count("teacher"), "specialist_calls": len(by) - by.count("teacher"),
                                        "ms": median([one[step]["ms"] for one in done]), "specialist_ms": median([one[step]["ms"] for one in done if one[step]["by"] != "teacher"])}
    return out


def show(result):
    before, after = result["before"], result["after"]
    per_1k = lambda run, usd: 1000 * usd / run["claims"]
    print(f"{before['claims']} claims; the frontier model is a stand-in that answers from the data set's labels, priced at $3 / $15 per 1M tokens, its waits are a formula.\n")
    print(f"{'':14}{'USD per 1,000 claims':>26}{'answered by':>28}{'median ms':>20}{'agreement':>26}")
    print(f"{'step':14}{'before':>13}{'after':>13}{'model':>15}{'specialist':>13}{'before':>10}{'after':>10}{'':>6}{'of what it served':>20}")
    for step in STEPS:
        b, a = before["steps"][step], after["steps"][step]
        of = result["agreement"].get(step)
        agree = f"{of['share']:.3f} ({of['low']:.3f} to {of['high']:.3f})" if of else ""
        print(f"{step:14}{per_1k(before, b['usd']):13.2f}{per_1k(after, a['usd']):13.2f}{a['model_calls']:15}{a['specialist_calls']:13}{b['ms']:10.0f}{a['ms']:10.0f}{agree:>26}")
    print(f"{'all':14}{per_1k(before, before['usd']):13.2f}{per_1k(after, after['usd']):13.2f}{'':28}{before['ms']:10.0f}{after['ms']:10.0f}")
    print(f"\nbefore / after: {result['factor']:.2f} times the dollars. Specialist-eligible share of the spend: {100 * result['eligible']['before']:.0f} % before, {100 * result['eligible']['after']:.0f} % after.")
    for step in ("rerank", "faithfulness"):
        if after["steps"][step]["specialist_calls"]:
            print(f"A specialist's {step} took {after['steps'][step]['specialist_ms']:.1f} ms (median, on this machine, the HTTP call included).")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.environ.get("UNDERSTUDY_PROGRAM", "understudy"), help="the understudy program")
    parser.add_argument("--data", default=os.path.join(HERE, "data"), help="folder with abstracts.jsonl.gz and claims.jsonl.gz (default: the excerpt beside this script)")
    parser.add_argument("--claims", type=int, default=40, help="live claims to check")
    parser.add_argument("--at-once", type=int, default=4, help="claims at a time")
    parser.add_argument("--hurry", type=float, default=1.0, help="divides the stand-in's waits")
    parser.add_argument("--work", help="folder to keep everything in (default: a temporary one)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    args = parser.parse_args()
    program = Program(args.program)
    data = c.Collection(args.data)
    claims = data.of("live")[:args.claims]
    work = args.work or tempfile.mkdtemp(prefix="understudy-rag-")
    os.makedirs(work, exist_ok=True)
    for old in ("before", "after", "check"):
        shutil.rmtree(os.path.join(work, old), ignore_errors=True)
        if os.path.exists(os.path.join(work, old + ".port")):
            os.remove(os.path.join(work, old + ".port"))
    upstream = StandIn(data, args.hurry)
    try:
        specialists = train(program, work, data)
        filled = {"UPSTREAM": upstream.url, "SPECIALISTS": specialists, "RERANK_FROM": str(RERANK_FROM), "JUDGE_BAND": str(list(JUDGE_BAND)), "SPOT_CHECK": "0.0"}
        runs, audits = {}, {}
        for name in ("before", "after"):
            gateway = Gateway(program, work, name, name + ".toml", **filled)
            try:
                runs[name] = run(gateway, data, claims, args.at_once, name)
            finally:
                gateway.stop()
            audits[name] = audit(program, gateway.data)
        upstream.hurry = 1e6
        served = {step: [one[step]["prompt"] for one in runs["after"] if one[step]["by"] != "teacher"] for step in ("rerank", "faithfulness")}
        result = summary(runs, audits)
        result["agreement"] = agreement(program, work, filled, served)
        result["factor"] = result["before"]["usd"] / result["after"]["usd"]
        result["eligible"] = {name: float(audits[name]["specialist_eligible_fraction"]) for name in audits}
    finally:
        upstream.close()
        if not args.work:
            shutil.rmtree(work, ignore_errors=True)
    if args.json:
        print(json.dumps(result, indent=1))
    else:
        show(result)


if __name__ == "__main__":
    main()
