"""A rerank and a faithfulness task that are answered by specialists in the teacher's form, as the official SDK sees them."""

import json
import subprocess
import time

import pytest

from conftest import client_of
from gateway import PROGRAM, Gateway
from imposter import Imposter, Script

THINGS = ("lantern", "harbour", "violin", "glacier", "compass")
RERANK = '''
[tasks.rerank]
specialist = "rerank-v1"
compare = "ranking:top=1"
extract = """
Query: {query}
Passages:
{documents}
Rank the {count} passages, best first.
"""
document = "[{n}] {document}"
'''
JUDGE = '''
[tasks.judge]
specialist = "judge-v1"
extract = "Claim: {claim}\\nEvidence: {evidence}\\nAnswer with yes or no."
render = '{"supported": "{verdict}"}'
'''


def train(kind, folder, rows):
    path = folder / f"{kind}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run([PROGRAM, "train", kind, "--data", str(path), "--out", str(folder / f"{kind}-v1"), "--encoder", "off", "--cross-encoder", "off"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("readers")
    train("rerank", folder, [{"qid": str(q), "query": f"who made the {THINGS[q % 5]} of {q}", "did": f"d{d}", "doc": f"Somebody made the {THINGS[(q + d) % 5]} once.", "rel": int(d == 0)}
                             for q in range(40) for d in range(4)])
    train("judge", folder, [{"id": str(i), "claim": f"Somebody{i} made the {THINGS[i // 2 % 5]} in {1800 + i * 7 % 200}.",
                             "evidence": f"This is about {i}. In {1800 + i * 7 % 200 + (0 if i % 2 == 0 or i % 4 == 1 else 3)} somebody{i} made the "
                                         f"{THINGS[(i // 2 + (0 if i % 2 == 0 or i % 4 == 3 else 1)) % 5]}. Nobody knows why.", "label": int(i % 2 == 0)} for i in range(200)])
    return folder


@pytest.fixture(scope="module")
def serving(make_gateway, places):
    return make_gateway(stages='["student", "teacher"]', more=f'[specialists]\ndirectory = "{places}"\n{RERANK}escalate_below = 0.5\n{JUDGE}escalate_between = [0.4, 0.6]\n')


def ranking(thing, at, number):
    others = [other for other in THINGS if other != THINGS[thing]][:3]
    passages = others[:at] + [THINGS[thing]] + others[at:]
    listed = "\n".join(f"[{i}] Somebody made the {name} once." for i, name in enumerate(passages, 1))
    return f"Query: who made the {THINGS[thing]} of {number}\nPassages:\n{listed}\nRank the 4 passages, best first."


def claim(supported, number):
    year = 1800 + number % 100
    return (f"Claim: Somebody{number} made the lantern in {year}.\nEvidence: This is about {number}. In {year if supported else 1950} somebody{number} made the "
            f"{'lantern' if supported else 'harbour'}. Nobody knows why.\nAnswer with yes or no.")


def chat(gateway, task, text, **more):
    raw = client_of(gateway).chat.completions.with_raw_response.create(
        model="app-model", messages=[{"role": "user", "content": text}], extra_headers={"x-understudy-task": task}, **more)
    return raw.headers, raw.parse()


def test_a_rerank_task_is_answered_in_the_teachers_form(serving):
    headers, answer = chat(serving, "rerank", ranking(2, 1, 7))
    assert headers["x-understudy-served-by"] == "specialist:rerank-v1" and headers["x-understudy-cost-usd"].strip("0.") == ""
    order = answer.choices[0].message.content.split(" > ")
    assert order[0] == "[2]" and sorted(order) == ["[1]", "[2]", "[3]", "[4]"]
    assert float(headers["x-understudy-confidence"]) >= float(headers["x-understudy-threshold"]) == 0.5
    stream = list(client_of(serving).chat.completions.create(model="app-model", messages=[{"role": "user", "content": ranking(2, 1, 7)}], stream=True,
                                                             extra_headers={"x-understudy-task": "rerank"}))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices) == answer.choices[0].message.content
    assert stream[-1].choices[0].finish_reason == "stop"


