#!/usr/bin/env python3
"""Prints the table of simulated deployments: the promise over a deployment's life, on traffic drawn from recorded answers.

    bench/quality/deployments.py [--program build/release/bench/quality/understudy_eval] [--data ../shared/data/replay] [--deployments 60] [--alphas .10,.05]

Exits 1 where more deployments broke the promise than a true rate of delta exceeds once in forty (the lower end of the 95 % Clopper-Pearson interval
above delta), before or after a change. Only the standard library is used.
"""
import argparse
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FILES = ("chain_mmlu_llama", "chain_mmlu_qwen_oai", "chain_triviaqa_llama", "chain_triviaqa_qwen_oai", "msp_arc")
CHANGES = ("drift", "silent_drift", "never_recovery", "template")


def rate(r):
    return f"{r['n']}/{r['of']} [{r['interval'][0]:.3f}, {r['interval'][1]:.3f}]" if r["of"] else "-"


def quartiles(q, never):
    show = lambda v: never if v is None else f"{v:.0f}"
    return f"{show(q['median'])} ({show(q['q25'])}-{show(q['q75'])})"


def number(value, digits=3):
    return "-" if value is None else f"{value:.{digits}f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/bench/quality/understudy_eval"))
    shared = os.environ.get("UNDERSTUDY_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    parser.add_argument("--data", default=os.path.join(shared, "data/replay"))
    parser.add_argument("--deployments", type=int, default=60, help="for each scenario and file")
    parser.add_argument("--requests", type=int, default=10000)
    parser.add_argument("--alphas", default=".10,.05")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    if not os.path.isdir(args.data):
        sys.exit(f"{args.data}: no such folder; --data names the recorded answers")
    prefix = [] if os.path.basename(args.program) == "understudy_eval" else ["eval"]
    paths = [os.path.join(args.data, name + ".jsonl.gz") for name in FILES]
    print("| alpha, scenario | broken before | after, proven anew | after, mixed evidence | served / best student | bad / served | first cheap answer | detected | after requests | after labels | "
          "false alarms / 100k | saved | hindsight | labels |\n|" + " --- |" * 14)
    missed, total = 0, 0
    for alpha in args.alphas.split(","):
        command = [args.program, *prefix, "deployments", *paths, "--json", "--seed", str(args.seed), "--alpha", alpha, "--deployments", str(args.deployments), "--requests", str(args.requests)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        result = json.loads(done.stdout)
        total += result["deployments"]
        for s in result["scenarios"]:
            missed += sum(s[key]["of"] > 0 and s[key]["interval"][0] > s["delta"] for key in ("broken_before", "broken_after"))
            teacher = s["teacher_only_usd"]
            part = lambda usd: "-" if not teacher else f"{100 * (1 - usd / teacher):.0f} %"
            labels = "-" if not teacher else f"{100 * s['label_usd'] / teacher:.1f} %"
            needed = s["detection_needed"]
            found = f"{s['detected']} of {needed}" if needed else "-"
            print(f"| {alpha} {s['scenario']} | {rate(s['broken_before'])} | {rate(s['broken_after'])} | {rate(s['broken_between']) if s['scenario'] in CHANGES else '-'} | {number(s['served_over_best'], 2)} | {number(s['served_bad'], 4)} | "
                  f"{quartiles(s['first_cheap'], 'never')} | {found} | {quartiles(s['detection_requests'], 'later') if needed else '-'} | "
                  f"{quartiles(s['detection_labels'], 'later') if needed else '-'} | {s['false_alarms_per_100k']:.2f} | {part(s['cost_usd'] or 0)} | {part(s['oracle_usd'] or 0)} | {labels} |", flush=True)
    print(f"\n{total} deployments")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
