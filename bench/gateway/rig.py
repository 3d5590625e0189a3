"""Processes of the gateway benchmark: start, pin, watch, stop. Python's standard library only."""

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

LOAD_CORE, PROXY_CORE = 0, 1
TICKS = os.sysconf("SC_CLK_TCK")


class RigError(Exception):
    """What went wrong, in a sentence for the person at the terminal."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def raise_priority():
    """Puts this process and all it starts, contestants alike, before other work on a shared machine. False where not
    allowed. Where the kernel groups by session (autogroup), the session's weight counts and is put back at the end."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -20)
        group = "/proc/self/autogroup"
        with open(group) as f:
            before = f.read().rsplit("nice", 1)[1].strip()
        with open(group, "w") as f:
            f.write("-20")
        atexit.register(lambda: open(group, "w").write(before))
    except PermissionError:
        return False
    except OSError:
        pass  # no autogroups here
    return True


def pinned(core, command):
    if core is None or len(os.sched_getaffinity(0)) < 2 or shutil.which("taskset") is None:
        return command
    return ["taskset", "-c", str(core)] + command


class Process:
    """One child, pinned to a core, ended by its own id."""

    def __init__(self, name, command, core, log_dir, read_line=False, environment=None):
        self.name = name
        self.log_path = os.path.join(log_dir, name + ".log")
        self.log = open(self.log_path, "ab")
        out = subprocess.PIPE if read_line else self.log
        self.child = subprocess.Popen(pinned(core, command), stdout=out, stderr=self.log, env=environment)
        self.pid = self.child.pid  # taskset replaces itself by the program: same id
        self.first_line = json.loads(self.child.stdout.readline() or "{}") if read_line else {}

    def alive(self):
        return self.child.poll() is None

    def stop(self):
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(20)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if self.child.stdout:
            self.child.stdout.close()
        self.log.close()

    def tail(self):
        with open(self.log_path, "rb") as f:
            return f.read()[-2000:].decode("utf-8", "replace")


