#!/usr/bin/env python3
"""Adds the rest of the data set to the demo: the order of the whole stream, and the teacher's recording of the messages that the student was not recorded on.

    tools/record/extend_demo.py --data banking77.jsonl --model SmolLM2-135M-Instruct.gguf [--demo data/demo]

`--data` holds {"text", "label"} a line, all splits. Equal messages appear once. The student's recording is left as it is: on other messages its
upstream has no answer. The model is needed for its tokenizer only.
"""
import argparse
import json
import math
import pathlib
import random
import sys

from local_model import LocalModel
from record_demo import TEACHER_LATENCY_MEDIAN_MS, TEACHER_LATENCY_SIGMA, answer_form, compact, write_lines

ORDER_SEED, LATENCY_SEED = 20260803, 20260804


def rows_of(path):
    return [json.loads(line) for line in open(path, encoding="utf-8") if line.strip()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--demo", type=pathlib.Path, default=pathlib.Path("data/demo"))
    args = parser.parse_args()

    recorded = {row["text"]: row["id"] for row in rows_of(args.demo / "requests.jsonl")}
    messages = {}
    for row in rows_of(args.data):
        messages.setdefault(" ".join(row["text"].split()), row["label"])
    missing = set(recorded) - set(messages)
    if missing:
        sys.exit(f"{args.data}: lacks {len(missing)} of the recorded messages, as '{sorted(missing)[0]}'")
    order = sorted(messages)
    random.Random(ORDER_SEED).shuffle(order)

    system = (args.demo / "system.txt").read_text(encoding="utf-8").rstrip("\n")
    model = LocalModel(args.model)
    draw = random.Random(LATENCY_SEED)
    teacher = []
    for text in order:
        if text in recorded:
            continue
        answer = answer_form(messages[text])
        prompt = model.tokenize([{"role": "system", "content": system}, {"role": "user", "content": text}])
        latency = draw.lognormvariate(math.log(TEACHER_LATENCY_MEDIAN_MS), TEACHER_LATENCY_SIGMA)
        teacher.append({"match": text, "answer": answer, "bytes": len(answer.encode()), "usage": {"prompt_tokens": len(prompt), "completion_tokens": model.count(answer)},
                        "latency_ms": round(latency)})
    head = json.loads(open(args.demo / "teacher.jsonl", encoding="utf-8").readline())
    write_lines(args.demo / "teacher_rest.jsonl", [head] + teacher)
    write_lines(args.demo / "stream.jsonl", ({"id": recorded[text]} if text in recorded else {"text": text} for text in order))
    print(compact({"messages": len(order), "recorded": len(recorded), "rest": len(teacher)}))


if __name__ == "__main__":
    main()
