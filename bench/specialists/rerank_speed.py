#!/usr/bin/env python3
"""How long /v1/rerank takes for a query and its documents: in front of a gateway with one reranker, one request at a time.

    bench/specialists/rerank_speed.py RERANKER ROWS [--split test] [--documents 50] [--words 40] [--requests 60] [--rounds 3] [--program build/release/understudy]

RERANKER is a folder that `understudy train rerank` made, ROWS its kind of rows (plain JSON Lines, or zstd where the zstd program is there). Each request is a query of the split with so many of the split's
documents, cut to so many words (40 words are some 50 to 64 tokens). No two requests of a round share a query or a document where the rows suffice, and the cache is off (`cold`), so each pair is computed; then
the same requests again with a warm cache (`cached`). Prints JSON: of each, CPU seconds of the gateway and wall milliseconds a request, per round. Only the standard library.
"""
import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CONFIG = """
[server]
workers = 1
score_cache_bytes = {cache}
[models.teacher]
url = "http://127.0.0.1:9/v1"
model = "none"
[cascade.default]
stages = ["teacher"]
[specialists.rank]
folder = "{reranker}"
"""


def read_rows(path, split):
    if path.endswith(".zst"):
        text = subprocess.run(["zstd", "-dc", path], check=True, capture_output=True, text=True).stdout
    else:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    rows = [json.loads(line) for line in text.splitlines() if line.strip()]
    return [row for row in rows if row.get("split", split) == split]


def requests_of(rows, args):
    queries, documents = list(dict.fromkeys(row["query"] for row in rows)), list(dict.fromkeys(" ".join(row["doc"].split()[:args.words]) for row in rows))
    out = []
    for i in range(args.requests):
        chosen = [documents[(i * args.documents + k) % len(documents)] for k in range(args.documents)]
        out.append(json.dumps({"query": queries[i % len(queries)], "documents": chosen, "top_n": 10}))
    return out


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(process, address, bodies):
    connection = http.client.HTTPConnection(address, timeout=120)
    walls, before = [], cpu_seconds(process.pid)
    for body in bodies:
        begun = time.perf_counter()
        connection.request("POST", "/v1/rerank", body, {"content-type": "application/json"})
        reply = connection.getresponse()
        answer = reply.read()
        walls.append(1000 * (time.perf_counter() - begun))
        if reply.status != 200:
            sys.exit(f"{reply.status}: {answer[:300]}")
    return {"cpu_ms": round(1000 * (cpu_seconds(process.pid) - before) / len(bodies), 2), "wall_ms_median": round(statistics.median(walls), 2), "wall_ms_p95": round(sorted(walls)[int(0.95 * len(walls))], 2)}


def serve(args, folder, cache, bodies, rounds):
    config, port_file = os.path.join(folder, f"{cache}.toml"), os.path.join(folder, f"{cache}.port")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(cache=cache, reranker=os.path.abspath(args.reranker)))
    with open(os.path.join(folder, f"{cache}.log"), "w", encoding="utf-8") as log:
        process = subprocess.Popen([args.program, "serve", "--config", config, "--data", os.path.join(folder, f"{cache}-data"), "--listen", "127.0.0.1:0", "--port-file", port_file], stdout=log, stderr=log)
        try:
            for _ in range(1200):
                if process.poll() is not None:
                    sys.exit(f"the gateway ended with {process.returncode}: {open(log.name, encoding='utf-8').read()[-2000:]}")
                if os.path.exists(port_file):
                    break
                time.sleep(0.05)
            with open(port_file, encoding="utf-8") as file:
                address = file.read().strip()
            measure(process, address, bodies)   # shapes are compiled once; with a cache it is filled
            return [measure(process, address, bodies) for _ in range(rounds)]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reranker")
    parser.add_argument("rows")
    parser.add_argument("--split", default="test")
    parser.add_argument("--documents", type=int, default=50)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--program", default=os.path.join(ROOT, "build/release/understudy"))
    args = parser.parse_args()
    bodies = requests_of(read_rows(args.rows, args.split), args)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({"documents": args.documents, "words": args.words, "requests": len(bodies), "cold": serve(args, folder, 0, bodies, args.rounds), "cached": serve(args, folder, 1 << 28, bodies, args.rounds)}, indent=1))


if __name__ == "__main__":
    main()
