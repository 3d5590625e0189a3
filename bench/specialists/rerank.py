#!/usr/bin/env python3
"""`understudy train rerank` on the public sets, as a user runs it: one command for every set.

  bench/specialists/rerank.py --build build/release [--data ../shared/data/specialists] [--seed 1] [--only NAME] [--no-test] [--work DIR] [--train ARG ...]

Lists of pairs: WikiQA, trained on its train split, calibrated on dev; and MS MARCO's hard negatives, which have no training rows, by the reranker of WikiQA.
Collections: understudy_candidates makes the 100 best candidates of each query by BM25 and cosine, tuned on the train queries; a reranker is trained on the train queries' candidates.
nDCG@10 counts all that is relevant, also what is not among the candidates. Intervals: bootstrap over queries, 95 %. Each test split is read by the last step of a set only;
--no-test leaves it out. --train hands arguments on, such as --train=--cross-encoder=off.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

COLLECTIONS = [("SciFact", "scifact", ".714", ".735"), ("Cranfield", "cranfield", ".573", ".59"), ("NPL", "npl", ".437", ".46")]


def run(*command, stdin=None, stdout=subprocess.PIPE):
    done = subprocess.run([str(part) for part in command], stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done


def rows_of(path):
    return [json.loads(line) for line in run("zstd", "-dcq", path).stdout.splitlines()]


def interval(values, draws=2000):
    rng = random.Random(1)
    means = sorted(sum(rng.choices(values, k=len(values))) / len(values) for _ in range(draws))
    return means[draws * 25 // 1000], means[draws * 975 // 1000]


def ndcg10(order, relevant):
    gain = lambda gains: sum(g / math.log2(r + 2) for r, g in enumerate(gains[:10]))
    return gain([relevant.get(d, 0) for d in order]) / gain(sorted(relevant.values(), reverse=True))


def train(a, work, data, name, *more):
    folder = work / name
    if folder.is_dir():
        return folder
    start = time.monotonic()
    made = json.loads(run(a.build / "understudy", "train", "rerank", "--data", data, "--seed", a.seed, *more, *a.train, "--out", folder, "--json").stdout)
    print(json.dumps({"trained": name, "seconds": round(time.monotonic() - start), **{k: made.get(k) for k in ("trainer", "choice", "order", "calibration")}}), flush=True)
    return folder


def evaluate(a, folder, data, name, split="test"):
    e = json.loads(run(a.build / "understudy", "evaluate", folder, "--data", data, "--split", split, "--json").stdout)
    print(json.dumps({"set": name, "split": split, "seed": a.seed, **e}), flush=True)
    return e


def bm25(rows, metric):
    """Of words alone, k1 1.2, b .75, rarity among the rows' documents: MAP or MRR@10 over the queries with something relevant."""
    words = lambda text: re.findall(r"[a-z0-9]+", text.lower())
    documents = {row["doc"] for row in rows}
    within = collections.Counter(word for document in documents for word in set(words(document)))
    mean = sum(len(words(document)) for document in documents) / len(documents)
    lists, values = {}, []
    for row in rows:
        said = collections.Counter(words(row["doc"]))
        norm = 1.2 * (0.25 + 0.75 * sum(said.values()) / mean)
        score = sum(math.log1p((len(documents) - within[w] + 0.5) / (within[w] + 0.5)) * said[w] * 2.2 / (said[w] + norm) for w in set(words(row["query"])) if said[w])
        lists.setdefault(row["query"], []).append((-score, row["rel"] > 0))
    for found in lists.values():
        ranks = [rank for rank, (_, good) in enumerate(sorted(found, key=lambda pair: pair[0]), 1) if good]
        if ranks:
            values.append(sum((k + 1) / rank for k, rank in enumerate(ranks)) / len(ranks) if metric == "map" else (1 / ranks[0] if ranks[0] <= 10 else 0))
    return sum(values) / len(values)


def pairs(a, work, table):
    wikiqa = a.data / "rerank_pairs/wikiqa.jsonl.zst"
    folder = train(a, work, wikiqa, "wikiqa", "--calibration", wikiqa, "--ordered")
    if a.no_test:
        return
    for name, data, metric, floor, good in (("WikiQA", wikiqa, "map", ".638", ".78"), ("MS MARCO hard negatives", a.data / "rerank_pairs/msmarco_hardneg_200.jsonl.zst", "mrr10", ".815", ".84")):
        e = evaluate(a, folder, data, name)
        low, high = e["intervals"][metric]
        alone = bm25([row for row in rows_of(data) if row["split"] == "test"], metric)
        print(json.dumps({"set": name, "bm25_alone": alone}), flush=True)
        shares = ", ".join(f"{100 * e['rungs'][rung]['share']:.0f} %" for rung in ("words", "vectors", "cross_encoder", "llm"))
        table.append(f"| {name}, {metric} | {floor} | {good} | {alone:.4f} | {e['metrics'][metric]:.4f} [{low:.3f}, {high:.3f}] | {e['metrics']['ndcg10']:.4f} | {e['calibration']['ece15']:.4f} | "
                     f"{shares} | {e['latency_us']['mean'] / 1000:.1f} |")


