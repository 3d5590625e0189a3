"""POST /v1/feedback: what people say of an answer is kept, and where a task counts only harm, it corrects what was labelled."""

import json
import time

import pytest


def send(gateway, body, path="/v1/feedback"):
    status, _, data = gateway.raw("POST", path, body if isinstance(body, str) else json.dumps(body), {"Content-Type": "application/json"})
    return status, json.loads(data)


def asked(gateway, message, request_id):
    status, _, _ = gateway.post({"model": "any", "messages": [{"role": "user", "content": message}]}, {"x-request-id": request_id})
    assert status == 200


def explained(gateway, request_id, wanted):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        status, out, _ = gateway.cli("explain", request_id, "--json")
        if status == 0 and wanted(json.loads(out)):
            return json.loads(out)
        time.sleep(0.05)
    raise AssertionError(out)


def test_feedback_is_kept_and_replaced_by_source(uncached, message):
    asked(uncached, message, "judged")
    assert send(uncached, {"request_id": "judged", "score": True, "comment": "fine"}) == (200, {"object": "feedback", "request_id": "judged", "source": "client"})
    assert send(uncached, {"request_id": "judged", "source": "reviewer", "correction": "Paris"})[0] == 200
    assert send(uncached, {"request_id": "judged", "score": -0.5})[0] == 200
    detail = explained(uncached, "judged", lambda d: len(d["feedback"]) == 2 and d["feedback"][0]["score"] == -0.5)
    by_source = {f["source"]: f for f in detail["feedback"]}
    assert by_source["client"]["score"] == -0.5 and by_source["reviewer"]["score"] is None and by_source["reviewer"]["correction"] == "Paris"


@pytest.mark.parametrize("body, param", [("{", None), ({}, "request_id"), ({"request_id": "x"}, "score"), ({"request_id": "x", "score": 7}, "score"),
                                         ({"request_id": "x", "stars": 5}, "stars")])
def test_what_is_wrong_is_named(uncached, body, param):
    status, answer = send(uncached, body)
    assert status == 400 and answer["error"]["param"] == param, answer


def test_the_route_takes_posts_only(uncached):
    assert uncached.raw("GET", "/v1/feedback")[0] == 405
