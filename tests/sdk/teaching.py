"""A teacher that labels: an imposter that answers `understudy train --teacher` by rules, and rows to ask it about."""

import json
import subprocess
import threading

from gateway import PROGRAM
from imposter import Imposter, Script, last_user_message

TEXTS = {"card": "where is my new card", "refund": "i want my money back", "login": "my password does not work"}
PRICE = ("--price-input", "2.50", "--price-output", "10.00")


def items_of(body):
    """Items of one call as the teacher sees them, what they share included."""
    items, shared = [], {}
    for line in last_user_message(body).splitlines():
        item = json.loads(line)
        if "n" in item:
            items.append({**shared, **item})
        else:
            shared = item["same for all items"]
    return items


def useful(response):
    """How many useful things a response says."""
    return response.count("is useful")


def right(item):
    """What a teacher who knows would say of an item."""
    if "text" in item:
        return {"label": next((label for label, text in TEXTS.items() if item["text"].startswith(text)), None)}
    if "claim" in item:
        return {"supported": item["claim"].split()[-1] == item["evidence"].split()[-1]}
    if "response" in item:
        return {"score": 1 + useful(item["response"])}
    if "prompt" in item:
        a, b = useful(item["a"]), useful(item["b"])
        return {"better": "a" if a > b else "b" if b > a else "tie"}
    return {"relevance": 3 if item["query"].split()[-1] in item["doc"] else 0}


class Labeller(Imposter):
    """`say(items)` makes the text of a reply; `delay_s` and `status` are of every call."""

    def __init__(self):
        self.say = self.answers
        self.script = {}
        self.lock = threading.Lock()
        super().__init__("labeller")

    @staticmethod
    def answers(items):
        return json.dumps({"answers": [{"n": item["n"], **right(item), "confidence": 90} for item in items]})

    def script_for(self, body):
        return Script(**{"text": self.say(items_of(body)), **self.script})

    def asked(self):
        """Items of all calls, one after the other."""
        return [item for _, _, body in list(self.requests) for item in items_of(body)]


def intent_rows(count):
    return [{"id": f"{label} {i}", "text": f"{text} please number {i}"} for i in range(count) for label, text in TEXTS.items()]


def judge_rows(count):
    rows = []
    for i in range(count):
        year = 1800 + i
        rows.append({"id": str(i), "claim": f"Bridge {i % 40} of the river opened in {year}", "evidence": f"After years of work bridge {i % 40} opened in {year if i % 2 else year + 13}"})
    return rows


def rerank_rows(queries, documents=6):
    return [{"qid": str(q), "query": f"who wrote the book about topic{q}", "did": f"{q}-{d}",
             "doc": f"an author wrote a book about topic{q}" if d == q % documents else f"a long page number {d} on something else{q + d}"}
            for q in range(queries) for d in range(documents)]


def response(number, good):
    return f"Number {number}. " + "".join(f"The thing {i} is useful. " if i < good else "Nothing here helps. " for i in range(5))


def score_rows(count):
    return [{"id": str(i), "prompt": f"Say something of five things, number {i // 2}.", "response": response(i, i % 6)} for i in range(count)]


def preference_rows(count):
    return [{"id": str(i), "prompt": f"Say something of five things, number {i // 2}.", "a": response(i, i % 6), "b": response(i, i // 6 % 6)} for i in range(count)]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def command(kind, teacher, unlabelled, out, *more):
    engines = ["--encoder", "off"] + ([] if kind == "intent" else ["--cross-encoder", "off"])
    labels = ["--labels", ",".join(TEXTS)] if kind == "intent" else []
    return [PROGRAM, "train", kind, "--teacher", f"{teacher.url}#labeller-v1", "--unlabelled", unlabelled, "--out", str(out), *engines, *labels, *more]


def run(*arguments, environment=None):
    return subprocess.run(list(arguments), capture_output=True, text=True, timeout=300, env=environment, stdin=subprocess.DEVNULL)
