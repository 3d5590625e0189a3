#!/usr/bin/env python3
"""Audit benchmark: understudy against DuckDB on the same trace, interleaved runs, results compared.

  ./dev bench audit, or: python3 bench/audit/run.py [--audit build/release/understudy] [--rows 5000000] [--runs 5] [--work DIR]

DuckDB's Python package is installed into a virtual environment under --work (default: the system's folder for temporary files), where the
trace goes too: 1.2 GB. Needs g++. CPU seconds are user + system of the child process; memory is its largest resident set. Run it on a
quiet machine, or read the spread.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

QUERY = r"""
import duckdb, json, sys
con = duckdb.connect()
con.execute("set threads to %d" % int(sys.argv[2]))
con.execute("set enable_progress_bar = false")
price = {"gpt-4o": (2500000, 1250000, 10000000), "gpt-4o-mini": (150000, 75000, 600000), "gpt-4.1": (2000000, 500000, 8000000),
         "gpt-4.1-mini": (400000, 100000, 1600000)}
con.execute("create table p(model varchar, i bigint, c bigint, o bigint)")
con.executemany("insert into p values (?, ?, ?, ?)", [(m, *v) for m, v in price.items()])
columns = "{ts: 'VARCHAR', request_id: 'VARCHAR', step: 'VARCHAR', model: 'VARCHAR', tok_in: 'BIGINT', tok_out: 'BIGINT', cached_in: 'BIGINT', cost_usd: 'DOUBLE'}"
source = f"read_json('{sys.argv[1]}', format='newline_delimited', columns={columns})"
# one pass over the file: the cube and the distinct requests
con.execute(f"create table t as select step, model, ts[1:10] as day, hash(request_id) as r, tok_in, tok_out, cached_in from {source}")
steps = con.execute("select step, sum((tok_in - cached_in)::hugeint * i + cached_in::hugeint * c + tok_out::hugeint * o)::varchar, count(*), sum(tok_in), sum(tok_out)"
                    " from t join p using (model) group by step order by step").fetchall()
weeks = con.execute("select count(distinct date_trunc('week', day::date)) from t").fetchone()[0]
requests = con.execute("select count(distinct r) from t").fetchone()[0]
print(json.dumps({"steps": [[s, c, n, int(i), int(o)] for s, c, n, i, o in steps], "requests": requests, "weeks": weeks}))
"""


def peer_python(work):
    """A Python that has DuckDB, outside the repository."""
    folder = os.path.join(work, "audit_bench_venv")
    python = os.path.join(folder, "bin", "python")
    if not os.path.exists(python):
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", os.path.join(HERE, "requirements.txt")], check=True)
    return python


def measure(command):
    before = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status not in (0,):
        sys.exit(f"{command[0]} failed with {status}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "wall": time.perf_counter() - before, "mb": usage.ru_maxrss / 1024, "out": out}


def row(name, runs, key, unit):
    values = sorted(r[key] for r in runs)
    return f"{name} {statistics.median(values):.2f} {unit} ({values[0]:.2f} to {values[-1]:.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--audit", default=os.path.join(ROOT, "build", "release", "understudy"), help="the program to measure")
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--work", default=tempfile.gettempdir())
    args = parser.parse_args()
    trace = os.path.join(args.work, f"audit_bench_{args.rows}.jsonl")
    if not os.path.exists(trace):
        generator = os.path.join(args.work, "audit_bench_generate")
        subprocess.run(["g++", "-O2", "-std=c++20", "-o", generator, os.path.join(HERE, "generate.cpp")], check=True)
        subprocess.run([generator, str(args.rows), trace], check=True)
    with open(trace, "rb") as f:  # into the page cache
        while f.read(1 << 24):
            pass
    prices = os.path.join(HERE, "prices.json")
    peer = peer_python(args.work)
    ours, theirs = [], []
    for _ in range(args.runs):
        ours.append(measure([args.audit, "audit", trace, "--json", "--prices", prices, "--threads", str(args.threads)]))
        theirs.append(measure([peer, "-c", QUERY, trace, str(args.threads)]))
    a, b = json.loads(ours[0]["out"]), json.loads(theirs[0]["out"])
    mine = sorted([s["step"], s["cost_picousd"], s["calls"], s["tok_in"], s["tok_out"]] for s in a["steps"])
    if mine != b["steps"] or a["requests"] != b["requests"] or len(a["weekly"]) != b["weeks"]:
        sys.exit(f"results differ:\n{mine} {a['requests']} {len(a['weekly'])}\n{b}")
    size = os.path.getsize(trace)
    ids = a["requests"] * 16 / 1e6
    print(f"{args.rows} rows, {size / 1e9:.2f} GB, {a['requests']} requests, load {os.getloadavg()[0]:.1f}, equal results in all {len(mine)} steps")
    for name, runs in (("understudy audit", ours), ("DuckDB", theirs)):
        print(f"{name:18}", row("CPU", runs, "cpu", "s"), "|", row("wall", runs, "wall", "s"), "|", row("resident", runs, "mb", "MiB"))
    print(f"ids at 16 bytes each: {ids:.1f} MB")


if __name__ == "__main__":
    main()