def speed(a, work):
    """50 short documents a query, by the ladder and by the same reranker with its gates open, run by turns."""
    by_query, texts = {}, []
    for row in rows_of(a.data / "rerank_pairs/wikiqa.jsonl.zst"):
        if row["split"] == "test" and len(row["doc"].split()) <= 40:
            by_query.setdefault(row["query"], []).append(row)
            texts.append(row["doc"])
    rng, lists = random.Random(1), work / "fifty.jsonl"
    with open(lists, "w") as out:
        for query, own in [(q, r) for q, r in by_query.items() if any(row["rel"] for row in r)][:20]:
            for i in range(50):
                out.write(json.dumps({"query": query, "did": str(i), "doc": own[i]["doc"] if i < len(own) else rng.choice(texts), "rel": own[i]["rel"] if i < len(own) else 0, "split": "test"}) + "\n")
    everything = work / "wikiqa-everything"
    if not everything.exists():
        shutil.copytree(work / "wikiqa", everything)
        told = json.loads((everything / "specialist.json").read_text())
        for rung in ("vectors", "cross_encoder"):
            if told["calibration"][rung]:
                told["calibration"][rung] = {"margin": 1e5, "most": 10**9}
        (everything / "specialist.json").write_text(json.dumps(told))
    millis = {"ladder": [], "every document by every rung": []}
    for _ in range(5):
        for name, folder in (("ladder", work / "wikiqa"), ("every document by every rung", everything)):
            e = json.loads(run(a.build / "understudy", "evaluate", folder, "--data", lists, "--split", "test", "--json").stdout)
            millis[name].append(e["latency_us"]["p50"] / 1000)
    print(json.dumps({"documents": 50, "median_ms": {name: sorted(values)[2] for name, values in millis.items()}, "ms": millis, "rungs": e["rungs"]}), flush=True)


def collection(a, work, table, name, folder_name, floor, good):
    source, unpacked = a.data / "retrieval" / folder_name, work / folder_name
    candidates, kept = unpacked / "candidates.jsonl", unpacked / f"figures-{a.top}.json"
    if not kept.exists():
        unpacked.mkdir(exist_ok=True)
        for part in ("corpus", "queries", "qrels"):
            run("zstd", "-dqf", source / f"{part}.jsonl.zst", "-o", unpacked / f"{part}.jsonl")
        with open(candidates, "w") as out:
            told = run(a.build / "bench/specialists/understudy_candidates", unpacked, a.top, work / "vectors", stdout=out).stderr.splitlines()[-1]
        kept.write_text(told)
    figures = json.loads(kept.read_text())
    if a.no_test:
        figures.pop("test")
    print(json.dumps({"candidates": name, **figures}), flush=True)
    made = train(a, work, candidates, f"{folder_name}-reranker", "--ordered")
    if a.no_test:
        return
    relevant, of = {}, {}
    for row in rows_of(source / "qrels.jsonl.zst"):
        relevant.setdefault(row["qid"], {})[row["did"]] = row["rel"]
    start = time.monotonic()
    for line in run(a.build / "understudy", "predict", made, "--data", candidates, "--split", "test").stdout.splitlines():
        row = json.loads(line)
        of.setdefault(row["qid"], []).append((-row["raw"], row["did"]))
    seconds = time.monotonic() - start
    values = [ndcg10([did for _, did in sorted(found, key=lambda pair: pair[0])], relevant[qid]) for qid, found in of.items() if relevant.get(qid)]
    mean, (low, high) = sum(values) / len(values), interval(values)
    t = figures["test"]
    print(json.dumps({"set": name, "split": "test", "seed": a.seed, "queries": len(values), "ndcg10": mean, "interval": [low, high], "seconds_a_query": seconds / len(of), **t}), flush=True)
    table.append(f"| {name} | {floor} | {good} | {t['bm25_ndcg10']:.4f} | {t['cosine_ndcg10']:.4f} | {t['fused_ndcg10']:.4f} | {t['feedback_ndcg10']:.4f} | {mean:.4f} [{low:.3f}, {high:.3f}] | {t['bm25_recall100']:.4f} | {t['fused_recall100']:.4f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--build", type=pathlib.Path, default=root / "build/release")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/specialists")
    parser.add_argument("--work", type=pathlib.Path, help="keeps candidates, vectors and rerankers; those that are there are not made again (default: a temporary folder)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--top", type=int, default=100, help="candidates of a query")
    parser.add_argument("--only", default="", help="pairs, SciFact, Cranfield, NPL, or speed (after pairs, with the same --work)")
    parser.add_argument("--no-test", action="store_true")
    parser.add_argument("--train", action="append", default=[])
    a = parser.parse_args()
    table = []
    with tempfile.TemporaryDirectory() as scratch:
        work = a.work or pathlib.Path(scratch)
        work.mkdir(parents=True, exist_ok=True)
        if a.only in ("", "pairs"):
            table += ["| set, metric | floor | good | BM25 alone | reached | nDCG@10 | ECE-15 | rungs: words, vectors, cross-encoder, LLM | mean ms a query |", "|" + " --- |" * 9]
            pairs(a, work, table)
        if a.only == "speed":  # of the reranker that an earlier run left in --work
            return speed(a, work)
        if a.only != "pairs":
            table += ["| collection | floor | good | BM25 | cosine | fused | with feedback | reranker, nDCG@10 | R@100 BM25 | fused |", "|" + " --- |" * 10]
        for one in COLLECTIONS:
            if a.only in ("", one[0]):
                collection(a, work, table, *one)
    if not a.no_test:
        print("\n".join(table))


if __name__ == "__main__":
    main()
