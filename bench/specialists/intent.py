#!/usr/bin/env python3
"""`understudy train intent` on the public sets, as a user runs it: one command for every set, then int8 and int4 versions.

  bench/specialists/intent.py --program build/release/understudy [--data ../shared/data/specialists] [--seeds 1] [--only NAME] [--sklearn] [--no-ours]

Prints one JSON line a set and a table. Each test split is read by the last step of a set only. --sklearn adds what scikit-learn makes of the same rows (run it with a Python that
has bench/specialists/requirements.txt): logistic regression on TF-IDF of words and character n-grams, and on the sentence encoder's vectors (understudy_vectors, fp32).
--no-ours leaves ours out.
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


def rows_of(path, split, only=None, oos=False):
    text = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.decode()
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [r for r in rows if r["split"] == split and (only is None or r.get(only)) and (oos or not r.get("oos"))]


def judge(model, inputs, rows):
    """As `evaluate` counts: rows out of scope in AUROC only, by the top probability."""
    import numpy
    from sklearn.metrics import f1_score, roc_auc_score

    probabilities = model.predict_proba(inputs)
    sure, said = probabilities.max(1), model.classes_[probabilities.argmax(1)]
    inside = numpy.array([not r.get("oos") for r in rows])
    right = numpy.array([a == r["label"] for a, r in zip(said, rows)])[inside]
    bins = numpy.clip(numpy.ceil(sure[inside] * 15) - 1, 0, 14)
    ece = sum(abs((sure[inside][bins == b] - right[bins == b]).sum()) for b in range(15)) / len(right)
    out = {"accuracy": right.mean(), "ece15": ece, "macro_f1": f1_score([r["label"] for r in rows if not r.get("oos")], said[inside], average="macro")}
    if not inside.all():
        out["auroc_oos"] = roc_auc_score(inside, sure)
    return {key: round(float(value), 4) for key, value in out.items()}


def scikit_learn(program, path, arguments):
    import numpy
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    train = rows_of(path, arguments[1] if "--split" in arguments else "train", "shot10" if "--only" in arguments else None)
    test = rows_of(path, "test", oos=True)
    labels = [r["label"] for r in train]
    words = make_union(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True))
    model = LogisticRegression(C=30, max_iter=200).fit(words.fit_transform([r["text"] for r in train]), labels)
    out = {"tfidf": judge(model, words.transform([r["text"] for r in test]), test)}
    vectors_program = program.parent / "bench/specialists/understudy_vectors"
    if not vectors_program.exists():
        return out
    texts = "".join(json.dumps({"text": r["text"]}) + "\n" for r in train + test)
    bytes_out = subprocess.run([vectors_program, "fp32"], input=texts.encode(), capture_output=True, check=True).stdout
    vectors = numpy.frombuffer(bytes_out, dtype="<f4").reshape(len(train) + len(test), -1)
    model = LogisticRegression(C=10, max_iter=300).fit(vectors[:len(train)], labels)
    return {**out, "vectors": judge(model, vectors[len(train):], test)}


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
    parser.add_argument("--program", type=pathlib.Path, default=root / "build/release/understudy")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/specialists")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--sklearn", action="store_true")
    parser.add_argument("--no-ours", action="store_true")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        sys.exit(f"{arguments.data} is not there: name the data with --data")
    compared = ["set", "TF-IDF + logistic regression: accuracy / ECE-15", "macro F1", "AUROC oos", "vectors + logistic regression: accuracy / ECE-15", "macro F1", "AUROC oos"]
    beside = [f"| {' | '.join(compared)} |", "| --- " * len(compared) + "|"]
    head = ["set", "floor", "good", "fp32, accuracy [95 %] / ECE-15", "macro F1", "AUROC oos", "int8", "int4", "size fp32, int8, int4 MB", "mean ms fp32, int8", "train s"]
    table = [f"| {' | '.join(head)} |", "| --- " * len(head) + "|"]
    for name, file, train, floor, good in SETS:
        if arguments.only not in name:
            continue
        if arguments.sklearn:
            others = scikit_learn(arguments.program, arguments.data / file, train)
            print(json.dumps({"set": name, "scikit_learn": others}), flush=True)
            cells = [f"{o['accuracy']:.4f} / {o['ece15']:.4f} | {o['macro_f1']:.4f} | {o.get('auroc_oos', float('nan')):.4f}" for o in others.values()]
            beside.append(f"| {name} | {' | '.join(cells)} |")
        for seed in range(1, 1 if arguments.no_ours else arguments.seeds + 1):
            with tempfile.TemporaryDirectory() as folder:
                m = measure(arguments.program, arguments.data / file, train, seed, pathlib.Path(folder))
            print(json.dumps({"set": name, "seed": seed, **m}), flush=True)
            low, high = wilson(m["fp32"]["metrics"]["accuracy"], m["fp32"]["rows"])
            pair = lambda p: f"{m[p]['metrics']['accuracy']:.4f} / {m[p]['calibration']['ece15']:.4f}"
            table.append(f"| {name}, seed {seed} | {floor} | {good} | {m['fp32']['metrics']['accuracy']:.4f} [{low:.3f}, {high:.3f}] / {m['fp32']['calibration']['ece15']:.4f} "
                         f"| {m['fp32']['metrics']['macro_f1']:.4f} | {m['fp32']['metrics'].get('auroc_oos', float('nan')):.4f} | {pair('int8')} | {pair('int4')} "
                         f"| {', '.join(format(m[p]['size_bytes'] / 1e6, '.2f') for p in ('fp32', 'int8', 'int4'))} "
                         f"| {', '.join(format(m[p]['latency_us']['mean'] / 1e3, '.2f') for p in ('fp32', 'int8'))} | {m['train_s']} |")
    print("\n".join(table))
    if arguments.sklearn:
        print("\n".join(beside))


if __name__ == "__main__":
    main()