def wait_until_ready(process, port, path, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not process.alive():
            break
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as reply:
                if reply.status == 200:
                    return
        except OSError:
            time.sleep(0.05)
    raise RigError(f"{process.name} did not answer {path} on port {port}; its log ends with:\n{process.tail()}")


# ---- what the kernel says about a process -------------------------------------------------------------------------

def cpu_threads(pid):
    """{thread id: (name, CPU nanoseconds so far)}: user and system time, as the scheduler counts it."""
    threads = {}
    for tid in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                ns = int(f.read().split()[0])
            with open(f"/proc/{pid}/task/{tid}/comm") as f:
                threads[int(tid)] = (f.read().strip(), ns)
        except FileNotFoundError:
            continue  # the thread ended in between
    return threads


def cpu_ticks(pid):
    """utime + stime of the whole process, ended threads included, in seconds (10 ms grain): checks the finer figure."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def cpu_delta(before, after):
    """(process ns, busiest thread's ns, {thread name: ns}) between two samples."""
    per_thread = {tid: ns - before.get(tid, ("", 0))[1] for tid, (_, ns) in after.items()}
    names = {}
    for tid, ns in per_thread.items():
        names[after[tid][0]] = names.get(after[tid][0], 0) + ns
    return sum(per_thread.values()), max(per_thread.values()), names


def settle(pid, seconds=10.0):
    """Waits until the process has nothing left to do (a store writer that drains, say): under 0.2 % of a core."""
    deadline = time.monotonic() + seconds
    last = sum(ns for _, ns in cpu_threads(pid).values())
    quiet = 0
    while time.monotonic() < deadline and quiet < 3:
        time.sleep(0.1)
        now = sum(ns for _, ns in cpu_threads(pid).values())
        quiet = quiet + 1 if now - last < 200_000 else 0
        last = now


def memory(pid):
    """Bytes: resident, its anonymous part, and proportional set size."""
    result = {}
    with open(f"/proc/{pid}/status") as f:
        for line in f:
            if line.startswith(("VmRSS:", "RssAnon:")):
                result[{"V": "rss", "R": "anon"}[line[0]]] = int(line.split()[1]) * 1024
    with open(f"/proc/{pid}/smaps_rollup") as f:
        for line in f:
            if line.startswith("Pss:"):
                result["pss"] = int(line.split()[1]) * 1024
    return result


# ---- the contestants ----------------------------------------------------------------------------------------------

class Contestant:
    """A proxy under test. `model` is what clients of this one ask for, `expect` who must answer."""

    def __init__(self, name, process, port, stream_port=None):
        self.name, self.process, self.port = name, process, port
        self.stream_port = stream_port or port
        self.pid = process.pid if process else None


NGINX_CONF = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx-error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off; server_tokens off; default_type application/json;
  client_body_temp_path {dir}/nginx-body; proxy_temp_path {dir}/nginx-proxy; fastcgi_temp_path {dir}/nginx-fastcgi;
  uwsgi_temp_path {dir}/nginx-uwsgi; scgi_temp_path {dir}/nginx-scgi;
  keepalive_requests 1000000000; keepalive_timeout 1h;
  upstream model {{ server 127.0.0.1:{upstream}; keepalive 2048; keepalive_requests 1000000000; keepalive_timeout 1h; }}
  proxy_http_version 1.1; proxy_set_header Connection "";
  server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://model; }} }}
  server {{ listen 127.0.0.1:{stream_port} backlog=4096; location / {{ proxy_buffering off; proxy_pass http://model; }} }}
}}
"""

# One worker, no database, no access log: the best that it is said to do on one core.
LITELLM_CONF = """
model_list:
  - model_name: "*"
    litellm_params: {{ model: openai/bench-student, api_base: "http://127.0.0.1:{upstream}/v1", api_key: none }}
litellm_settings: {{ num_retries: 0, telemetry: false, set_verbose: false }}
"""
LITELLM_LOG = {"version": 1, "disable_existing_loggers": False, "loggers": {"uvicorn": {"level": "ERROR"}, "uvicorn.access": {"level": "CRITICAL", "propagate": False}}}

GATEWAY_CONF = """
[server]
workers = {workers}
unknown_model = "auto"
{server}
[models.student]
api = "openai"
url = "http://127.0.0.1:{student}/v1"
model = "bench-student"
price = {{ input = "0.10", output = "0.40" }}
[models.teacher]
api = "openai"
url = "http://127.0.0.1:{teacher}/v1"
model = "bench-teacher"
price = {{ input = "2.50", output = "10.00" }}
[cascade.default]
stages = ["cache", "student", "teacher"]
mode = "live"
spot_check = 0.0
escalate_below = 0.8
lesson_budget_usd_per_day = 0.0
{cascade}
"""


def start_upstream(bin_dir, name, log_dir, *options):
    process = Process("upstream-" + name, [os.path.join(bin_dir, "bench_upstream"), "--name", name, *map(str, options)],
                      LOAD_CORE, log_dir, read_line=True)
    return process, process.first_line["listening"]


def start_floor(bin_dir, upstream_port, log_dir):
    process = Process("floor", [os.path.join(bin_dir, "bench_proxy_floor"), "--upstream", str(upstream_port)],
                      PROXY_CORE, log_dir, read_line=True)
    return Contestant("floor", process, process.first_line["listening"])


def start_nginx(upstream_port, log_dir):
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/sbin:/usr/local/sbin")
    if program is None:
        return None
    port, stream_port = free_port(), free_port()
    conf = os.path.join(log_dir, "nginx.conf")
    with open(conf, "w") as f:
        f.write(NGINX_CONF.format(dir=log_dir, upstream=upstream_port, port=port, stream_port=stream_port))
    process = Process("nginx", [program, "-p", log_dir, "-e", os.path.join(log_dir, "nginx-error.log"), "-c", conf],
                      PROXY_CORE, log_dir)
    wait_until_ready(process, port, "/v1/models")
    return Contestant("nginx", process, port, stream_port)


def start_litellm(program, upstream_port, log_dir):
    """None where it is not installed (`run.sh --contestants ...,litellm` installs it)."""
    if not os.path.exists(program):
        return None
    port = free_port()
    conf, log_conf = os.path.join(log_dir, "litellm.yaml"), os.path.join(log_dir, "litellm-log.json")
    with open(conf, "w") as f:
        f.write(LITELLM_CONF.format(upstream=upstream_port))
    with open(log_conf, "w") as f:
        json.dump(LITELLM_LOG, f)
    command = [program, "--config", conf, "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1", "--log_config", log_conf]
    # Its own price list, not one fetched from the network.
    environment = {**os.environ, "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = Process("litellm", command, PROXY_CORE, log_dir, environment=environment)
    wait_until_ready(process, port, "/health/liveliness", seconds=120)
    return Contestant("litellm", process, port)


def start_gateway(program, student_port, teacher_port, log_dir, server="", cascade="", workers=1, core=PROXY_CORE, name="understudy"):
    """`server`, `cascade`: more lines of those sections. `core` None: it may run on all."""
    port = free_port()
    conf = os.path.join(log_dir, name + ".toml")
    with open(conf, "w") as f:
        f.write(GATEWAY_CONF.format(student=student_port, teacher=teacher_port, server=server, cascade=cascade, workers=workers))
    data = os.path.join(log_dir, f"data-{port}")
    process = Process(name, [program, "serve", "--config", conf, "--listen", f"127.0.0.1:{port}", "--data", data],
                      core, log_dir)
    wait_until_ready(process, port, "/health")
    return Contestant(name, process, port)


def load_command(bin_dir, port, **options):
    command = [os.path.join(bin_dir, "bench_load"), "--port", str(port)]
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        if value is True:
            command.append(flag)
        elif value is not False and value is not None:
            command += [flag, str(value)]
    return pinned(LOAD_CORE, command)


def run_load(bin_dir, port, **options):
    """Runs bench_load to its end and returns its report; a wrong answer is an error here too."""
    done = subprocess.run(load_command(bin_dir, port, **options), capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or not lines or lines[-1].get("errors", 1) != 0:
        raise RigError(f"load on port {port} with {options} failed: {done.stderr.strip()[-1500:]}")
    return lines[-1]
