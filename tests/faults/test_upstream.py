"""Every row of the table in docs/operate/upstream-faults.md: as the student's fault and as the teacher's, plain and streamed.
No byte of a draft that was not served may be in any of the answers."""

import concurrent.futures
import socket

import pytest

import table
from conftest import DRAFT_WORDS, TEACHER_TEXT
from gateway import free_port
from misbehave import TEXT, UPSTREAM_FAULTS, WARM_UP, WORDS
from wire import ask

ROWS = table.read("upstream-faults.md", "fault")
COLUMNS = {"student, plain": ("student", False), "student, streamed": ("student", True), "teacher, plain": ("teacher", False), "teacher, streamed": ("teacher", True)}
CASES = [(row["fault"].strip("`"), column) for row in ROWS for column in COLUMNS]
WITHOUT_SERVER = {"refuse", "no-accept"}
LIMITS = 'timeout = "6s"\nidle_timeout = "2s"\nconnect_timeout = "1s"\n'
ROOMY = 'timeout = "60s"\n'     # 100 MB take a while on a busy machine


def model_of(name, column):
    who, streamed = COLUMNS[column]
    return f"{name}_{who}_{'s' if streamed else 'p'}".replace(".", "-")


class NoAccept:
    """A port whose queue is full: connecting takes for ever."""

    def __init__(self):
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(0)
        self.port = self.listener.getsockname()[1]
        self.fillers = []
        for _ in range(4):
            s = socket.socket()
            s.setblocking(False)
            s.connect_ex(("127.0.0.1", self.port))
            self.fillers.append(s)


@pytest.fixture(scope="module")
def gateway(make_gateway, bad):
    """One model and one cascade for each cell, so that no circuit breaker mixes them."""
    no_accept = NoAccept()
    urls = {"refuse": f"http://127.0.0.1:{free_port()}/v1", "no-accept": f"http://127.0.0.1:{no_accept.port}/v1"}
    more = []
    for name, column in CASES:
        model = model_of(name, column)
        more.append(f'[models."m_{model}"]\nurl = "{urls.get(name) or bad.url(name)}"\nmodel = "x"\nprice = {{ input = "1", output = "2" }}\n{ROOMY if name.startswith("100") else LIMITS}')
        who = COLUMNS[column][0]
        more.append(f'[cascade."{model}"]\nstages = ["student", "teacher"]\nspot_check = 0.0\nescalate_below = 0.8\n{who} = "m_{model}"\n')
    yield make_gateway(more="\n".join(more), heartbeat_s=60)  # so that a status is a status
    no_accept.listener.close()


def outcome(reply, who, calls):
    """What a cell of the table says."""
    if reply.status != 200:
        what = f"{reply.status} {reply.json()['error']['code']}"
    elif "text/event-stream" not in reply.headers["content-type"]:
        what = served(reply.json()["choices"][0]["message"]["content"], reply.headers, who)
    elif reply.done():
        text = "".join(c["delta"].get("content") or "" for e in reply.events() for c in e.get("choices", []))
        what = served(text, reply.headers, who)
    else:
        what = f"200, then {reply.events()[-1]['error']['code']}"
        assert reply.complete, "the HTTP message itself ends properly"
    return what + (f" x{calls}" if calls > 1 else "")


def served(text, headers, who):
    if headers["x-understudy-served-by"] == who:
        assert text == TEXT, "the whole answer or none"
        return "answer"
    assert text == TEACHER_TEXT and headers["x-understudy-reason"] == "student_error"
    return "teacher"


@pytest.fixture(scope="module")
def results(gateway, bad):
    def run(case):
        name, column = case
        who, streamed = COLUMNS[column]
        message = f"{name} {column}"
        options = {"model": model_of(name, column), "stream": streamed, "headers": ["x-understudy-debug: 1"]}
        if name in WARM_UP:
            ask(gateway, f"warm-up of {message}", **options)
        reply, seconds = ask(gateway, message, **options)
        calls = bad.asked[message] if name not in WITHOUT_SERVER else 1
        return outcome(reply, who, calls), reply, seconds

    # Those that wait for time-outs together, the others a few at a time.
    slow = [case for case in CASES if case[0].startswith(("hang", "drip", "slow", "no-accept"))]
    quick = [case for case in CASES if case not in slow]
    with concurrent.futures.ThreadPoolExecutor(len(slow) + 1) as waiting, concurrent.futures.ThreadPoolExecutor(4) as busy:
        futures = {case: waiting.submit(run, case) for case in slow}
        futures.update({case: busy.submit(run, case) for case in quick if case[0] not in WARM_UP})
        concurrent.futures.wait(futures.values())
        for case in quick:
            if case[0] in WARM_UP:   # one after the other: the columns share an address, and with it kept connections
                futures[case] = busy.submit(run, case)
                concurrent.futures.wait([futures[case]])
        return futures


def test_the_table_holds_every_fault_that_the_imposter_can_play():
    assert {name for name, _ in CASES} == set(UPSTREAM_FAULTS) | WITHOUT_SERVER


@pytest.mark.parametrize("row", ROWS, ids=[row["fault"] for row in ROWS])
@pytest.mark.parametrize("column", COLUMNS)
def test_upstream_fault(results, row, column):
    got, reply, seconds = results[row["fault"].strip("`"), column].result()
    assert got == row[column], reply.body[-1000:]
    assert seconds < 19 or row["fault"].startswith("`100"), "time-outs end it"


@pytest.mark.parametrize("case", CASES, ids=["-".join(case) for case in CASES])
def test_no_byte_of_a_draft_that_was_not_served(results, case):
    """Where the teacher is at fault, the draft of an unsure student was rejected before; where the student is, what it had written."""
    got, reply, _ = results[case].result()
    who = COLUMNS[case[1]][0]
    if who == "student" and got.startswith("answer"):
        return
    for word in DRAFT_WORDS if who == "teacher" else WORDS:
        for part in (word, word[:6], word[-6:]):
            assert part.encode() not in reply.raw, (part, reply.raw[:2000])