def test_a_judge_serves_confident_yes_and_confident_no(serving):
    for supported, word in ((True, "yes"), (False, "no")):
        headers, answer = chat(serving, "judge", claim(supported, 3), response_format={"type": "json_object"})
        assert headers["x-understudy-served-by"] == "specialist:judge-v1"
        assert json.loads(answer.choices[0].message.content) == {"supported": word}
        assert float(headers["x-understudy-confidence"]) >= float(headers["x-understudy-threshold"]) == 0.6
    stream = list(client_of(serving).chat.completions.create(model="app-model", messages=[{"role": "user", "content": claim(True, 3)}], stream=True,
                                                             extra_headers={"x-understudy-task": "judge"}))
    assert json.loads("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)) == {"supported": "yes"}


def test_what_is_in_the_band_goes_on(make_gateway, places, student, teacher):
    gateway = make_gateway(stages='["teacher"]', by_hand="", spot_check=0.02, more=f'[specialists]\ndirectory = "{places}"\n{JUDGE}escalate_between = [0.0, 1.0]\n')
    teacher.on(claim(True, 5), text='{"supported": "no"}')
    headers, answer = chat(gateway, "judge", claim(True, 5))
    assert headers["x-understudy-served-by"] == "teacher" and headers["x-understudy-escalated"] == "1" and headers["x-understudy-reason"] == "below_threshold"
    assert answer.choices[0].message.content == '{"supported": "no"}'
    task = gateway.cli_json("tasks", "show", "judge")
    assert task["promise"]["status"] == "by_hand"


@pytest.mark.parametrize("text", ["Rank what you like.", ranking(2, 1, 7) + "\nThank you.", ranking(2, 1, 7).replace("[3]", "[7]"), ranking(2, 1, 7).replace("4 passages", "5 passages")])
def test_another_prompt_is_never_guessed_at(serving, student, text):
    student.on(text, text="draft", p=0.99)
    headers, answer = chat(serving, "rerank", text)
    assert headers["x-understudy-served-by"] == "student" and answer.choices[0].message.content == "draft"


def test_requests_that_it_cannot_answer_go_on(serving, student):
    text = ranking(3, 2, 9)
    student.on(text, text="draft", p=0.99)
    for more in ({"response_format": {"type": "json_object"}}, {"tools": [{"type": "function", "function": {"name": "f"}}]}, {"logprobs": True}):
        assert chat(serving, "rerank", text, **more)[0]["x-understudy-served-by"] == "student"


def test_under_the_promise_it_serves_once_that_is_proven(tmp_path_factory, places):
    """The teacher names the same passage first, the others in an order of its own, and says it in words."""
    class Ranker(Imposter):
        def script_for(self, body):
            text = body["messages"][-1]["content"]
            thing = text.split(" of ")[0].split()[-1]
            first = next(line[1] for line in text.splitlines() if line.startswith("[") and thing in line)
            return Script(text=f"Ranking: [{first}] > " + " > ".join(f"[{n}]" for n in "4321" if n != first))

    student, teacher = Imposter("student"), Ranker("teacher")
    gateway = Gateway(tmp_path_factory.mktemp("promised"), student.url, teacher.url, stages='["teacher"]', spot_check=0.3, by_hand="", cascade_extra="alpha = 0.2\ndelta = 0.1",
                      more=f'[specialists]\ndirectory = "{places}"\n{RERANK}')
    try:
        headers, _ = chat(gateway, "rerank", ranking(0, 0, 1000))
        assert headers["x-understudy-served-by"] == "teacher" and headers["x-understudy-reason"] == "no_calibration"
        served, number = 0, 0
        deadline = time.monotonic() + 120
        while served < 10:
            assert time.monotonic() < deadline, gateway.cli_json("tasks", "show", "rerank")
            served = 0
            for _ in range(25):
                number += 1
                headers, answer = chat(gateway, "rerank", ranking(number % 5, number // 5 % 4, number))
                if headers["x-understudy-served-by"] == "specialist:rerank-v1":
                    served += 1
                    assert float(headers["x-understudy-confidence"]) >= float(headers["x-understudy-threshold"])
            time.sleep(0.3)  # labels are made off the path
        task = gateway.cli_json("tasks", "show", "rerank")
        assert task["promise"]["status"] == "proven" and task["promise"]["upper_bound"] <= 0.2
        assert task["thresholds"]["specialist:rerank-v1"] != "never"
        assert task["agreement"] is None or task["agreement"]["share"] > 0.8   # of spot checks, of which there may be few
    finally:
        gateway.stop()
        student.close()
        teacher.close()


@pytest.mark.parametrize("keys, words", [
    ('specialist = "judge-v1"\n', "tasks.t.extract is missing: 'judge-v1' is a judge"),
    ('specialist = "judge-v1"\nextract = "Is it so?"\n', "tasks.t.extract has no slot"),
    ('specialist = "judge-v1"\nextract = "Q: {query} A: {evidence}"\n', "tasks.t.extract needs {claim} and {evidence}"),
    ('specialist = "rerank-v1"\nextract = "{query}\\n:{documents}"\n', "tasks.t.document is missing"),
    ('specialist = "rerank-v1"\nextract = "{query}\\n:{documents}"\ndocument = "[{n}] {document}"\ncompare = "choice"\n', "tasks.t.compare"),
    ('specialist = "rerank-v1"\nextract = "{query}\\n:{documents}"\ndocument = "[{n}] {document}"\nescalate_between = [0.2, 0.8]\n', "tasks.t.escalate_between"),
    ('specialist = "judge-v1"\nextract = "C: {claim} E: {evidence}"\nrender = "{ranking}"\n', "tasks.t.render"),
])
def test_config_check_names_what_is_wrong(tmp_path, places, keys, words):
    path = tmp_path / "understudy.toml"
    model = 'url = "http://127.0.0.1:9/v1"\nmodel = "m"\nprice = { input = "1", output = "1" }\n'
    path.write_text(f'[models.teacher]\n{model}[cascade.default]\nstages = ["teacher"]\n[specialists]\ndirectory = "{places}"\n[tasks.t]\n{keys}')
    done = subprocess.run([PROGRAM, "config", "check", "--config", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and words in done.stderr, (done.returncode, done.stdout, done.stderr)
