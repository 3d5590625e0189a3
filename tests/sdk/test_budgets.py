"""Budgets: never passed, also by many clients at once; kept over restarts and `kill -9`."""

import collections
import http.client
import json
import os
import random
import signal
import threading
import time

import openai
import pytest

from conftest import client_of
from test_process import wait_for

# Only output costs, and a request of one token of output costs what is set aside for it: 10 millionths of a dollar.
METER = """
[models.meter]
url = "{url}"
model = "meter-v1"
price = {{ input = "0", output = "10.00" }}
{extra}
"""
ONE_CALL_USD = 0.00001


def metered(make_gateway, teacher, extra="", more="", **config):
    return make_gateway(more=METER.format(url=teacher.url, extra=extra) + more, **config)


@pytest.fixture(autouse=True)
def one_token(teacher, message):
    teacher.on(message, text="ok")


def ask_meter(client, text, **options):
    return client.chat.completions.create(model="meter", max_tokens=1, messages=[{"role": "user", "content": text}], **options)


def spent(gateway):
    """USD that the store has for the meter, by key."""
    sums = collections.Counter()
    for row in gateway.cli_json("status")["budgets"]["spent_this_month"]:
        if row["model"] == "meter":
            sums[row["key"]] += round(float(row["spent_usd"]) * 1e12)
    return {key: amount / 1e12 for key, amount in sums.items()}


def live(gateway, headers=None):
    status, _, body = gateway.raw("GET", "/admin/api/status", headers=headers or {})
    assert status == 200, body
    return {(b["scope"], b["name"]): b for b in json.loads(body)["budgets"]["live"]}


