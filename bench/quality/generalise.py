#!/usr/bin/env python3
"""Does the same command do as well on rows that nobody looked at while it was made?

    bench/quality/generalise.py [--program ...] [--data ../shared/data/replay] [--parts students,streams,...]

Nothing was chosen on what this script measures: every file with `others` is rewritten so that another recorded model is the
student (its answer, logprob, price; the old student becomes a peer), the judges' outputs change places, streams come in other
orders or from other sets, and all draws use seeds of their own. Only the standard library is used; intent sets are read
with the zstd program where it is installed.
"""
import argparse
import gzip
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

from run import ROOT, Bench, encoders, show

SEED = 7001


def read(path):
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(folder, name, rows):
    with gzip.open(os.path.join(folder, name + ".jsonl.gz"), "wt", encoding="utf-8", compresslevel=1) as out:
        for row in rows:
            out.write(json.dumps(row) + "\n")


def swap_student(row, model):
    """The row with `model` as the weak one and the old weak one among the others."""
    row = dict(row)
    others = dict(row["others"])
    new = others.pop(model)
    old = row["weak_model"]
    if isinstance(new, list):
        others[old] = [row["weak_correct"], row.get("weak_prob")]
        row.update(weak_correct=new[0], weak_prob=new[1], weak_answer=None)
    else:
        others[old] = {"answer": row["weak_answer"], "logprob": row.get("weak_logprob"), "correct": row["weak_correct"], "cost_usd": row.get("weak_cost_usd")}
        row.update(weak_correct=new["correct"], weak_answer=new["answer"], weak_logprob=new.get("logprob"), weak_cost_usd=new.get("cost_usd"))
    row.update(weak_model=model, others=others)
    return row


def swapped(data, folder, names):
    """Files with other students; yields (name, file)."""
    for name in names:
        rows = read(os.path.join(data, name + ".jsonl.gz"))
        for model in sorted(rows[0]["others"]):
            if not all(model in row["others"] for row in rows):
                continue
            short = name + "@" + model.split("/")[-1]
            write(folder, short, [swap_student(row, model) for row in rows])
            yield name, short


CHAINS = ("chain_mmlu_llama", "chain_mmlu_qwen_oai", "chain_triviaqa_llama", "chain_triviaqa_qwen_oai")


