"""Rerankers and judges as applications meet them: Cohere's official SDK, and the forms of Jina and TEI over plain HTTP."""

import json
import signal
import subprocess
import time

import cohere
import pytest

from gateway import PROGRAM

THINGS = ["lantern", "harbour", "violin", "glacier", "compass"]


def train(kind, folder, rows):
    file = folder.parent / f"{folder.name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = subprocess.run([PROGRAM, "train", kind, "--data", str(file), "--out", str(folder), "--encoder", "off", "--cross-encoder", "off"], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def rerank_rows(queries=40):
    return [{"qid": q, "query": f"who made the {THINGS[q % 5]} of {q}", "did": f"d{d}", "doc": f"Somebody made the {THINGS[(q + d) % 5]} once.", "rel": int(d == 0)}
            for q in range(queries) for d in range(4)]


def judge_rows(count=200):
    rows = []
    for i in range(count):
        right, thing, year = i % 2 == 0, i // 2 % 5, 1800 + i * 7 % 200
        said_year = year if right or i % 4 == 1 else year + 3
        said_thing = THINGS[thing if right or i % 4 == 3 else (thing + 1) % 5]
        rows.append({"id": str(i), "claim": f"Somebody{i} made the {THINGS[thing]} in {year}.",
                     "evidence": f"This is about {i}. In {said_year} somebody{i} made the {said_thing}. Nobody knows why.", "label": int(right)})
    return rows


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs")
    train("rerank", folder / "rank-v1", rerank_rows())
    train("judge", folder / "truth-v1", judge_rows())
    return folder


@pytest.fixture(scope="module")
def serving(make_gateway, places):
    return make_gateway(more=f'[specialists]\ndirectory = "{places}"\n')


def post(gateway, path, body, headers=None):
    data = body if isinstance(body, str) else json.dumps(body)
    status, headers, raw = gateway.raw("POST", path, data, {"Content-Type": "application/json", **(headers or {})})
    return status, headers, json.loads(raw)


def root(gateway):
    return gateway.base_url.removesuffix("/v1")


