"""`[specialists] recheck`: the gateway compares its specialists with their teacher on what they were asked."""

import json
import pathlib
import subprocess
import time

import pytest

from gateway import PROGRAM, Gateway, free_port
from teaching import TEXTS, Labeller, intent_rows, judge_rows, read, rerank_rows, right, write

TASKS = {
    "intent": "[tasks.intent]\nspecialist = \"intent-v1\"\nescalate_below = 0.0\n",
    "judge": "[tasks.judge]\nspecialist = \"judge-v1\"\nescalate_below = 0.0\nextract = \"Claim: {claim}\\nEvidence: {evidence}\\nYes or no?\"\nrender = \"{verdict}\"\n",
    "rerank": "[tasks.rerank]\nspecialist = \"rerank-v1\"\nescalate_below = 0.0\nextract = \"\"\"Query: {query}\nPassages:\n{documents}\nRank them.\"\"\"\ndocument = \"[{n}] {document}\"\n",
}
NO_STUDENT = f"http://127.0.0.1:{free_port()}"  # none of these requests comes to one
RECHECK = 'recheck = "1m"\nrecheck_sample = 40\nrecheck_budget_usd = 0.50\n'


def prompts(kind, count):
    if kind == "intent":
        return [row["text"] for row in intent_rows(count)][:count]
    if kind == "judge":
        return [f"Claim: {row['claim']}\nEvidence: {row['evidence']}\nYes or no?" for row in judge_rows(count)]
    rows = rerank_rows(count)
    return [f"Query: {rows[q * 6]['query']}\nPassages:\n" + "\n".join(f"[{d + 1}] {rows[q * 6 + d]['doc']}" for d in range(6)) + "\nRank them." for q in range(count)]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    for kind, rows in (("intent", intent_rows(20)), ("judge", judge_rows(200)), ("rerank", rerank_rows(40))):
        for row in rows:
            said = right(row)
            row.update({"label": said["label"]} if kind == "intent" else {"label": int(said["supported"])} if kind == "judge" else {"rel": int(said["relevance"] > 0)})
        engines = ["--encoder", "off"] + ([] if kind == "intent" else ["--cross-encoder", "off"])
        done = subprocess.run([PROGRAM, "train", kind, "--data", write(folder / f"{kind}.jsonl", rows), "--out", str(folder / f"{kind}-v1"), *engines], capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def serving(trained, tmp_path):
    teacher = Labeller()
    made = []

    def make(kind, recheck=RECHECK):
        folder = tmp_path / "all"
        if not folder.exists():
            folder.mkdir()
            subprocess.run(["cp", "-r", str(trained / f"{kind}-v1"), str(folder)], check=True)
        made.append(Gateway(tmp_path, NO_STUDENT, teacher.url, more=f'[specialists]\ndirectory = "{folder}"\n{recheck}{TASKS[kind]}'))
        return made[-1]

    yield make, teacher, tmp_path / "all"
    for gateway in made:
        gateway.stop()
    teacher.close()


def send(gateway, kind, texts):
    for text in texts:
        status, headers, body = gateway.post({"model": "app-model", "messages": [{"role": "user", "content": text}]}, {"x-understudy-task": kind})
        assert status == 200 and headers["x-understudy-served-by"] == f"specialist:{kind}-v1", body


def metric(gateway, name):
    _, _, text = gateway.raw("GET", "/metrics")
    return next((float(line.rsplit(" ", 1)[1]) for line in str(text, "utf-8").splitlines() if line.startswith(f"understudy_{name} ")), None)


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("it never happened")


@pytest.mark.parametrize("kind", ["intent", "judge", "rerank"])
def test_what_was_really_asked_is_compared(serving, kind):
    make, teacher, folder = serving
    gateway = make(kind)
    send(gateway, kind, prompts(kind, 60))
    history = folder / f"{kind}-v1.rechecks.jsonl"
    wait_for(history.exists)
    line = read(history)[0]
    assert line["schema"] == "understudy.recheck/1" and line["teacher"] == "teacher-v1" and line["specialist"] == f"{kind}-v1"
    assert line["data"].startswith(f"requests of {kind} from ") and 20 <= line["rows"] <= 60
    assert 20 <= line["agreement"]["rows"] == len(teacher.asked()) <= 40
    assert line["agreement"]["agreement"] >= 0.8 and line["alarm"] is None
    sent = "\n".join(prompts(kind, 60))
    for item in teacher.asked():
        assert all(str(text) in sent for name, text in item.items() if name != "n")
    of = f'{{specialist="{kind}-v1"}}'
    wait_for(lambda: metric(gateway, f"recheck_under_way{of}") == 0)
    assert metric(gateway, f"recheck_agreement{of}") == pytest.approx(line["agreement"]["agreement"])
    assert metric(gateway, f"recheck_agreement_low{of}") == pytest.approx(line["agreement"]["interval"][0], abs=1e-5)
    assert metric(gateway, f"recheck_alarm{of}") == 0 and metric(gateway, 'alarms_total{name="distillation_drift"}') == 0
    assert float(line["cost_usd"]) == metric(gateway, f"recheck_spent_usd_total{of}") > 0
    documented = (pathlib.Path(__file__).parents[2] / "docs" / "operate" / "metrics.md").read_text()
    _, _, text = gateway.raw("GET", "/metrics")
    families = [line.split()[2].removeprefix("understudy_") for line in str(text, "utf-8").splitlines() if line.startswith("# TYPE understudy_recheck_")]
    assert len(families) == 10 and all(f"`{name}`" in documented for name in families)
    shown = subprocess.run([PROGRAM, "specialists", "show", f"{kind}-v1", "--directory", str(folder), "--json"], capture_output=True, text=True, timeout=60)
    assert json.loads(shown.stdout)["recheck"] == line
    text = subprocess.run([PROGRAM, "specialists", "show", f"{kind}-v1", "--directory", str(folder)], capture_output=True, text=True, timeout=60).stdout
    assert "rechecked" in text and "agreement with teacher-v1" in text
    # After a restart it knows when the last one was.
    count = len(teacher.requests)
    gateway.stop()
    gateway.start()
    assert metric(gateway, f"recheck_rows{of}") == line["agreement"]["rows"]
    time.sleep(3)
    assert len(teacher.requests) == count


def test_a_teacher_that_has_changed_its_mind_is_an_alarm(serving):
    make, teacher, folder = serving
    teacher.say = lambda items: json.dumps({"answers": [{"n": item["n"], "label": "login", "confidence": 90} for item in items]})
    gateway = make("intent")
    send(gateway, "intent", prompts("intent", 60))
    wait_for(lambda: metric(gateway, 'recheck_alarm{specialist="intent-v1"}') == 1)
    assert metric(gateway, 'alarms_total{name="distillation_drift"}') == 1
    status, _, text = gateway.raw("GET", "/admin/api/alarms")
    assert status == 200 and "distillation_drift" in str(text) and "intent-v1" in str(text)
    assert "ALARM distillation_drift" in gateway.log_tail()


def test_killed_in_the_middle_it_goes_on_and_pays_for_nothing_twice(serving):
    make, teacher, folder = serving
    gateway = make("intent")
    teacher.script = {"delay_s": 1.0}
    send(gateway, "intent", prompts("intent", 60))
    wait_for(lambda: len(teacher.requests) >= 1)
    gateway.process.kill()
    gateway.process.wait(30)
    before = len(teacher.requests)
    teacher.script = {}
    gateway.start()
    history = folder / "intent-v1.rechecks.jsonl"
    wait_for(history.exists)
    assert read(history)[0]["agreement"]["rows"] == 40
    assert 40 <= len(teacher.asked()) <= 80 and before <= 4, "at most what was under way was asked twice"
    assert read(history)[0]["seed"] == 1
