#!/usr/bin/env python3
"""`understudy train judge` on the public sets of scored and compared answers, as a user runs it: one command for every set.

  bench/specialists/answers.py --program build/release/understudy [--data ../shared/data/specialists] [--seed 1] [--only NAME] [--no-test] [--train ARG ...]

Prints one JSON line a set and a table. Each test split is read by the last step of a set only; --no-test leaves it out, and what is printed comes
from training rows, each judged by what has not seen it. --train hands arguments on, such as --train=--encoder=off.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

SETS = [  # name, file, [(metric, floor, good, aim)]
    ("Auto-J, scores", "autoj_gpt4_pointwise", [("spearman", ".237", ".40", ".60"), ("within1", ".644", ".70", ".80")]),
    ("PandaLM, decided pairs", "pandalm_pairs", [("accuracy", ".672", ".72", ".80")]),
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
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"{arguments.data} is not there: name the data with --data")
    head = ["test set (rows)", "metric", "floor", "good", "aim", "test [95 %]", "the length alone", "ECE-15", "on rows left out of training", "mean ms", "train s"]
    table = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, file, metrics in SETS:
        if arguments.only not in name:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder, data = pathlib.Path(temporary) / file, arguments.data / f"judge/{file}.jsonl.zst"
            start = time.monotonic()
            made = run(arguments.program, "train", "judge", "--data", data, "--split", "train", "--seed", arguments.seed, *arguments.train, "--out", folder, "--json")
            seconds = round(time.monotonic() - start)
            calibration = {key: value for key, value in made["calibration"].items() if key != "knots"}
            print(json.dumps({"trained": name, "seconds": seconds, "choice": made["choice"], "length_alone": made["length_alone"], "calibration": calibration}), flush=True)
            if arguments.no_test:
                continue
            e = run(arguments.program, "evaluate", folder, "--data", data, "--split", "test", "--json")
            print(json.dumps({"test": name, "seed": arguments.seed, **e}), flush=True)
            alone = next(value for key, value in e["metrics"].items() if key.startswith("length_alone"))
            for metric, floor, good, aim in metrics:
                low, high = e["intervals"][metric]
                table.append(f"| {name} ({e['rows']}) | {metric} | {floor} | {good} | {aim} | {e['metrics'][metric]:.4f} [{low:.3f}, {high:.3f}] | {alone:.4f} | {e['calibration']['ece15']:.4f} | "
                             f"{made['calibration'][metric]:.4f} | {e['latency_us']['mean'] / 1000:.1f} | {seconds} |")
    if not arguments.no_test:
        print("\n".join(table))


if __name__ == "__main__":
    main()
