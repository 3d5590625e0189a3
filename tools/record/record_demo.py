"""Makes data/demo: real customer messages, a small open model's recorded answers to them, and the right labels as the teacher.

    python record_demo.py --train train.csv --test test.csv --model model.gguf --work work --out ../../data/demo

Stop it at any time; the same command goes on where it stopped. See README.md.
"""

import argparse
import csv
import datetime
import json
import math
import random
import time
from pathlib import Path

from local_model import LocalModel
from nearest import Nearest

SCHEMA = "understudy.recording/1"
TEACHER_LATENCY_MEDIAN_MS = 900
TEACHER_LATENCY_SIGMA = 0.35

SYSTEM = {
    "bank": 'Classify the customer message of an online bank by its intent. Answer with JSON only, like {"intent": "card_arrival"}.',
    "home": 'Classify the message to a home assistant by its intent. Answer with JSON only, like {"intent": "alarm_set"}.',
}


def main():
    args = arguments()
    train, test = read_rows(args.train, "train"), read_rows(args.test, "test")
    if args.coarse:
        for row in train + test:
            row["label"] = row["label"].split("_")[0]
    args.work.mkdir(parents=True, exist_ok=True)
    model = LocalModel(str(args.model), threads=args.threads, is_base=args.base)
    check_engine(model)
    if args.trial:
        run_trial(args, model, train)
        return
    pool, requests = choose(args, train, test)
    answers = record_student(args, model, pool, requests)
    write_demo(args, model, pool, requests, answers)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--train", type=Path, required=True, help=".csv (text,category) or .jsonl (text, label[, split]): the labelled pool")
    p.add_argument("--test", type=Path, required=True, help="the same forms: the traffic")
    p.add_argument("--model", type=Path, required=True, help="a GGUF model with ChatML turns (SmolLM2-135M-Instruct)")
    p.add_argument("--model-name", default="smollm2-135m-instruct")
    p.add_argument("--source", default="SmolLM2-135M-Instruct (Apache-2.0), 8-bit GGUF, greedy, on one CPU thread")
    p.add_argument("--work", type=Path, default=Path("work"), help="folder for the unfinished recording")
    p.add_argument("--out", type=Path, default=Path("demo"), help="folder for the finished files")
    p.add_argument("--system", choices=SYSTEM, default="bank")
    p.add_argument("--rows", type=int, default=3000)
    p.add_argument("--examples", type=int, default=5)
    p.add_argument("--order", choices=["nearest-last", "nearest-first"], default="nearest-last")
    p.add_argument("--per-label", type=int, default=0, help="most pool rows of one label (0: no limit)")
    p.add_argument("--seed", type=int, default=20260801)
    p.add_argument("--threads", type=int, default=1)
    p.add_argument("--alternatives", type=int, default=1, help="most other tokens kept for each token")
    p.add_argument("--floor", type=float, default=-2.0, help="least logprob of another token that is kept")
    p.add_argument("--coarse", action="store_true", help="labels are the part before the first underscore")
    p.add_argument("--base", action="store_true", help="the model is a base model: plain text, no chat turns")
    p.add_argument("--trial", type=int, default=0, metavar="N", help="only measure this variant on N held-back train rows")
    return p.parse_args()


def read_rows(path, split):
    """Rows as {"text", "label"}; where rows name their split, only those of `split`."""
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file)) if path.suffix == ".csv" else [json.loads(line) for line in file]
    return [
        {"text": " ".join(row["text"].split()), "label": row.get("label") or row["category"]}
        for row in rows
        if row.get("split", split) == split
    ]


def answer_form(label):
    return json.dumps({"intent": label})


def messages_for(system, examples, text):
    turns = [{"role": "system", "content": system}]
    for example in examples:
        turns.append({"role": "user", "content": example["text"]})
        turns.append({"role": "assistant", "content": answer_form(example["label"])})
    return turns + [{"role": "user", "content": text}]


def check_engine(model):
    """Some builds evaluate long batches of some quantisations wrongly. Compare one long batch with single tokens."""
    words = " ".join(f"item {i} costs {i * 7} and" for i in range(12))
    tokens = model.tokenize([{"role": "user", "content": words}, {"role": "assistant", "content": words}, {"role": "user", "content": words}])
    together = model.next_logprobs(tokens)
    model.forget()
    alone = model.next_logprobs(tokens, batch=1)
    likely = alone.argsort()[-20:]
    gap = float(abs(together - alone)[likely].max())
    if gap > 1.0:
        raise SystemExit(f"this model file is evaluated wrongly in batches here (logprobs differ by {gap:.2f}); use another quantisation, such as Q8_0")


def limited(rows, per_label, seed):
    if not per_label:
        return rows
    shuffled, kept, seen = random.Random(seed).sample(rows, len(rows)), [], {}
    for row in shuffled:
        seen[row["label"]] = seen.get(row["label"], 0) + 1
        if seen[row["label"]] <= per_label:
            kept.append(row)
    return kept


def nearest_examples(args, index, text):
    found = index.find(text, args.examples)
    return found[::-1] if args.order == "nearest-last" else found


def choose(args, train, test):
    """The traffic, in stream order, and the pool rows it refers to (renumbered)."""
    pool = limited(train, args.per_label, args.seed)
    traffic = list({row["text"]: row for row in test}.values())
    random.Random(args.seed).shuffle(traffic)
    if len(traffic) < args.rows:
        raise SystemExit(f"--rows {args.rows}, but the traffic holds only {len(traffic)} different messages")
    traffic = traffic[: args.rows]
    index = Nearest([row["text"] for row in pool])
    found = [nearest_examples(args, index, row["text"]) for row in traffic]
    used = sorted({i for numbers in found for i in numbers})
    new_number = {old: new for new, old in enumerate(used)}
    requests = [
        {"id": f"d{n:04d}", "text": row["text"], "label": row["label"], "examples": [new_number[i] for i in numbers]}
        for n, (row, numbers) in enumerate(zip(traffic, found), start=1)
    ]
    return [{"text": pool[i]["text"], "label": pool[i]["label"]} for i in used], requests


