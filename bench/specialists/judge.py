#!/usr/bin/env python3
"""`understudy train judge` on the public sets of claims and evidence, as a user runs it: one command for every set.

  bench/specialists/judge.py --program build/release/understudy [--data ../shared/data/specialists] [--seed 1] [--only NAME] [--no-test] [--train ARG ...]

Prints one JSON line a test set and a table. Each test split is read by the last step of a set only; --no-test leaves it out, and what is printed comes
from training rows. --train hands arguments on, such as --train=--cross-encoder=off.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

SETS = [  # name, file, split to train on, [(test set, file, floor, good)]
    ("FEVER pairs", "fever_pairs", "train", [("FEVER pairs", "fever_pairs", ".762", ".86"), ("FEVER-symmetric", "fever_symmetric", ".678", ".76")]),
    ("SciFact verify", "scifact_verify", "train", [("SciFact verify", "scifact_verify", ".735", ".75")]),
    ("BEGIN-WoW", "begin_wow", "dev", [("BEGIN-WoW", "begin_wow", ".879", ".89")]),
    ("WiCE", "wice_claim", "dev", [("WiCE", "wice_claim", ".675", ".700")]),
    ("SummEdits a", "summedits_a", "train", [("SummEdits a", "summedits_a", ".585", ".620")]),
]


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--program", default=root / "build/release/understudy")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/specialists")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-test", action="store_true")
    parser.add_argument("--train", action="append", default=[])
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the judges; default: they are removed")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"{arguments.data} is not there: name the data with --data")
    head = ["test set (rows)", "floor", "good", "balanced accuracy [95 %]", "at the training's share", "claim alone", "AUROC", "ECE-15", "served at .05", "surest 70 %", "mean ms", "rows not trained on", "train s"]
    table = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, file, split, tests in SETS:
        if arguments.only not in name:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = (arguments.keep or pathlib.Path(temporary)) / file
            start = time.monotonic()
            made = run(arguments.program, "train", "judge", "--data", arguments.data / f"faith/{file}.jsonl.zst", "--split", split, "--seed", arguments.seed, *arguments.train, "--out", folder, "--json")
            seconds = round(time.monotonic() - start)
            print(json.dumps({"trained": name, "seconds": seconds, "trainer": made["trainer"], "choice": made["choice"], "calibration": made["calibration"]}), flush=True)
            for test, test_file, floor, good in [] if arguments.no_test else tests:
                e = run(arguments.program, "evaluate", folder, "--data", arguments.data / f"faith/{test_file}.jsonl.zst", "--split", "test", "--json")
                print(json.dumps({"test": test, "seed": arguments.seed, **e}), flush=True)
                m, (low, high) = e["metrics"], e["intervals"]["balanced_accuracy"]
                table.append(f"| {test} ({e['rows']}) | {floor} | {good} | {m['balanced_accuracy']:.4f} [{low:.3f}, {high:.3f}] | {m['balanced_accuracy_at_threshold']:.4f} | "
                             f"{m['claim_alone_balanced_accuracy']:.4f} | {m['auroc']:.4f} | {e['calibration']['ece15']:.4f} | {100 * e['served_at']['0.05']:.1f} % | {e['surest']['0.7']:.4f} | "
                             f"{e['latency_us']['mean'] / 1000:.1f} | {made['calibration']['balanced_accuracy']:.4f} | {seconds} |")
    if not arguments.no_test:
        print("\n".join(table))


if __name__ == "__main__":
    main()
