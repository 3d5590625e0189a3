#!/usr/bin/env python3
"""`understudy train judge` on the public sets of claims and evidence, as a user runs it: one command for every set.

  bench/specialists/judge.py --program build/release/understudy [--data ../shared/data/specialists] [--seed 1] [--only NAME] [--no-test] [--keep DIR] [--train ARG ...]

The first set, FEVER, is fine-tuned where the trainer is; with --reader (and --keep, so that it is there) its cross-encoder reads the rows of the single
sets, which it has not seen. "all" is one judge for all of them: the fine-tuning goes on from FEVER's cross-encoder with the training rows of every set. Prints one JSON line a test set and a table. Each test split is read by the last step of a set only; --no-test leaves it out,
and what is printed comes from training rows. --train hands arguments on, such as --train=--cross-encoder=off.
"""
import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile

FEVER = "fever_pairs"
SETS = [  # name, [(file, split to train on, weight)], split to calibrate on or None, [(test set, file, floor, good, aim)]
    ("FEVER", [(FEVER, "train", 1), ("fever_symmetric", "dev", 2)], "dev",
     [("FEVER pairs", FEVER, ".762", ".86", ".90"), ("FEVER-symmetric", "fever_symmetric", ".678", ".76", ".82")]),
    ("all", [(FEVER, "train", 1), ("fever_symmetric", "dev", 2), ("scifact_verify", "train", 1), ("begin_wow", "dev", 1), ("wice_claim", "dev", 1), ("summedits_a", "train", 1)], "dev",
     [("FEVER pairs", FEVER, ".762", ".86", ".90"), ("FEVER-symmetric", "fever_symmetric", ".678", ".76", ".82")]),
    ("SciFact", [("scifact_verify", "train", 1)], None, [("SciFact verify", "scifact_verify", ".735", ".75", ".79")]),
    ("BEGIN-WoW", [("begin_wow", "dev", 1)], None, [("BEGIN-WoW", "begin_wow", ".879", ".89", ".91")]),
    ("WiCE", [("wice_claim", "dev", 1)], None, [("WiCE", "wice_claim", ".675", ".700", ".722")]),
    ("SummEdits", [("summedits_a", "train", 1), ("summedits_a", "dev", 1)], None, [("SummEdits a", "summedits_a", ".585", ".620", ".670")]),
]


def run(*command):
    """@return what it printed, as JSON, and the seconds of CPU that it and its children took"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout), after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def rows(path, split, weight):
    """Of one split, with a weight and an id of their own, and no split: what is mixed is trained on whole."""
    text = subprocess.run(["zstd", "-dcq", str(path)], capture_output=True, check=True).stdout.decode()
    for line in text.splitlines():
        row = json.loads(line)
        if row.pop("split") == split:
            yield json.dumps(row | {"id": f"{path.name.split('.')[0]}:{row['id']}", "weight": weight})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--program", default=root / "build/release/understudy")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/specialists")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--no-test", action="store_true")
    parser.add_argument("--reader", action="store_true")
    parser.add_argument("--train", action="append", default=[])
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the judges; those that are there are not trained again. Default: they are removed")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"{arguments.data} is not there: name the data with --data")
    head = ["test set (rows)", "floor", "good", "aim", "balanced accuracy [95 %]", "at .5", "claim alone", "AUROC", "ECE-15", "served at .05", "surest 70 %", "mean ms", "rows not trained on", "training, s of CPU"]
    table = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        keep = arguments.keep or work
        keep.mkdir(parents=True, exist_ok=True)
        for name, sources, calibration, tests in SETS:
            if arguments.only not in name:
                continue
            folder, mixed, seconds = keep / name, work / f"{name}.jsonl", float("nan")
            if folder.is_dir():
                made = json.loads((folder / "specialist.json").read_text())
            else:
                mixed.write_text("".join(line + "\n" for file, split, weight in sources for line in rows(arguments.data / f"faith/{file}.jsonl.zst", split, weight)))
                more = ["--calibration", arguments.data / f"faith/{sources[0][0]}.jsonl.zst", "--calibration-split", calibration] if calibration else []
                if name == "all":
                    more += ["--start", keep / SETS[0][0]] if (keep / SETS[0][0] / "cross_encoder").is_dir() else []
                elif arguments.reader and name != SETS[0][0]:
                    more += ["--cross-encoder", keep / SETS[0][0]]
                made, seconds = run(arguments.program, "train", "judge", "--data", mixed, "--seed", arguments.seed, *more, *arguments.train, "--out", folder, "--json")
            print(json.dumps({"trained": name, "cpu_seconds": seconds, "trainer": made["trainer"], "choice": made["choice"], "calibration": made["calibration"]}), flush=True)
            for test, test_file, floor, good, aim in [] if arguments.no_test else tests:
                e, _ = run(arguments.program, "evaluate", folder, "--data", arguments.data / f"faith/{test_file}.jsonl.zst", "--split", "test", "--json")
                print(json.dumps({"test": test, "seed": arguments.seed, **e}), flush=True)
                m, (low, high) = e["metrics"], e["intervals"]["balanced_accuracy"]
                table.append(f"| {test} ({e['rows']}) | {floor} | {good} | {aim} | {m['balanced_accuracy']:.4f} [{low:.3f}, {high:.3f}] | {m['balanced_accuracy_at_half']:.4f} | "
                             f"{m['claim_alone_balanced_accuracy']:.4f} | {m['auroc']:.4f} | {e['calibration']['ece15']:.4f} | {100 * e['served_at']['0.05']:.1f} % | {e['surest']['0.7']:.4f} | "
                             f"{e['latency_us']['mean'] / 1000:.1f} | {made['calibration']['balanced_accuracy']:.4f} | {seconds:.0f} |")
    if not arguments.no_test:
        print("\n".join(table))


if __name__ == "__main__":
    main()
