"""Checks data/demo and prints the figures that its README states.

    python check_demo.py ../../data/demo

Needs nothing outside Python. Ends with status 1 and the reasons where something is wrong.
"""

import hashlib
import json
import math
import re
import sys
from pathlib import Path

SCHEMA = "understudy.recording/1"
FILES = ["pool.jsonl", "prices.json", "requests.jsonl", "student.jsonl", "system.txt", "teacher.jsonl"]
LIMIT_BYTES = 3_000_000
CONFIDENT = 0.8


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "data/demo")
    problems = []
    check_hashes(folder, problems)
    pool = read(folder / "pool.jsonl")
    requests = read(folder / "requests.jsonl")
    check_requests(pool, requests, problems)
    student = check_recording(folder / "student.jsonl", requests, problems, has_tokens=True)
    teacher = check_recording(folder / "teacher.jsonl", requests, problems, has_tokens=False)
    if problems:
        for problem in problems[:20]:
            print(f"wrong: {problem}")
        print(f"{len(problems)} problems")
        sys.exit(1)
    report(requests, pool, student, teacher)


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def check_hashes(folder, problems):
    readme = (folder / "README.md").read_text(encoding="utf-8")
    total = len(readme.encode())
    for name in FILES:
        data = (folder / name).read_bytes()
        total += len(data)
        stated = re.search(rf"`{re.escape(name)}`.*?\b([0-9a-f]{{64}})\b", readme)
        if not stated or stated[1] != hashlib.sha256(data).hexdigest():
            problems.append(f"{name}: its SHA-256 is not the one in README.md")
    if total >= LIMIT_BYTES:
        problems.append(f"{total} bytes in all; the limit is {LIMIT_BYTES}")


def check_requests(pool, requests, problems):
    for row in pool:
        if set(row) != {"text", "label"}:
            problems.append(f"pool row with fields {sorted(row)}")
    for name in ("id", "text"):
        if len({r[name] for r in requests}) != len(requests):
            problems.append(f"two requests have the same {name}")
    used = set()
    for r in requests:
        used.update(r["examples"])
        if set(r) != {"id", "text", "examples"}:
            problems.append(f"{r['id']}: fields {sorted(r)}")
        if len(set(r["examples"])) != len(r["examples"]) or not all(0 <= i < len(pool) for i in r["examples"]):
            problems.append(f"{r['id']}: bad example numbers")
        elif any(same(pool[i]["text"], r["text"]) for i in r["examples"]):
            problems.append(f"{r['id']}: its own text is among its examples")
    if used != set(range(len(pool))):
        problems.append("the pool holds rows that no request refers to")


def same(a, b):
    return a.strip().lower() == b.strip().lower()


def check_recording(path, requests, problems, has_tokens):
    """The answers in the order of the requests."""
    head, *rows = read(path)
    if head.get("schema") != SCHEMA or not {"model", "source", "recorded"} <= set(head):
        problems.append(f"{path.name}: first line is not a {SCHEMA} header")
    wanted = {"match", "answer", "usage", "latency_ms"} | ({"finish_reason", "tokens"} if has_tokens else {"bytes"})
    by_text = {}
    for number, row in enumerate(rows, start=2):
        where = f"{path.name}:{number}"
        if set(row) != wanted:
            problems.append(f"{where}: fields {sorted(row)}")
            continue
        if row["match"] in by_text:
            problems.append(f"{where}: a second answer to the same message")
        by_text[row["match"]] = row
        counts = [row["usage"].get("prompt_tokens"), row["usage"].get("completion_tokens"), row["latency_ms"]]
        if not all(isinstance(n, int) and n > 0 for n in counts) or row.get("finish_reason", "stop") not in ("stop", "length"):
            problems.append(f"{where}: bad usage, latency or finish_reason")
        if has_tokens:
            check_tokens(where, row, problems)
    if set(by_text) != {r["text"] for r in requests}:
        problems.append(f"{path.name}: not exactly one answer to each request")
        return []
    return [by_text[r["text"]] for r in requests]


def check_tokens(where, row, problems):
    if "".join(token[0] for token in row["tokens"]) != row["answer"]:
        problems.append(f"{where}: tokens do not make up the answer")
    for text, logprob, others in row["tokens"]:
        if logprob > 0 or any(p > logprob or other == text for other, p in others):
            problems.append(f"{where}: bad logprobs at {text!r}")


def least_logprob(answer):
    return min((token[1] for token in answer["tokens"]), default=-math.inf)


def auroc(right, wrong):
    """How often a right answer scores above a wrong one; ties count half."""
    if not right or not wrong:
        return math.nan
    ranked = sorted([(score, 1) for score in right] + [(score, 0) for score in wrong])
    wins, below, i = 0.0, 0, 0
    while i < len(ranked):
        j = i
        while j < len(ranked) and ranked[j][0] == ranked[i][0]:
            j += 1
        rights = sum(kind for _, kind in ranked[i:j])
        wrongs = j - i - rights
        wins += rights * (below + wrongs / 2)
        below += wrongs
        i = j
    return wins / (len(right) * len(wrong))


def figures(answers, wanted):
    scores = [least_logprob(answer) for answer in answers]
    right = [answer["answer"] == want for answer, want in zip(answers, wanted)]
    confident = [ok for score, ok in zip(scores, right) if math.exp(score) >= CONFIDENT]
    return {
        "rows": len(answers),
        "accuracy": sum(right) / len(right),
        "auroc": auroc([s for s, ok in zip(scores, right) if ok], [s for s, ok in zip(scores, right) if not ok]),
        "confident_share": len(confident) / len(right),
        "confident_accuracy": sum(confident) / len(confident) if confident else math.nan,
        "in_json_form": sum(is_json_form(answer["answer"]) for answer in answers) / len(answers),
    }


def is_json_form(text):
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return isinstance(value, dict) and list(value) == ["intent"] and isinstance(value["intent"], str)


def interval(share, count):
    """Wilson's 95 % interval."""
    z = 1.96
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / (1 + z * z / count)
    return f"[{middle - half:.3f}, {middle + half:.3f}]"


def report(requests, pool, student, teacher):
    wanted = [answer["answer"] for answer in teacher]
    f = figures(student, wanted)
    n, sure = f["rows"], round(f["rows"] * f["confident_share"])
    copied = sum(json.loads(want)["intent"] == pool[r["examples"][-1]]["label"] for r, want in zip(requests, wanted))
    print(f"requests                          {n} ({len(pool)} pool rows, {len(set(wanted))} labels)")
    print(f"student right                     {f['accuracy']:.3f} {interval(f['accuracy'], n)}")
    print(f"copying the last example, right   {copied / n:.3f} {interval(copied / n, n)}")
    print(f"answers in the JSON form          {f['in_json_form']:.4f}")
    print(f"AUROC of the least token logprob  {f['auroc']:.3f}")
    print(f"share with confidence >= {CONFIDENT}      {f['confident_share']:.3f} {interval(f['confident_share'], n)}")
    print(f"student right there               {f['confident_accuracy']:.3f} {interval(f['confident_accuracy'], sure)}")
    for name, rows in (("student", student), ("teacher", teacher)):
        times = sorted(row["latency_ms"] for row in rows)
        usage = [row["usage"] for row in rows]
        print(
            f"{name}: tokens in {sum(u['prompt_tokens'] for u in usage)}, out {sum(u['completion_tokens'] for u in usage)}; "
            f"latency ms p50 {times[n // 2]}, p95 {times[n * 95 // 100]}"
        )


if __name__ == "__main__":
    main()
