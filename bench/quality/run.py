#!/usr/bin/env python3
"""Prints the quality table: our figures on the recorded answers beside published and simple ones.

    bench/quality/run.py [--program build/release/bench/quality/understudy_eval] [--data ../shared/data/replay] [--rows 1,3,...]

Each figure comes from `understudy eval ... --json`, so every row can be repeated by hand with the command shown. Only the
standard library is used.
"""
import argparse
import json
import math
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))


class Bench:
    def __init__(self, program, data, seed, vectors=os.path.join(ROOT, "build/vectors")):
        self.program, self.data, self.seed, self.vectors = program, data, seed, vectors
        # The program itself has the subcommand, the module's own executable is the subcommand.
        self.prefix = [] if os.path.basename(program) == "understudy_eval" else ["eval"]

    def eval(self, protocol, name, *flags):
        path = os.path.join(self.data, name + ".jsonl.gz")
        command = [self.program, *self.prefix, protocol, path, "--json", "--seed", str(self.seed), *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        return json.loads(done.stdout)


def encoders(b):
    """Without an encoder, and with the one that is there; its vectors are kept for the next row and run."""
    yield "no encoder", ("--encoder", "off")
    yield "with the encoder", ("--encoder", "auto", "--vectors", b.vectors)


NO_ENCODER = "no encoder here (docs/guide/encoder.md)"


def spread(values):
    """Mean and half a 95 % interval over draws."""
    mean = statistics.mean(values)
    half = 1.96 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return mean, half


def show(values, digits=3):
    mean, half = spread(values)
    return f"{mean:.{digits}f} +- {half:.{digits}f}"


def row1(b):
    aims = {"no encoder": (0.627, 0.317, 0.665), "with the encoder": (0.650, 0.30, 0.64)}
    for label, flags in encoders(b):
        r = b.eval("frontier", "routellm_mmlu", "--fit", "random:1500", "--use", "query", "--ignore", "subject", "--seeds", "10", *flags)
        name, aim = f"1 frontier, routellm_mmlu, 10 draws, {label}", aims[label]
        wanted = " / ".join(f"{a:.3f}".lstrip("0") for a in aim)
        if label != "no encoder" and r["encoder"] == "off":
            yield name, ".603 / .354 / .703", wanted, NO_ENCODER, True
            continue
        column = lambda key: [s[key] for s in r["per_seed"]]
        ours = f"APGR {show(column('apgr'), 4)}, CPT50 {show(column('cpt50'))}, CPT80 {show(column('cpt80'))}"
        good = r["apgr"] >= aim[0] and r["cpt50"] <= aim[1] and r["cpt80"] <= aim[2]
        yield name, ".603 / .354 / .703", wanted, ours, good


def row3(b):
    base = {"chain_mmlu_llama": 0.696, "chain_mmlu_qwen_oai": 0.779, "chain_triviaqa_llama": 0.805, "chain_triviaqa_qwen_oai": 0.887}
    alone, peers = [], []
    for name, raw in base.items():
        alone.append(b.eval("frontier", name, "--fit", "split:calib", "--use", "answer")["apgr"] - raw)
        peers.append(b.eval("frontier", name, "--fit", "split:calib")["apgr"] - raw)
    listed = lambda v: " ".join(f"{x:+.3f}" for x in v)
    yield "3 frontier, four chain files, APGR less raw: no peers", "0", "none below -.005", listed(alone), min(alone) >= -0.005
    yield "3 the same with peers", "-", "mean +.05", f"{listed(peers)}, mean {statistics.mean(peers):+.3f}", statistics.mean(peers) >= 0.05


def row4(b):
    for name, target in (("chain_mmlu_qwen_oai", 0.52), ("chain_triviaqa_qwen_oai", 0.29)):
        r = b.eval("frontier", name, "--fit", "random:700", "--seeds", "10")
        cost = [s["cost_at_99"] for s in r["per_seed"]]
        kept = [s["accuracy_at_99"] / s["strong_accuracy"] for s in r["per_seed"]]
        good = statistics.mean(cost) <= target and statistics.mean(kept) >= 0.985
        yield f"4 cost at 99 %, {name}, 10 draws", ".40 (own sets)", f"{target} at >= .985", f"{show(cost)} at {show(kept)} of strong", good


def row5(b):
    sets = (("chain_mmlu_llama", "disagree"), ("chain_mmlu_qwen_oai", "disagree"), ("chain_triviaqa_llama", "worse"), ("msp_arc", "worse"))
    for use, label, target in (("answer", "no peers", 0.87), ("all", "with peers", 0.87)):
        runs = [b.eval("guarantee", name, "--bad", bad, "--use", use) for name, bad in sets]
        shares = [r["served_over_feasible"] for r in runs]
        violations = [r["violations"] for r in runs]
        ours = (f"{statistics.mean(shares):.3f} ({' '.join(f'{s:.2f}' for s in shares)}), violations "
                f"{' '.join(f'{v:.3f}' for v in violations)}, by empirical rate {' '.join(format(r['naive']['violations'], '.2f') for r in runs)}")
        good = statistics.mean(shares) >= target and all(v <= r["violations_tolerated"] for v, r in zip(violations, runs))
        yield f"5 guarantee .10 / .10, {label}: served / feasible", "-", f"{target}, violations <= .142", ours, good


def row6(b):
    names = ("chain_mmlu_llama", "chain_mmlu_qwen_oai", "chain_triviaqa_llama", "chain_triviaqa_qwen_oai", "chain_gsm8k_llama", "chain_gsm8k_qwen_oai",
             "msp_arc", "mot_date_gpt35", "judge_chatbot_arena")
    runs = [b.eval("calibration", name) for name in names]
    mean = lambda part, key: statistics.mean(r[part][key] for r in runs)
    excess = mean("fitted", "brier") - mean("best_single", "brier")
    ours = (f"ECE {100 * mean('fitted', 'ece15'):.2f} (raw {100 * mean('raw', 'ece15'):.1f}, constant {100 * mean('constant', 'ece15'):.2f}); Brier "
            f"{mean('fitted', 'brier'):.4f}, best single {excess:+.4f} from it, raw {mean('raw', 'brier'):.4f}, constant {mean('constant', 'brier'):.4f}")
    yield "6 calibration, nine files, ECE-15 in points", "9.5", "5.0, Brier excess <= .002", ours, mean("fitted", "ece15") <= 0.05 and excess <= 0.002


def row7(b):
    for calls, published, target in ((1200, 0.6078, 0.4415), (1500, 0.6534, 0.4652), (2700, 0.6975, 0.5550)):
        values = [Bench(b.program, b.data, b.seed + s).eval("stream", "stream_isear", "--teacher-calls", str(calls), "--encoder", "off")["accuracy"] for s in range(3)]
        yield f"7 stream, {calls} teacher calls, 3 seeds (lexical, no encoder)", f"{published}", f"{target}", show(values, 4), statistics.mean(values) >= target


def row8(b):
    for flags, label, target in (((), "exact", 0.56), (("--approximate",), "approximate", 0.753)):
        r = b.eval("judge", "judge_chatbot_arena", *flags)
        ours = f"coverage {r['coverage']:.3f} at success {r['success']:.3f}, strong judge asked {r['strong_calls']:.3f}"
        yield f"8 judge, {label}", "about .80 (larger set)", f"{target} at success >= .90", ours, r["coverage"] >= target and r["success"] >= 0.90


def row9(b):
    for classes in (20, 30):
        for fit in (200, 400):
            r = b.eval("fewshot", f"fewshot_banking77_c{classes}", "--fit", f"random:{fit}", "--seeds", "5")
            ours = (f"chosen {r['chosen_accuracy']:.4f}, best single ({r['best_single_name']}) {r['best_single_policy']:.4f}, gain {r['gain']:+.4f} "
                    f"({r['gain_low']:+.4f} to {r['gain_high']:+.4f}), oracle {r['oracle']:.4f}; the guess alone {r['label_guess_accuracy']:.4f}")
            yield f"9 fewshot, banking77_c{classes}, {fit} fit rows, 5 draws", "-", "gain 0 with its whole interval", ours, r["gain_low"] > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/bench/quality/understudy_eval"))
    shared = os.environ.get("UNDERSTUDY_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    parser.add_argument("--data", default=os.path.join(shared, "data/replay"))
    parser.add_argument("--rows", default="1,3,4,5,6,7,8,9")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--vectors", default=os.path.join(ROOT, "build/vectors"), help="where the encoder's vectors are kept for the next run")
    args = parser.parse_args()
    if not os.path.isdir(args.data):
        sys.exit(f"{args.data}: no such folder; --data names the recorded answers")
    bench = Bench(args.program, args.data, args.seed, args.vectors)
    print("| row | published | to beat | ours | there |\n| --- | --- | --- | --- | --- |")
    missed = 0
    for number in args.rows.split(","):
        for name, published, target, ours, good in globals()["row" + number](bench):
            missed += not good
            print(f"| {name} | {published} | {target} | {ours} | {'yes' if good else '**no**'} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