def test_64_clients_spend_a_budget_for_100_calls_exactly(make_gateway, teacher, message):
    gateway = metered(make_gateway, teacher, "max_usd_per_day = 0.001", workers=2)
    outcomes = collections.Counter()
    lock = threading.Lock()
    start = threading.Barrier(64)

    def client():
        one = client_of(gateway, max_retries=2)
        start.wait()
        for _ in range(3):
            try:
                ask_meter(one, message)
                outcome = 200
            except openai.APIStatusError as error:
                outcome = error.status_code
            with lock:
                outcomes[outcome] += 1

    threads = [threading.Thread(target=client) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == {200: 100, 402: 92}
    assert len(teacher.calls(message)) == 100
    budget = live(gateway)["model", "meter"]
    assert float(budget["day"]["spent_usd"]) == 0.001 and budget["month"] is None
    assert budget["refused"] == 92, "x-should-retry: false, so the SDK has asked once each"
    assert spent(gateway) == {None: 0.001}


def test_the_refusal_says_whose_budget_and_when_there_is_a_new_one(make_gateway, teacher, message):
    gateway = metered(make_gateway, teacher, "max_usd_per_month = 0.00001")
    ask_meter(client_of(gateway), message)
    with pytest.raises(openai.APIStatusError) as info:
        ask_meter(client_of(gateway, max_retries=3), message)
    error = info.value
    assert error.status_code == 402 and error.code == "budget_exceeded" and error.type == "insufficient_quota"
    assert "model 'meter' for this month" in error.message and "begins at 20" in error.message
    assert error.response.headers["x-should-retry"] == "false" and error.response.headers["x-understudy-reason"] == "budget"
    assert len(teacher.calls(message)) == 1
    metrics = gateway.raw("GET", "/metrics")[2].decode()
    assert 'understudy_budget_usd{scope="model",name="meter",period="month"} 0.000010000000' in metrics
    assert 'understudy_budget_spent_usd{scope="model",name="meter",period="month"} 0.000010000000' in metrics
    assert 'understudy_budget_refused_total{scope="model",name="meter"} 1' in metrics
    stream = client_of(gateway)
    with pytest.raises(openai.APIStatusError) as info:
        list(ask_meter(stream, message, stream=True))
    assert info.value.status_code == 402, "a stream that has not begun is refused like any request"


def test_a_key_has_a_budget_of_its_own(make_gateway, teacher, message):
    import hashlib
    keys = "".join(f'[[keys]]\nname = "{name}"\nhash = "{hashlib.sha256(name.encode()).hexdigest()}"\nscopes = ["inference", "admin"]\n{extra}\n'
                   for name, extra in [("poor", "max_usd_per_day = 0.00002"), ("rich", "max_usd_per_day = 1\nmax_usd_per_month = 5")])
    gateway = metered(make_gateway, teacher, more=keys)
    poor, rich = client_of(gateway, api_key="poor"), client_of(gateway, api_key="rich")
    for _ in range(2):
        ask_meter(poor, message)
    with pytest.raises(openai.APIStatusError, match="key 'poor'"):
        ask_meter(poor, message)
    ask_meter(rich, message)
    assert spent(gateway) == {"poor": 2 * ONE_CALL_USD, "rich": ONE_CALL_USD}
    assert float(live(gateway, {"x-api-key": "rich"})["key", "poor"]["day"]["spent_usd"]) == 2 * ONE_CALL_USD
    code, out, _ = gateway_keys(gateway, "list", "--json")
    assert code == 0 and [k["max_usd_per_month"] for k in json.loads(out)["keys"]] == [None, "5"]


def gateway_keys(gateway, *arguments):
    import subprocess
    from gateway import PROGRAM
    done = subprocess.run([PROGRAM, "keys", *arguments, "--config", gateway.config_path], capture_output=True, text=True, timeout=30)
    return done.returncode, done.stdout, done.stderr


def test_a_restart_and_a_reload_go_on_with_what_was_spent(make_gateway, teacher, message):
    gateway = metered(make_gateway, teacher, "max_usd_per_day = 0.00003")
    for _ in range(2):
        ask_meter(client_of(gateway), message)
    assert gateway.stop() == 0
    gateway.start()
    ask_meter(client_of(gateway), message)
    with pytest.raises(openai.APIStatusError):
        ask_meter(client_of(gateway), message)
    with open(gateway.config_path) as f:
        text = f.read()
    with open(gateway.config_path, "w") as f:
        f.write(text.replace("max_usd_per_day = 0.00003", "max_usd_per_day = 0.00004\nmax_usd_per_month = 0.00005"))
    gateway.process.send_signal(signal.SIGHUP)
    assert wait_for(lambda: live(gateway)["model", "meter"]["month"] is not None)
    ask_meter(client_of(gateway), message)
    with pytest.raises(openai.APIStatusError, match="this day"):
        ask_meter(client_of(gateway), message)
    assert float(live(gateway)["model", "meter"]["month"]["spent_usd"]) == 4 * ONE_CALL_USD


def test_max_cost_of_a_request_forbids_what_may_cost_more(make_gateway, teacher, message):
    gateway = metered(make_gateway, teacher)
    client = client_of(gateway)
    ask_meter(client, message, extra_headers={"x-understudy-max-cost-usd": "0.00001"})
    with pytest.raises(openai.APIStatusError) as info:
        ask_meter(client, message, extra_headers={"x-understudy-max-cost-usd": "0.000009"})
    assert info.value.status_code == 402 and info.value.param == "x-understudy-max-cost-usd"
    assert info.value.response.headers["x-should-retry"] == "false"
    with pytest.raises(openai.BadRequestError, match="max-cost-usd"):
        ask_meter(client, message, extra_headers={"x-understudy-max-cost-usd": "cheap"})


def hammer_meter(port, name, stop):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    n = 0
    try:
        while not stop.is_set():
            n += 1
            body = json.dumps({"model": "meter", "max_tokens": 1, "messages": [{"role": "user", "content": f"pay {name}-{n}"}], "stream": n % 3 == 0})
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


KILLS = int(os.environ.get("UNDERSTUDY_KILLS", "20"))


def test_kill_9_under_load_never_counts_too_little(make_gateway, teacher):
    gateway = metered(make_gateway, teacher, "max_usd_per_day = 100")
    teacher.default.text, before = "ok", teacher.default.text
    try:
        rng = random.Random(8)
        clients, rounds = 8, max(3, KILLS // 2)
        for round_number in range(rounds):
            stop = threading.Event()
            threads = [threading.Thread(target=hammer_meter, args=(gateway.port, f"r{round_number}-c{c}", stop)) for c in range(clients)]
            for thread in threads:
                thread.start()
            time.sleep(rng.uniform(0.05, 0.4))
            gateway.process.kill()
            gateway.process.wait()
            stop.set()
            for thread in threads:
                thread.join()
            gateway.start()
            with teacher._lock:
                asked = sum(1 for _, _, body in teacher.requests if body["model"] == "meter-v1" and body["messages"][0]["content"].startswith("pay r"))
            stored = spent(gateway).get(None, 0)
            in_force = float(live(gateway)["model", "meter"]["day"]["spent_usd"])
            assert stored >= asked * ONE_CALL_USD - 1e-12, f"round {round_number}: {asked} calls were made, {stored} USD are counted"
            assert in_force == pytest.approx(stored, abs=1e-12)
            most = (asked + clients * (round_number + 1)) * ONE_CALL_USD
            assert stored <= most + 1e-12, "what had been set aside and was never sent is one call a client at most"
        assert asked > rounds, "the load was too thin to show anything"
    finally:
        teacher.default.text = before
