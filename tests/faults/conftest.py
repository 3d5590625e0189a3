import itertools
import os
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "sdk"))
from gateway import Gateway  # noqa: E402
from imposter import Imposter, Script  # noqa: E402

from misbehave import Misbehaving  # noqa: E402

TEACHER_TEXT = "the teacher knows"
DRAFT_WORDS = ["kestrelfoam", "bramblejacket", "oystercomet", "picklethunder", "saffronglove"]


@pytest.fixture(scope="session")
def bad():
    server = Misbehaving()
    yield server
    server.close()


@pytest.fixture(scope="session")
def student():
    """Unsure of everything: its drafts are rejected."""
    imposter = Imposter("student")
    imposter.default = Script(text=" ".join(DRAFT_WORDS), p=0.3)
    yield imposter
    imposter.close()


@pytest.fixture(scope="session")
def teacher():
    imposter = Imposter("teacher")
    imposter.default = Script(text=TEACHER_TEXT)
    yield imposter
    imposter.close()


@pytest.fixture(scope="session")
def make_gateway(tmp_path_factory, student, teacher):
    started = []

    def make(student_url=None, teacher_url=None, **config):
        config.setdefault("stages", '["student", "teacher"]')
        started.append(Gateway(tmp_path_factory.mktemp("gateway"), student_url or student.url, teacher_url or teacher.url, **config))
        return started[-1]

    yield make
    ends = [(gateway.stop(), gateway.log_tail()) for gateway in started]
    assert all(status == 0 for status, _ in ends), "\n".join(f"ended with {status}:\n{log}" for status, log in ends if status != 0)


_numbers = itertools.count()


@pytest.fixture
def message():
    return f"question number {next(_numbers)}"


def metric(gateway, line):
    """Value of the metric `line` names, labels included; None where it is not there."""
    text = gateway.raw("GET", "/metrics")[2].decode()
    for row in text.splitlines():
        if row.startswith(f"understudy_{line} "):
            return float(row.rsplit(" ", 1)[1])
    return None
