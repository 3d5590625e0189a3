#!/usr/bin/env python3
"""Plays a labelled set as a stream through the gateway, over real HTTP, in several orders, with the stages that learn.

    bench/learning/stream_over_http.py --texts FILE [--program build/release/understudy] [--shuffles 3] [--seed 1] [--latency]

FILE holds {"text", "label"} a line (zstd or plain). It becomes a folder of recordings for `understudy demo`: no student was recorded, and **the teacher is no
model**, the set's labels stand in its place. Prints a line a shuffle and the mean and range: teacher calls (labels included) in all and in the last thousand, the request
of the first cheap answer's block, disagreement of what was served cheaply with all recorded answers. --latency draws the teacher's latency as the demo's data does; without it 400
requests are sent a second. Needs only Python (and zstd for compressed files).
"""
import argparse
import json
import math
import os
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def rows_of(path):
    text = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout.decode() if path.endswith(".zst") else open(path, encoding="utf-8").read()
    messages = {}
    for line in text.splitlines():
        row = json.loads(line)
        if not row.get("oos"):
            messages.setdefault(" ".join(row["text"].split()), row["label"])
    return messages


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows), encoding="utf-8")


def make_folder(folder, messages, seed):
    order = sorted(messages)
    random.Random(seed).shuffle(order)
    draw = random.Random(seed + 1)
    shutil.copy(ROOT / "data/demo/prices.json", folder)
    (folder / "system.txt").write_text('Name the intent of the message as {"intent": "..."}.\n', encoding="utf-8")
    head = {"schema": "understudy.recording/1", "model": "dataset-labels", "source": "labels of the data set in place of a model", "recorded": "2026-11-28"}
    write_lines(folder / "pool.jsonl", [])
    write_lines(folder / "requests.jsonl", [])
    write_lines(folder / "teacher.jsonl", [head])
    write_lines(folder / "student.jsonl", [dict(head, model="none")])
    write_lines(folder / "stream.jsonl", [{"text": text} for text in order])
    answers = []
    for text in order:
        answer = json.dumps({"intent": messages[text]})
        usage = {"prompt_tokens": 20 + len(text) // 4, "completion_tokens": len(answer) // 4}  # estimates: dollars here only compare
        answers.append({"match": text, "answer": answer, "bytes": len(answer.encode()), "usage": usage, "latency_ms": round(draw.lognormvariate(math.log(900), 0.35))})
    write_lines(folder / "teacher_rest.jsonl", [head] + answers)


def play(args, messages, seed):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        make_folder(folder, messages, seed)
        command = [args.program, "demo", "--json", "--recordings", str(folder)] + ([] if args.latency else ["--fast"])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\n{done.stderr}")
        report = json.loads(done.stdout)
    blocks, total = report["blocks"], report["total"]
    first = next((b["from"] for b in blocks if b["served_by"]["teacher"] < b["to"] - b["from"] + 1), None)
    last = blocks[-1]
    return {"seed": seed, "teacher_calls": total["teacher_share"], "last_block": last["teacher_share"], "last_block_requests": last["to"] - last["from"] + 1,
            "first_cheap_from": first, "disagreement": None if total["agreement"] is None else 1 - total["agreement"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", required=True)
    parser.add_argument("--program", default=str(ROOT / "build/release/understudy"))
    parser.add_argument("--shuffles", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--latency", action="store_true")
    args = parser.parse_args()
    if not os.access(args.program, os.X_OK):
        sys.exit(f"{args.program}: not built; ./dev build")
    messages = rows_of(args.texts)
    runs = []
    for seed in range(args.seed, args.seed + args.shuffles):
        runs.append(play(args, messages, seed))
        print(json.dumps(runs[-1]), flush=True)
    for key in ("teacher_calls", "last_block", "disagreement"):
        values = [run[key] for run in runs if run[key] is not None]
        if values:
            print(f"{key}: {statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f}) over {len(values)} orders")


if __name__ == "__main__":
    main()
