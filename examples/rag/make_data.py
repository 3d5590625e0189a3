#!/usr/bin/env python3
"""Makes data/ from the public SciFact collection: 310 of its training claims with the abstracts that they are judged by, and others besides.

    examples/rag/make_data.py RETRIEVAL_FOLDER VERIFY_FILE

RETRIEVAL_FOLDER holds corpus, queries and qrels as JSON Lines, VERIFY_FILE claims with evidence and labels (plain or .zst; `zstd` must be there).
Only the training split is used. Deterministic.
"""
import collections
import gzip
import hashlib
import json
import os
import random
import subprocess
import sys

LIVE, TRAIN, ABSTRACTS = 40, 270, 440
HERE = os.path.dirname(os.path.abspath(__file__))


def rows(path):
    text = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout if path.endswith(".zst") else open(path, "rb").read()
    return [json.loads(line) for line in text.decode().splitlines() if line.strip()]


def part(folder, name):
    return rows(next(os.path.join(folder, name + end) for end in (".jsonl", ".jsonl.zst") if os.path.exists(os.path.join(folder, name + end))))


def write(name, lines):
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines).encode()
    path = os.path.join(HERE, "data", name)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
        packed.write(text)
    data = open(path, "rb").read()
    print(f"{name}: {len(lines)} lines, {len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}")


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    folder, verify = sys.argv[1:]
    corpus = {row["id"]: row for row in part(folder, "corpus")}
    claims = {row["id"]: row["text"] for row in part(folder, "queries") if row["split"] == "train"}
    labels = {}
    for row in rows(verify):
        if row["split"] == "train":
            labels[tuple(row["id"].split("-")[1:])] = row["label3"]
    judged = collections.defaultdict(dict)
    for row in part(folder, "qrels"):
        label = labels.get((row["qid"], row["did"]))
        if row["split"] == "train" and label is not None and row["rel"] > 0:
            judged[row["qid"]][row["did"]] = label
    draw = random.Random(20261130)
    order = sorted(judged, key=int)
    draw.shuffle(order)
    chosen = order[:LIVE + TRAIN]
    documents = sorted({did for qid in chosen for did in judged[qid]}, key=int)
    others = sorted(set(corpus) - set(documents), key=int)
    documents += draw.sample(others, max(0, ABSTRACTS - len(documents)))
    draw.shuffle(documents)
    write("abstracts.jsonl.gz", [{"id": did, "title": " ".join(corpus[did]["title"].split()), "text": " ".join(corpus[did]["text"].split())} for did in documents])
    write("claims.jsonl.gz", [{"id": qid, "claim": " ".join(claims[qid].split()), "use": "live" if i < LIVE else "train", "judged": judged[qid]} for i, qid in enumerate(chosen)])


if __name__ == "__main__":
    main()