def ask(args, model, pool, request):
    examples = [pool[i] for i in request["examples"]]
    started = time.monotonic()
    answer = model.answer(messages_for(SYSTEM[args.system], examples, request["text"]))
    return answer, round(1000 * (time.monotonic() - started))


def record_student(args, model, pool, requests):
    """Asks the model for every request that the work file does not hold yet."""
    path = args.work / "student.raw.jsonl"
    answers = read_finished_lines(path)[: len(requests)]
    for request, answer in zip(requests, answers):
        if request["text"] != answer["match"]:
            raise SystemExit(f"{path} was made from other messages or another seed; remove it to start again")
    started, right = time.monotonic(), 0
    with open(path, "a", encoding="utf-8") as file:
        for done, request in enumerate(requests[len(answers) :], start=1):
            answer, latency = ask(args, model, pool, request)
            row = {
                "match": request["text"],
                "answer": answer.text,
                "tokens": answer.tokens,
                "finish_reason": answer.finish_reason,
                "usage": {"prompt_tokens": answer.prompt_tokens, "completion_tokens": answer.completion_tokens},
                "latency_ms": latency,
            }
            file.write(compact(row) + "\n")
            file.flush()
            answers.append(row)
            right += answer.text == answer_form(request["label"])
            if done % 25 == 0 or len(answers) == len(requests):
                pace = (time.monotonic() - started) / done
                left = pace * (len(requests) - len(answers)) / 60
                print(f"{len(answers)}/{len(requests)}  {pace:.2f} s a row, {left:.0f} min left, right so far {right / done:.3f}", flush=True)
    return answers


def read_finished_lines(path):
    """The rows of an unfinished file; a line cut short by a stop is removed."""
    if not path.exists():
        return []
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) != len(data):
        path.write_bytes(whole)
    return [json.loads(line) for line in whole.decode().splitlines()]


def write_demo(args, model, pool, requests, answers):
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "system.txt").write_text(SYSTEM[args.system] + "\n", encoding="utf-8")
    write_lines(args.out / "pool.jsonl", pool)
    write_lines(args.out / "requests.jsonl", ({k: r[k] for k in ("id", "text", "examples")} for r in requests))
    made = datetime.date.fromtimestamp((args.work / "student.raw.jsonl").stat().st_mtime).isoformat()
    head = {"schema": SCHEMA, "model": args.model_name, "source": args.source, "recorded": made}
    write_lines(args.out / "student.jsonl", [head] + [trimmed(args, answer) for answer in answers])
    source = "labels of the data set in place of a teacher model; latency drawn, not measured; tokens counted by the student's tokenizer"
    head = {"schema": SCHEMA, "model": "dataset-labels", "source": source, "recorded": made}
    write_lines(args.out / "teacher.jsonl", [head] + teacher_rows(args, model, requests, answers))


def trimmed(args, row):
    def shorter(token):
        text, logprob, others = token
        kept = [[other, rounded(p)] for other, p in others if p >= args.floor]
        return [text, rounded(logprob), kept[: args.alternatives]]

    return row | {"tokens": [shorter(token) for token in row["tokens"]]}


def rounded(logprob):
    return round(logprob, 4) or 0


def teacher_rows(args, model, requests, answers):
    draw = random.Random(args.seed + 1)
    rows = []
    for request, answer in zip(requests, answers):
        label = answer_form(request["label"])
        latency = draw.lognormvariate(math.log(TEACHER_LATENCY_MEDIAN_MS), TEACHER_LATENCY_SIGMA)
        usage = {"prompt_tokens": answer["usage"]["prompt_tokens"], "completion_tokens": model.count(label)}
        rows.append({"match": request["text"], "answer": label, "bytes": len(label.encode()), "usage": usage, "latency_ms": round(latency)})
    return rows


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_lines(path, rows):
    path.write_text("".join(compact(row) + "\n" for row in rows), encoding="utf-8")


def run_trial(args, model, train):
    """Figures of one variant on rows held back from the train file; nothing of the test file is used."""
    from check_demo import figures

    held = random.Random(args.seed).sample(train, args.trial)
    held_texts = {row["text"] for row in held}
    pool = limited([row for row in train if row["text"] not in held_texts], args.per_label, args.seed)
    index = Nearest([row["text"] for row in pool])
    answers, wanted, copied, milliseconds, tokens = [], [], 0, 0, 0
    for row in held:
        numbers = nearest_examples(args, index, row["text"])
        answer, latency = ask(args, model, pool, {"text": row["text"], "examples": numbers})
        answers.append({"answer": answer.text.strip(), "tokens": answer.tokens})
        wanted.append(answer_form(row["label"]))
        closest = numbers[-1 if args.order == "nearest-last" else 0]
        copied += pool[closest]["label"] == row["label"]
        milliseconds += latency
        tokens += answer.prompt_tokens
    result = figures(answers, wanted)
    result |= {"copying_the_nearest": copied / len(held), "pool": len(pool), "ms": milliseconds / len(held), "prompt_tokens": tokens / len(held)}
    print(json.dumps({k: round(v, 3) for k, v in result.items()}))


if __name__ == "__main__":
    main()
