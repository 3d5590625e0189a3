#!/usr/bin/env python3
"""Interleaved benchmark of proxies: floor, nginx and understudy in the same run. See README.md beside this file."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import rig

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Tags:
    """Fresh request numbers: no two loads of a run send the same content, so no cache can answer."""

    def __init__(self):
        self.next = 1

    def take(self, n):
        first, self.next = self.next, self.next + n
        return first


class Bench:
    def __init__(self, args, log_dir):
        self.args, self.log_dir, self.tags = args, log_dir, Tags()
        self.started = []
        self.results = {}

    # -- processes --

    def start_upstreams(self):
        a = self.args
        shape = ["--stream-tokens", a.stream_tokens, "--stream-interval-ms", a.stream_interval_ms,
                 "--answer-tokens", a.answer_tokens, "--top", a.top]
        student, self.student_port = rig.start_upstream(a.bin, "student", self.log_dir, *shape, "--unsure", a.unsure)
        teacher, self.teacher_port = rig.start_upstream(a.bin, "teacher", self.log_dir, *shape)
        self.started += [student, teacher]

    def start_contestants(self):
        makers = {"nginx": lambda: rig.start_nginx(self.student_port, self.log_dir),
                  "floor": lambda: rig.start_floor(self.args.bin, self.student_port, self.log_dir),
                  "litellm": lambda: rig.start_litellm(self.args.litellm, self.student_port, self.log_dir),
                  "understudy": lambda: rig.start_gateway(self.args.gateway, self.student_port, self.teacher_port, self.log_dir),
                  "understudy-2": lambda: rig.start_gateway(self.args.gateway, self.student_port, self.teacher_port, self.log_dir, workers=2, core=None,
                                                            name="understudy-2")}
        contestants = []
        for name in self.args.contestants:
            contestant = makers[name]()
            if contestant is None:
                print(f"{name} is not installed: left out", file=sys.stderr)
                continue
            self.started.append(contestant.process)
            contestants.append(contestant)
        return contestants

    def stop(self, processes):
        for process in reversed(processes):
            process.stop()
            if process in self.started:
                self.started.remove(process)

    # -- one measured load --

    def common(self):
        return {"answer_tokens": self.args.answer_tokens, "top": self.args.top, "stream_tokens": self.args.stream_tokens}

    def measure(self, contestant, unit, **options):
        """Runs a load through a contestant; its CPU per `unit` of the load's report, and the report."""
        if contestant.pid is None:
            return {"load": rig.run_load(self.args.bin, contestant.port, **self.common(), **options)}
        rig.settle(contestant.pid)
        before, ticks = rig.cpu_threads(contestant.pid), rig.cpu_ticks(contestant.pid)
        port = contestant.stream_port if options["mode"] == "stream" else contestant.port
        report = rig.run_load(self.args.bin, port, **self.common(), **options)
        rig.settle(contestant.pid)  # work put off by the request path belongs to it
        process_ns, thread_ns, names = rig.cpu_delta(before, rig.cpu_threads(contestant.pid))
        ticks_ns = (rig.cpu_ticks(contestant.pid) - ticks) * 1e9
        if abs(process_ns - ticks_ns) > 0.1 * ticks_ns + 30e6:
            print(f"note: {contestant.name}: scheduler says {process_ns / 1e6:.0f} ms, ticks say {ticks_ns / 1e6:.0f} ms", file=sys.stderr)
        # Per chunk that the upstream sent: a held answer may reach the client in fewer, larger events.
        n = report["requests"] * (self.args.stream_tokens + 4) if unit == "chunks" else report["requests"]
        return {"load": report, "cpu_us": process_ns / 1e3 / n, "thread_cpu_us": thread_ns / 1e3 / n,
                "threads_us": {name: ns / 1e3 / n for name, ns in names.items()}}

    def interleave(self, title, contestants, one):
        """`one(contestant)` in every round, in an order that turns from round to round. {name: [result of each round]}"""
        rows = {c.name: [] for c in contestants}
        for r in range(self.args.rounds):
            order = contestants[r % len(contestants):] + contestants[:r % len(contestants)]
            for contestant in order:
                rows[contestant.name].append(one(contestant))
            print(f"{title}: round {r + 1} of {self.args.rounds}", file=sys.stderr)
        return rows

    # -- scenarios --

    def closed(self, contestants, logprobs, hard=False):
        a = self.args
        def one(contestant):
            options = {"mode": "closed", "connections": a.connections, "requests": a.requests, "logprobs": logprobs,
                       "first_tag": self.tags.take(a.requests)}
            if hard:
                cascades = contestant.name.startswith("understudy")
                options.update(hard=True, expect="cascade" if cascades else "student", unsure=a.unsure if cascades else None)
            return self.measure(contestant, "requests", **options)
        rows = self.interleave("closed" + ("" if logprobs else ", logprobs not asked") + (", hard" if hard else ""), contestants, one)
        return {"cpu_us": pick(rows, "cpu_us"), "thread_cpu_us": pick(rows, "thread_cpu_us"),
                "per_second": {name: [r["load"]["per_second"] for r in runs] for name, runs in rows.items()},
                "threads_us": {name: runs[-1].get("threads_us") for name, runs in rows.items()}}

    def open(self, contestants, rate):
        requests = max(100, int(rate * self.args.open_seconds))
        direct = rig.Contestant("direct", None, self.student_port)
        def one(contestant):
            return self.measure(contestant, "requests", mode="open", rate=rate, requests=requests, logprobs=True,
                                connections=self.args.connections, first_tag=self.tags.take(requests))
        rows = self.interleave(f"open at {rate}/s", [direct] + contestants, one)
        p50 = {name: [r["load"]["p50_us"] for r in runs] for name, runs in rows.items()}
        p99 = {name: [r["load"]["p99_us"] for r in runs] for name, runs in rows.items()}
        added = {name: [p - d for p, d in zip(p50[name], p50["direct"])] for name in p50 if name != "direct"}
        return {"added_p50_us": added, "p50_us": p50, "p99_us": p99, "cpu_us": pick(rows, "cpu_us")}

    def stream_options(self, contestant, held):
        options = {"mode": "stream", "connections": self.args.streams, "ramp_ms": self.args.ramp_ms, "logprobs": True,
                   "first_tag": self.tags.take(self.args.streams)}
        if contestant.name.startswith("understudy") and not held:
            options.update(model="understudy/teacher", expect="teacher")
        return options

    def sse(self, contestants, held):
        rows = self.interleave("streams" + (", held" if held else ""), contestants,
                               lambda c: self.measure(c, "chunks", **self.stream_options(c, held)))
        return {"cpu_us": pick(rows, "cpu_us"), "thread_cpu_us": pick(rows, "thread_cpu_us"),
                "first_byte_p50_us": {name: [r["load"]["first_byte_p50_us"] for r in runs] for name, runs in rows.items()}}

    def stream_memory(self, held):
        """A fresh process for each round: memory that a process keeps for later would hide growth."""
        rows = {}
        base = {}
        for r in range(min(self.args.rounds, 5)):
            contestants = self.start_contestants()
            for contestant in contestants:
                rig.run_load(self.args.bin, contestant.stream_port, mode="closed", connections=8, requests=200,
                             first_tag=self.tags.take(200), **self.common())
                rig.settle(contestant.pid)
                before = rig.memory(contestant.pid)
                options = {**self.common(), **self.stream_options(contestant, held)}
                peak = dict(before)
                with subprocess.Popen(rig.load_command(self.args.bin, contestant.stream_port, **options), stdout=subprocess.PIPE,
                                      text=True) as child:
                    child.stdout.readline()  # all streams are open
                    ended = threading.Event()
                    def sample():
                        while not ended.wait(0.2):
                            for key, value in rig.memory(contestant.pid).items():
                                peak[key] = max(peak[key], value)
                    sampler = threading.Thread(target=sample)
                    sampler.start()
                    report = json.loads(child.stdout.readline() or '{"errors": 1}')
                    ended.set()
                    sampler.join()
                if report["errors"] != 0:
                    raise rig.RigError(f"streams through {contestant.name} failed: {report}")
                rows.setdefault(contestant.name, []).append((peak["rss"] - before["rss"]) / self.args.streams / 1024)
                base.setdefault(contestant.name, []).append(before["rss"] / 1024 / 1024)
            self.stop([c.process for c in contestants])
            print(f"memory{', held' if held else ''}: round {r + 1}", file=sys.stderr)
        return {"kib_per_stream": rows, "base_rss_mib": base}

    def million(self):
        """Resident memory after a million different requests."""
        result = {}
        contestants = self.start_contestants()
        for contestant in contestants:
            before = rig.memory(contestant.pid)
            report = rig.run_load(self.args.bin, contestant.port, mode="closed", connections=self.args.connections,
                                  requests=self.args.million, first_tag=self.tags.take(self.args.million), logprobs=True,
                                  timeout_s=1800, **self.common())
            rig.settle(contestant.pid, 120)
            result[contestant.name] = {"before": before, "after": rig.memory(contestant.pid), "per_second": report["per_second"]}
            print(f"million: {contestant.name} done", file=sys.stderr)
        self.stop([c.process for c in contestants])
        return result

    def run(self):
        a = self.args
        wanted = a.scenarios
        self.start_upstreams()
        contestants = self.start_contestants()
        for contestant in contestants:  # connections, pools and branch predictors warm
            rig.run_load(a.bin, contestant.port, mode="closed", connections=a.connections, requests=max(200, a.requests // 4),
                         first_tag=self.tags.take(a.requests), logprobs=True, **self.common())
        if "closed" in wanted:
            self.results["closed"] = self.closed(contestants, logprobs=True)
        if "closed_not_asked" in wanted:
            self.results["closed_not_asked"] = self.closed(contestants, logprobs=False)
        if "escalate" in wanted:
            self.results["escalate"] = self.closed(contestants, logprobs=False, hard=True)
        if "open" in wanted:
            for rate in a.rates:
                self.results[f"open_{rate}"] = self.open(contestants, rate)
        if "sse" in wanted:
            self.results["sse"] = self.sse(contestants, held=False)
        if "sse_held" in wanted:
            self.results["sse_held"] = self.sse(contestants, held=True)
        self.stop([c.process for c in contestants])
        if "memory" in wanted:
            self.results["memory"] = self.stream_memory(held=False)
        if "memory_held" in wanted:
            self.results["memory_held"] = self.stream_memory(held=True)
        if a.million:
            self.results["million"] = self.million()


def pick(rows, key):
    return {name: [r[key] for r in runs] for name, runs in rows.items() if all(key in r for r in runs)}


# ---- statistics and table ---------------------------------------------------------------------------------------------

def spread(values):
    """median, lower and upper quartile"""
    if len(values) == 1:
        return values[0], values[0], values[0]
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[1], q[0], q[2]


def ratios(series, name, reference="nginx"):
    """Of the rounds, each against the reference in the same round."""
    if reference not in series or name not in series:
        return None
    pairs = [(a, b) for a, b in zip(series[name], series[reference]) if b > 0]
    return [a / b for a, b in pairs] or None


TITLES = [("closed", "cpu_us", "CPU us per request, whole process"), ("closed", "thread_cpu_us", "CPU us per request, request-path thread"),
          ("closed_not_asked", "cpu_us", "the same, logprobs not asked by the client, whole process"),
          ("closed_not_asked", "thread_cpu_us", "the same, request-path thread"),
          ("escalate", "cpu_us", "the same, a share escalated, whole process"),
          ("sse", "cpu_us", "streams: CPU us per chunk, passed through"), ("sse_held", "cpu_us", "streams: CPU us per chunk, held to the decision"),
          ("memory", "kib_per_stream", "KiB per open stream, passed through"), ("memory_held", "kib_per_stream", "KiB per open stream, held")]


def table(results):
    lines = ["| figure | contestant | median | quartiles | ratio to nginx (quartiles) |", "| --- | --- | --- | --- | --- |"]
    titles = list(TITLES)
    opens = [key for key in results if key.startswith("open_")]
    titles += [(key, "added_p50_us", f"added p50 us at {key[5:]} requests/s") for key in opens]
    for scenario, key, title in titles:
        series = results.get(scenario, {}).get(key, {})
        for name, values in series.items():
            median, low, high = spread(values)
            ratio = ratios(series, name)
            against = "-" if ratio is None else "{:.2f} ({:.2f}-{:.2f})".format(*spread(ratio))
            lines.append(f"| {title} | {name} | {median:.1f} | {low:.1f}-{high:.1f} | {against} |")
    for name, row in results.get("million", {}).items():
        lines.append(f"| RSS MiB after the long run | {name} | {row['after']['rss'] / 2**20:.1f} | (before: {row['before']['rss'] / 2**20:.1f}) | - |")
    return "\n".join(lines)


def machine():
    model = ""
    with open("/proc/cpuinfo") as f:
        for line in f:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release(), "commit": commit, "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "load_average": os.getloadavg()[0]}


SCENARIOS = ["closed", "closed_not_asked", "escalate", "open", "sse", "sse_held", "memory", "memory_held"]


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--bin", default=os.path.join(ROOT, "build/bench/bench/gateway"), help="folder of bench_load, bench_upstream, bench_proxy_floor")
    p.add_argument("--gateway", default=None, help="the understudy program (default: build/release or build/bench, where built)")
    p.add_argument("--contestants", default="nginx,floor,understudy", type=lambda s: s.split(","))
    p.add_argument("--litellm", default=os.path.join(ROOT, ".deps/litellm/bin/litellm"), help="its program, for --contestants with litellm")
    p.add_argument("--scenarios", default=",".join(SCENARIOS), type=lambda s: s.split(","))
    p.add_argument("--rounds", type=int, default=9)
    p.add_argument("--requests", type=int, default=30000, help="of one closed-loop load")
    p.add_argument("--connections", type=int, default=32)
    p.add_argument("--rates", default="1000,5000,10000", type=lambda s: [int(x) for x in s.split(",")])
    p.add_argument("--open-seconds", type=float, default=2.0)
    p.add_argument("--streams", type=int, default=1000)
    p.add_argument("--ramp-ms", type=int, default=500)
    p.add_argument("--stream-tokens", type=int, default=100)
    p.add_argument("--stream-interval-ms", type=int, default=50)
    p.add_argument("--answer-tokens", type=int, default=7, help="7 tokens with top 2 are about 2 KiB; 200 with top 5 about 90 KiB")
    p.add_argument("--top", type=int, default=2)
    p.add_argument("--unsure", type=float, default=0.3, help="share of hard requests that the student is unsure about")
    p.add_argument("--million", type=int, nargs="?", const=1_000_000, default=0, help="resident memory after so many requests")
    p.add_argument("--keep-priority", action="store_true", help="do not run before other work on this machine")
    p.add_argument("--out", default=None, help="JSON with every round's figures")
    args = p.parse_args()
    if unknown := set(args.scenarios) - set(SCENARIOS) - {""}:
        p.error(f"unknown scenarios {sorted(unknown)}; there are {SCENARIOS}")
    if unknown := set(args.contestants) - {"nginx", "floor", "understudy", "understudy-2", "litellm"}:
        p.error(f"unknown contestants {sorted(unknown)}")
    if {"understudy", "understudy-2"} & set(args.contestants):
        candidates = [args.gateway] if args.gateway else [os.path.join(ROOT, "build", b, "understudy") for b in ("release", "bench")]
        args.gateway = next((c for c in candidates if os.path.exists(c)), None)
        if args.gateway is None:
            print(f"no gateway at {' or '.join(candidates)}: left out (./dev build makes it)", file=sys.stderr)
            args.contestants = [c for c in args.contestants if not c.startswith("understudy")]
    if args.keep_priority:
        pass
    elif not rig.raise_priority():
        print("not allowed to raise the priority: other work on this machine will show in the figures", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="understudy-bench-") as log_dir:
        bench = Bench(args, log_dir)
        status = 0
        try:
            bench.run()
        except rig.RigError as error:
            print(f"failed: {error}", file=sys.stderr)
            status = 1
        except KeyboardInterrupt:
            print("interrupted: what was measured until then follows", file=sys.stderr)
            status = 130
        finally:
            bench.stop(list(bench.started))
    document = {"schema": "understudy.bench.gateway/1", "machine": machine(), "arguments": {k: v for k, v in vars(args).items() if k not in ("bin", "gateway", "litellm", "out")},
                "results": bench.results}
    if args.out:
        with open(args.out, "w") as f:
            json.dump(document, f, indent=1)
    print(table(bench.results))
    return status


if __name__ == "__main__":
    sys.exit(main())
