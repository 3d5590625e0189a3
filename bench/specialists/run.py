#!/usr/bin/env python3
"""Prints accuracy and calibration of the specialists on public test splits, beside the floor of simple models.

    bench/specialists/run.py [--program build/release/bench/specialists/understudy_linear] [--data ../shared/data/specialists] [--seeds 3] [--neighbours]

One training command for every set; penalty and calibration are chosen inside the training rows; each test split is scored once a seed.
Needs the zstd program; otherwise only the standard library.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# name, file, flags, floor of accuracy and of ECE-15 (None: none was given)
SETS = (
    ("BANKING77, all", "banking77", (), 0.909, 0.018),
    ("BANKING77, 10-shot", "banking77_fewshot", ("--train", "train_10"), 0.755, None),
    ("BANKING77, 5-shot", "banking77_fewshot", ("--train", "train_5"), 0.625, None),
    ("HWU64, all", "hwu64", (), 0.887, None),
    ("HWU64, 10-shot", "hwu64", ("--shot", "shot10"), 0.705, None),
    ("TREC questions", "trec_qc", (), None, None),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/bench/specialists/understudy_linear"))
    shared = os.environ.get("UNDERSTUDY_SHARED", os.path.join(os.path.dirname(ROOT), "shared"))
    parser.add_argument("--data", default=os.path.join(shared, "data/specialists"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--neighbours", action="store_true")
    parser.add_argument("--quick", action="store_true", help="as when learning online: one fold, default penalty, 8 epochs")
    args = parser.parse_args()
    if not os.path.isdir(os.path.join(args.data, "intent")):
        sys.exit(f"{args.data}/intent: no such folder; --data names the labelled sets")
    if not shutil.which("zstd"):
        sys.exit("the zstd program is needed to read the sets; install zstd")
    print("| set (training rows) | floor: accuracy, ECE-15 | accuracy, mean of seeds [95 % interval of seed 1] | ECE-15, mean (least to greatest) | accuracy in cross-validation | fit s | guess us | KB |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    missed = 0
    for name, file, flags, accuracy_floor, ece_floor in SETS:
        text = subprocess.run(["zstd", "-dcq", os.path.join(args.data, "intent", file + ".jsonl.zst")], capture_output=True, check=True).stdout
        runs = []
        for seed in range(1, args.seeds + 1):
            command = [args.program, *flags, "--seed", str(seed)] + ["--neighbours"] * args.neighbours + ["--quick"] * args.quick
            done = subprocess.run(command, input=text, capture_output=True)
            if done.returncode != 0:
                sys.exit(f"{' '.join(command)}\n{done.stderr.decode()}")
            runs.append(json.loads(done.stdout))
        mean = lambda key: statistics.mean(r[key] for r in runs)
        eces = [r["ece15"] for r in runs]
        missed += accuracy_floor is not None and mean("accuracy") < accuracy_floor
        missed += ece_floor is not None and mean("ece15") > ece_floor
        show = lambda v: "-" if v is None else f"{v:.3f}"
        print(f"| {name} ({runs[0]['train_rows']}) | {show(accuracy_floor)}, {show(ece_floor)} | {mean('accuracy'):.4f} [{runs[0]['accuracy_low']:.3f}, {runs[0]['accuracy_high']:.3f}] "
              f"| {mean('ece15'):.4f} ({min(eces):.4f} to {max(eces):.4f}) | {mean('cv_accuracy'):.4f} | {mean('fit_s'):.2f} | {mean('guess_us'):.0f} | {runs[0]['bytes'] // 1000} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
