"""The guide "Your first specialist in five minutes", its commands as they stand there but for the port."""

import os
import re
import subprocess
import time
import urllib.request

from gateway import PROGRAM, free_port

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")


def commands():
    with open(os.path.join(ROOT, "docs/guide/specialists.md"), encoding="utf-8") as file:
        section = file.read().split("## Your first specialist in five minutes")[1].split("\n## ")[0]
    return re.findall(r"^    (.+)$", section, re.MULTILINE)


def sanitized():
    with open(PROGRAM, "rb") as program:
        return b"__asan_init" in program.read()


def test_the_guide_ends_with_a_specialist_that_serves(tmp_path):
    for name in ("data", "examples"):
        os.symlink(os.path.join(ROOT, name), tmp_path / name)
    os.symlink(PROGRAM, tmp_path / "understudy")
    port = free_port()
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    if sanitized():  # training is ten times as slow: so words only
        environment["UNDERSTUDY_ENCODER_MODEL"] = str(tmp_path / "none")
    said, gateway = {}, None
    try:
        for command in commands():
            run = command.replace("127.0.0.1:8080", f"127.0.0.1:{port}").replace("send.py", f"send.py --url http://127.0.0.1:{port}")
            if command.startswith("understudy serve"):
                with open(tmp_path / "log", "wb") as log:
                    gateway = subprocess.Popen([*run.removesuffix("&").split(), "--listen", f"127.0.0.1:{port}"], cwd=tmp_path, env=environment, stdout=log, stderr=log)
                deadline = time.monotonic() + 30
                while True:
                    assert gateway.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
                    try:
                        urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5)
                        break
                    except OSError:
                        time.sleep(0.05)
                continue
            done = subprocess.run(run, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=400)
            assert done.returncode == 0, (run, done.stderr)
            said[command] = done.stdout
    finally:
        if gateway is not None:
            gateway.terminate()
            gateway.wait(30)
    output = lambda word: [text for command, text in said.items() if word in command]
    assert '"label":"lost_or_stolen_card"' in output("predict")[0].replace(" ", "")
    assert '"label":"lost_or_stolen_card"' in output("/v1/classify")[0].replace(" ", "")
    assert "intent" in output("specialists show")[0]
    served = re.search(r"^specialist:intent-v1 +(\d+)", output("--skip")[0], re.MULTILINE)
    assert served and int(served[1]) > 300, output("send.py")
    assert "intent" in output("understudy tasks")[0]
