#!/usr/bin/env python3
"""A distilled judge as a task's comparator: does a cheap answer in other words say what the teacher's does?

  bench/specialists/compare_answers.py --program build/release/understudy [--data ../shared/data/replay] [--seed 1] [--train ARG ...]

Recorded answers to TriviaQA questions. Where the strong model is right, a cheap answer says the same if and only if it is right too, which is recorded: that stands in for the judge's verdict.
Questions are halved at random. `understudy train judge` learns from pairs of answers of one half that are not the same text, in both orders; all figures are of the other half. Verdict: the lower
of both orders, as the gateway has it. Then 500 draws of what a gateway sees: 100 pairs that the judge judged, the rest by the distilled judge alone; the share of disagreement with its 95 %
interval, from the judged pairs alone and prediction-powered (the formula of src/calibration/weighting.cc).
"""
import argparse
import gzip
import json
import math
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile

FILES = ["chain_triviaqa_qwen_oai", "chain_triviaqa_llama"]
JUDGED = 100


def normalised(text):
    """The `text` comparator's form (docs/maths/comparators.md)."""
    return re.sub(r"\s+", " ", re.sub(r"""^[\s"'*_`]+|[\s"'*_`.,;:!]+$""", "", text)).translate({c: c + 32 for c in range(65, 91)})


def pairs(data):
    for file in FILES:
        for line in gzip.open(data / f"{file}.jsonl.gz", "rt"):
            row = json.loads(line)
            if not row["strong_correct"]:
                continue
            cheap = [(row["weak_answer"], row["weak_correct"])] + [(other["answer"], other["correct"]) for other in row["others"].values()]
            for answer, right in cheap:
                if answer and right is not None:
                    yield row["id"], answer, row["strong_answer"], bool(right)


def written(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def interval(values):
    return statistics.mean(values), statistics.variance(values) / len(values)


def prediction_powered(truth, beside, alone):
    covariance = statistics.covariance(truth, beside)
    spread = statistics.variance(beside + alone)
    weight = min(1, max(0, covariance / ((1 + len(truth) / len(alone)) * spread))) if spread else 0
    rest, error = interval([t - weight * b for t, b in zip(truth, beside)])
    return rest + weight * statistics.mean(alone), error + weight**2 * statistics.variance(alone) / len(alone)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--program", default=root / "build/release/understudy")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/replay")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--train", action="append", default=[])
    a = parser.parse_args()
    if not a.data.is_dir():
        sys.exit(f"{a.data} is not there: name the data with --data")
    rng = random.Random(a.seed)
    everything = list(pairs(a.data))
    questions = sorted({q for q, _, _, _ in everything})
    rng.shuffle(questions)
    first = set(questions[: len(questions) // 2])
    differ = [p for p in everything if normalised(p[1]) != normalised(p[2])]
    test = [p for p in everything if p[0] not in first]
    with tempfile.TemporaryDirectory() as temporary:
        work = pathlib.Path(temporary)
        rows = [{"id": f"{i}{order}", "claim": x, "evidence": y, "label": int(same)} for i, (q, one, two, same) in enumerate(differ) if q in first for order, x, y in (("a", one, two), ("b", two, one))]
        run(a.program, "train", "judge", "--data", written(work / "train.jsonl", rows), "--seed", a.seed, *a.train, "--out", work / "judge")
        asked = [{"id": f"{i}{order}", "claim": x, "evidence": y} for i, (_, one, two, _) in enumerate(test) if normalised(one) != normalised(two) for order, x, y in (("a", one, two), ("b", two, one))]
        said = {row["id"]: row["probability"] for row in map(json.loads, run(a.program, "predict", work / "judge", "--data", written(work / "test.jsonl", asked)).splitlines())}
        band = next(b for b in json.loads((work / "judge" / "specialist.json").read_text())["calibration"]["bands"] if b["alpha"] == 0.05)
    truth, foretold, verdicts = [], [], []
    for i, (_, one, two, same) in enumerate(test):
        verdict = min(said[f"{i}a"], said[f"{i}b"]) if f"{i}a" in said else None
        truth.append(float(not same) if verdict is not None else 0.0)   # equal texts agree, whatever the record says of them
        foretold.append(1 - verdict if verdict is not None else 0.0)
        if verdict is not None:
            verdicts.append((verdict, same))
    sure = [(v, s) for v, s in verdicts if (band["yes_from"] is not None and v >= band["yes_from"]) or (band["no_to"] is not None and v <= band["no_to"])]
    wins = {"judged alone": [0, 0.0], "prediction-powered": [0, 0.0]}
    share = statistics.mean(truth)
    draws = 500
    for _ in range(draws):
        order = rng.sample(range(len(truth)), len(truth))
        judged, rest = order[:JUDGED], order[JUDGED:]
        t, b, alone = [truth[i] for i in judged], [foretold[i] for i in judged], [foretold[i] for i in rest]
        for name, (rate, variance) in (("judged alone", interval(t)), ("prediction-powered", prediction_powered(t, b, alone))):
            half = 1.959964 * math.sqrt(variance)
            wins[name][0] += abs(rate - share) <= half
            wins[name][1] += 2 * half
    print(json.dumps({
        "seed": a.seed, "pairs": len(test), "of_other_words": len(verdicts), "training_rows": len(rows),
        "text_comparator_wrong": sum(s for _, s in verdicts) / len(verdicts), "same_as_judge": sum((v >= 0.5) == s for v, s in verdicts) / len(verdicts),
        "sure": len(sure) / len(verdicts), "same_where_sure": sum((v >= 0.5) == s for v, s in sure) / len(sure) if sure else None,
        "disagreement": share, "its_own_share": statistics.mean(foretold), "judged_pairs": JUDGED,
        **{name: {"covers": hits / draws, "mean_width": width / draws} for name, (hits, width) in wins.items()}}))


if __name__ == "__main__":
    main()
