#!/usr/bin/env python3
"""`understudy train intent` on the public sets, as a user runs it: one command for every set, then int8 and int4 versions.

  bench/specialists/intent.py --program build/release/understudy [--data ../shared/data/specialists] [--seeds 1] [--only NAME] [--sklearn]

Prints one JSON line a set and a table. Each test split is read by the last step of a set only. --sklearn adds TF-IDF + logistic regression of
scikit-learn (import it from your own environment) on the same rows.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile
import time

SETS = [  # name, file, arguments of train, bars: floor and good (accuracy / ECE-15; AUROC; macro F1)
    ("BANKING77, all", "intent/banking77.jsonl.zst", [], ".909 / .018", ".932 / .012"),
    ("BANKING77, 10-shot", "intent/banking77_fewshot.jsonl.zst", ["--split", "train_10"], ".755", ".860"),
    ("BANKING77, 5-shot", "intent/banking77_fewshot.jsonl.zst", ["--split", "train_5"], ".625", ".780"),
    ("HWU64, all", "intent/hwu64.jsonl.zst", [], ".887", ".917 / .02"),
    ("HWU64, 10-shot", "intent/hwu64.jsonl.zst", ["--only", "shot10"], ".705", ".829 / .02"),
    ("BANKING77-OOS", "intent/banking77_oos.jsonl.zst", [], ".815", ".88"),
    ("OpenAI moderation", "moderation/openai_moderation.jsonl.zst", [], ".772", ".83"),
]


def wilson(share, rows):
    z = 1.96
    middle, spread = share + z * z / (2 * rows), z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    return (middle - spread) / (1 + z * z / rows), (middle + spread) / (1 + z * z / rows)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return json.loads(done.stdout)


def rows_of(path, split, only=None):
    text = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.decode()
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [r for r in rows if r["split"] == split and (only is None or r.get(only)) and not r.get("oos")]


def scikit_learn(path, arguments):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline, make_union

    train = rows_of(path, arguments[1] if "--split" in arguments else "train", "shot10" if "--only" in arguments else None)
    test = rows_of(path, "test")
    model = make_pipeline(make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)),
                          LogisticRegression(C=30, max_iter=200))
    model.fit([r["text"] for r in train], [r["label"] for r in train])
    said = model.predict([r["text"] for r in test])
    return sum(a == r["label"] for a, r in zip(said, test)) / len(test)


def measure(program, path, arguments, seed, folder):
    start = time.monotonic()
    trained = run(program, "train", "intent", "--data", path, *arguments, "--seed", seed, "--out", folder / "fp32", "--json")
    seconds = time.monotonic() - start
    for precision in ("int8", "int4"):
        run(program, "quantize", folder / "fp32", "--to", precision, "--out", folder / precision, "--json")
    tested = run(program, "evaluate", folder / "fp32", "--data", path, "--split", "test", "--json")
    return {"train_s": round(seconds, 1), "cross_validation": trained["calibration"]["accuracy"], "choice": trained["choice"], "fp32": tested,
            **{p: run(program, "evaluate", folder / p, "--data", path, "--split", "test", "--json") for p in ("int8", "int4")}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--program", default=root / "build/release/understudy")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/specialists")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--sklearn", action="store_true")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"{arguments.data} is not there: name the data with --data")
    head = ["set", "floor", "good", "fp32, accuracy [95 %] / ECE-15", "macro F1", "AUROC oos", "int8", "int4", "size fp32, int8, int4 MB", "mean ms fp32, int8", "train s"]
    table = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, file, train, floor, good in SETS:
        if arguments.only not in name:
            continue
        for seed in range(1, arguments.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                m = measure(arguments.program, arguments.data / file, train, seed, pathlib.Path(folder))
            if arguments.sklearn:
                m["scikit_learn"] = scikit_learn(arguments.data / file, train)
            print(json.dumps({"set": name, "seed": seed, **m}), flush=True)
            low, high = wilson(m["fp32"]["metrics"]["accuracy"], m["fp32"]["rows"])
            pair = lambda p: f"{m[p]['metrics']['accuracy']:.4f} / {m[p]['calibration']['ece15']:.4f}"
            table.append(f"| {name}, seed {seed} | {floor} | {good} | {m['fp32']['metrics']['accuracy']:.4f} [{low:.3f}, {high:.3f}] / {m['fp32']['calibration']['ece15']:.4f} "
                         f"| {m['fp32']['metrics']['macro_f1']:.4f} | {m['fp32']['metrics'].get('auroc_oos', float('nan')):.4f} | {pair('int8')} | {pair('int4')} "
                         f"| {', '.join(format(m[p]['size_bytes'] / 1e6, '.2f') for p in ('fp32', 'int8', 'int4'))} "
                         f"| {', '.join(format(m[p]['latency_us']['mean'] / 1e3, '.2f') for p in ('fp32', 'int8'))} | {m['train_s']} |"
                         + (f" scikit-learn {m['scikit_learn']:.4f}" if arguments.sklearn else ""))
    print("\n".join(table))


if __name__ == "__main__":
    main()