def students(bench, data, folder):
    files = list(swapped(data, folder, CHAINS))
    b = Bench(bench.program, folder, SEED)
    print("| file @ student | accuracy weak, strong | APGR raw, with peers | cost at 99 % (kept) | served / feasible, violations: no peers | with peers | ECE raw, fitted | Brier fitted - best single |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    gains, ratios, peer_ratios, eces, excess, kept_all, broken = [], [], [], [], [], [], 0
    for name, file in files:
        raw = b.eval("frontier", file, "--fit", "split:calib", "--use", "answer")
        peers = b.eval("frontier", file, "--fit", "split:calib")
        cost = b.eval("frontier", file, "--fit", "random:700")
        bad = "disagree" if "mmlu" in name else "worse"
        alone = b.eval("guarantee", file, "--bad", bad, "--use", "answer")
        together = b.eval("guarantee", file, "--bad", bad)
        calibration = b.eval("calibration", file)
        sound = raw["apgr"] is not None and raw["strong_accuracy"] - raw["weak_accuracy"] > 0.02
        if sound:
            gains.append(peers["apgr"] - raw["apgr"])
        kept = statistics.mean(s["accuracy_at_99"] / s["strong_accuracy"] for s in cost["per_seed"])
        kept_all.append(kept)
        for runs, into in ((alone, ratios), (together, peer_ratios)):
            if runs["served_over_feasible"] is not None and runs["feasible"] > 0.05:
                into.append(runs["served_over_feasible"])
            broken += runs["violations"] > runs["violations_tolerated"]
        eces.append(calibration["fitted"]["ece15"])
        excess.append(calibration["fitted"]["brier"] - calibration["best_single"]["brier"])
        number = lambda v, digits=3: "-" if v is None else f"{v:.{digits}f}"
        print(f"| {file} | {raw['weak_accuracy']:.3f}, {raw['strong_accuracy']:.3f} | {number(raw['apgr'])}, {number(peers['apgr'])} | {number(cost['cost_at_99'])} ({kept:.3f}) "
              f"| {number(alone['served_over_feasible'])}, {alone['violations']:.3f} | {number(together['served_over_feasible'])}, {together['violations']:.3f} "
              f"| {100 * calibration['raw']['ece15']:.1f}, {100 * calibration['fitted']['ece15']:.1f} | {excess[-1]:+.4f} |", flush=True)
    print(f"\nMeans over {len(files)} students: gain of peers {statistics.mean(gains):+.3f} (least {min(gains):+.3f}; where strong is .02 better), kept at 99 % {statistics.mean(kept_all):.3f}, "
          f"served / feasible {statistics.mean(ratios):.3f} alone and {statistics.mean(peer_ratios):.3f} with peers (where feasible > .05), files over the tolerated violations: {broken} of {2 * len(files)}, "
          f"ECE {100 * statistics.mean(eces):.2f}, Brier excess {statistics.mean(excess):+.4f}\n", flush=True)


def judges(bench, data, folder):
    rows = read(os.path.join(data, "judge_chatbot_arena.jsonl.gz"))
    for row in rows:
        row["output_1"], row["output_2"] = row["output_2"], row["output_1"]
        row["gold"] = {"1": "2", "2": "1"}[str(row["gold"])]
        for key in ("weak_probs", "mid_probs", "strong_probs"):
            row[key] = row[key][::-1]
    write(folder, "judge_swapped", rows)
    b = Bench(bench.program, folder, SEED)
    for target in (0.75, 0.80, 0.85):
        for flags in ((), ("--approximate",)):
            r = b.eval("judge", "judge_swapped", "--target", str(target), *flags)
            print(f"judge, outputs swapped, seed {SEED}, target {target}, {'approximate' if flags else 'exact'}: coverage {r['coverage']:.3f} at success {r['success']:.3f}", flush=True)
    print(flush=True)


def prompts(bench, data, folder):
    b = Bench(bench.program, data, SEED)
    sets = [("routellm_mmlu", size, ("--ignore", "subject")) for size in (750, 1500, 3000)]
    sets += [("zeroeval_math_l5", 360, ()), ("llmrouter_suite_scores", 1500, ()), ("chain_mmlu_llama", 700, ()), ("chain_triviaqa_llama", 700, ())]
    for name, size, ignored in sets:
        for label, flags in encoders(b):
            r = b.eval("frontier", name, "--fit", f"random:{size}", "--use", "query", *ignored, "--seeds", "10", *flags)
            print(f"{name}, prompts alone, {size} fit rows, seeds {SEED}.., {label} ({r['method']}): APGR {show([s['apgr'] for s in r['per_seed']], 4)}, CPT50 {r['cpt50']:.3f}, "
                  f"CPT80 {r['cpt80']:.3f}", flush=True)
    r = b.eval("frontier", "zeroeval_math_l5", "--fit", "random:360", "--seeds", "10")
    print(f"zeroeval_math_l5, with peers: APGR {show([s['apgr'] for s in r['per_seed']], 4)} ({r['method']})\n", flush=True)


def streams(bench, data, folder):
    rows = read(os.path.join(data, "stream_isear.jsonl.gz"))
    b = Bench(bench.program, folder, SEED)
    for calls in (1200, 1500, 2700):
        values = []
        for order in range(3):
            shuffled = list(rows)
            random.Random(SEED + order).shuffle(shuffled)
            write(folder, "isear_shuffled", shuffled)
            values.append(b.eval("stream", "isear_shuffled", "--teacher-calls", str(calls))["accuracy"])
        print(f"stream_isear in other orders, {calls} calls: accuracy {show(values, 4)}", flush=True)
    print(flush=True)


def intents(bench, data, folder, shuffles=5):
    """Prompt, and the gold label as the teacher's answer."""
    intent = os.path.join(os.path.dirname(data), "specialists", "intent")
    if not shutil.which("zstd") or not os.path.isdir(intent):
        print("intent sets: zstd or the data are absent; left out\n")
        return
    b = Bench(bench.program, folder, SEED)
    for name, alpha in (("banking77", 0.05), ("hwu64", 0.05), ("trec_qc", 0.05)):
        text = subprocess.run(["zstd", "-dcq", os.path.join(intent, name + ".jsonl.zst")], capture_output=True, check=True).stdout.decode("utf-8")
        rows = [json.loads(line) for line in text.splitlines()]
        saved, share, risk, first, broken = [], [], [], [], 0
        for order in range(shuffles):
            shuffled = list(rows)
            random.Random(SEED + order).shuffle(shuffled)
            write(folder, name, [{"id": str(i), "prompt": r["text"], "strong_answer": str(r["label"])} for i, r in enumerate(shuffled)])
            r = Bench(b.program, folder, SEED + order).eval("stream", name, "--alpha", str(alpha))
            saved.append(1 - r["teacher_calls"] / r["rows"])
            tail = [p for p in r["curve"] if p["n"] > r["rows"] - 1000]
            share.append(statistics.mean(p["teacher_share"] for p in tail))
            if r["served"]:
                risk.append(r["disagreement"])
                first.append(r["first_served"])
                broken += r["broken"]
        print(f"stream --alpha {alpha}, {name} ({len(rows)} rows, {shuffles} orders, label as teacher): fewer teacher calls {100 * statistics.mean(saved):.0f} %, teacher share at the end "
              f"{100 * statistics.mean(share):.0f} % ({100 * min(share):.0f}-{100 * max(share):.0f}), first cheap answer at {statistics.median(first) if first else '-'}, disagreement served "
              f"{statistics.mean(risk) if risk else float('nan'):.3f}, runs over alpha {broken} of {shuffles}", flush=True)
    print(flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/bench/quality/understudy_eval"))
    shared = os.environ.get("UNDERSTUDY_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    parser.add_argument("--data", default=os.path.join(shared, "data/replay"))
    parser.add_argument("--parts", default="students,judges,prompts,streams,intents")
    args = parser.parse_args()
    if not os.path.isdir(args.data):
        sys.exit(f"{args.data}: no such folder; --data names the recorded answers")
    with tempfile.TemporaryDirectory() as folder:
        for part in args.parts.split(","):
            globals()[part](Bench(args.program, args.data, SEED), args.data, folder)


if __name__ == "__main__":
    main()