def predict(folder, rows):
    done = subprocess.run([PROGRAM, "predict", str(folder)], input="".join(json.dumps(row) + "\n" for row in rows), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


QUERY = "who made the glacier of 3"
DOCUMENTS = [f"Somebody made the {thing} once." for thing in THINGS]


def test_the_official_cohere_sdk(serving):
    client = cohere.ClientV2(api_key="none", base_url=root(serving))
    answer = client.rerank(model="rank-v1", query=QUERY, documents=DOCUMENTS, top_n=3, max_tokens_per_doc=512)
    assert [r.index for r in answer.results][0] == 3 and len(answer.results) == 3
    scores = [r.relevance_score for r in answer.results]
    assert scores == sorted(scores, reverse=True) and 0 <= scores[-1] and 0.5 < scores[0] <= 1
    assert answer.id and answer.meta.api_version.version == "2" and answer.meta.tokens.input_tokens > 0
    # An application that names Cohere's own model needs no change.
    assert client.rerank(model="rerank-v3.5", query=QUERY, documents=DOCUMENTS).results[0].index == 3
    old = cohere.Client(api_key="none", base_url=root(serving)).rerank(model="rank-v1", query=QUERY, documents=[{"text": DOCUMENTS[3]}, DOCUMENTS[0]], return_documents=True)
    assert old.results[0].index == 0 and old.results[0].document.text == DOCUMENTS[3]


def test_the_cohere_sdk_understands_errors(serving):
    client = cohere.ClientV2(api_key="none", base_url=root(serving))
    for arguments, words in (({"documents": []}, "empty list"), ({"query": ""}, "'query'"), ({"top_n": 0}, "'top_n'"), ({"model": "truth-v1"}, "of kind judge")):
        with pytest.raises(cohere.BadRequestError) as error:
            client.rerank(**{"model": "rank-v1", "query": QUERY, "documents": DOCUMENTS, **arguments})
        assert words in error.value.body["message"]
    with pytest.raises(cohere.NotFoundError) as error:
        client.rerank(model="rank-v2", query=QUERY, documents=DOCUMENTS)
    assert 'did you mean "rank-v1"' in error.value.body["message"]


def test_the_form_of_jina(serving):
    status, headers, body = post(serving, "/v1/rerank", {"model": "rank-v1", "query": QUERY, "documents": DOCUMENTS, "top_n": 2, "return_documents": True})
    assert status == 200 and len(body["results"]) == 2
    assert body["results"][0]["index"] == 3 and body["results"][0]["document"] == {"text": DOCUMENTS[3]}
    assert body["usage"]["total_tokens"] > 0 and body["model"] == "rank-v1"
    assert set(body["calibration"]) == {"id", "ece15", "rows"}
    assert headers["x-understudy-served-by"] == "specialist:rank-v1" and headers["x-understudy-cost-usd"] == "0"


def test_the_form_of_tei(serving):
    for path in ("/rerank", "/v1/rerank"):
        status, _, body = post(serving, path, {"query": QUERY, "texts": DOCUMENTS, "return_text": True})
        assert status == 200 and [set(one) for one in body] == [{"index", "text", "score"}] * 5
        assert body[0]["index"] == 3 and body[0]["text"] == DOCUMENTS[3] and all(0 <= one["score"] <= 1 for one in body)
    _, _, raw = post(serving, "/rerank", {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True})
    assert [one["index"] for one in raw] == [one["index"] for one in body] and any(not 0 <= one["score"] <= 1 for one in raw)
    status, _, error = post(serving, "/rerank", {"query": QUERY, "texts": [3]})
    assert status == 422 and error["error_type"] == "Validation" and "Document 0" in error["error"]


def test_scores_are_those_of_predict(serving, places):
    said = predict(places / "rank-v1", [{"qid": "1", "query": QUERY, "did": str(i), "doc": text} for i, text in enumerate(DOCUMENTS)])
    _, _, reranked = post(serving, "/v2/rerank", {"model": "rank-v1", "query": QUERY, "documents": DOCUMENTS})
    assert {r["index"]: r["relevance_score"] for r in reranked["results"]} == {i: pytest.approx(s["score"], abs=2e-6) for i, s in enumerate(said)}
    _, _, scored = post(serving, "/v1/score", {"model": "rank-v1", "text_1": QUERY, "text_2": DOCUMENTS})
    assert [one["score"] for one in scored["data"]] == [pytest.approx(s["score"], abs=2e-6) for s in said]
    rows = judge_rows(220)[200:]
    judged = predict(places / "truth-v1", [{"id": row["id"], "claim": row["claim"], "evidence": row["evidence"]} for row in rows])
    status, headers, scored = post(serving, "/v1/score", {"model": "truth-v1", "text_1": [row["claim"] for row in rows], "text_2": [row["evidence"] for row in rows]})
    assert status == 200 and headers["x-understudy-served-by"] == "specialist:truth-v1"
    assert [one["score"] for one in scored["data"]] == [pytest.approx(j["probability"], abs=2e-6) for j in judged]
    assert scored["calibration"]["rows"] == 200
    assert sum((one["score"] > 0.5) == bool(row["label"]) for one, row in zip(scored["data"], rows)) >= 18


def test_a_thousand_documents(serving):
    documents = [f"Somebody made the {'glacier' if i == 640 else 'violin'} once, in the place {i}." for i in range(1000)]
    answer = cohere.ClientV2(api_key="none", base_url=root(serving)).rerank(model="rank-v1", query="who made the glacier of old", documents=documents)
    assert len(answer.results) == 1000 and answer.results[0].index == 640
    assert sorted(r.index for r in answer.results) == list(range(1000))


def test_versions_are_replaced_while_requests_run(make_gateway, tmp_path):
    train("rerank", tmp_path / "rank", rerank_rows())
    gateway = make_gateway(more=f'[specialists]\ndirectory = "{tmp_path}"\n')
    body = {"model": "rank", "query": QUERY, "documents": DOCUMENTS}
    first = post(gateway, "/v1/rerank", body)[2]
    train("rerank", tmp_path / "next", rerank_rows(60))
    (tmp_path / "rank").rename(tmp_path.parent / f"{tmp_path.name}-old")
    (tmp_path / "next").rename(tmp_path / "rank")
    gateway.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    while True:
        status, _, answer = post(gateway, "/v1/rerank", body)
        assert status == 200 and answer["results"][0]["index"] == 3
        if answer["calibration"]["id"] != first["calibration"]["id"]:
            break
        assert answer["results"] == first["results"]
        assert time.monotonic() < deadline, gateway.log_tail()
    said = predict(tmp_path / "rank", [{"qid": "1", "query": QUERY, "did": str(i), "doc": text} for i, text in enumerate(DOCUMENTS)])
    assert {r["index"]: r["relevance_score"] for r in answer["results"]} == {i: pytest.approx(s["score"], abs=2e-6) for i, s in enumerate(said)}
    assert "rank" in gateway.log_tail()


def test_wrong_inputs(serving):
    for body, param in (("{", None), ("[]", None), ({"documents": DOCUMENTS}, "query"), ({"query": QUERY}, "documents"), ({"query": QUERY, "documents": "a"}, "documents"),
                        ({"query": QUERY, "documents": [None]}, "documents"), ({"query": QUERY, "documents": [{"title": "t"}]}, "documents"), ({"query": QUERY, "documents": ["a"], "top_n": -1}, "top_n"),
                        ({"query": QUERY, "documents": ["a"], "texts": ["a"]}, "texts"), ({"query": QUERY, "documents": ["a"], "model": "teacher"}, "model")):
        status, _, answer = post(serving, "/v1/rerank", body)
        assert status == 400 and answer["error"]["param"] == param and answer["error"]["message"], answer
    status, _, answer = post(serving, "/v1/rerank", {"query": QUERY, "documents": ["x" * 2_000_000, ""], "return_documents": True})
    assert status == 200 and len(answer["results"]) == 2, "enormous and empty documents are ranked"
    assert post(serving, "/v1/score", {"text_1": "a", "text_2": "b"})[0] == 400
    assert {"rank-v1", "truth-v1"} <= {model["id"] for model in json.loads(serving.raw("GET", "/v1/models")[2])["data"]}


def test_list_and_show_know_them(serving, places):
    listed = subprocess.run([PROGRAM, "specialists", "list", "--directory", str(places), "--json"], capture_output=True, text=True, timeout=60)
    kinds = {one["name"]: one["kind"] for one in json.loads(listed.stdout)["specialists"]}
    assert kinds == {"rank-v1": "rerank", "truth-v1": "judge"}
    for name, words in (("rank-v1", "nDCG@10"), ("truth-v1", "balanced accuracy")):
        shown = subprocess.run([PROGRAM, "specialists", "show", name, "--directory", str(places)], capture_output=True, text=True, timeout=60)
        assert shown.returncode == 0 and words in shown.stdout, shown
