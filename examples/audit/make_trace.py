#!/usr/bin/env python3
"""Writes trace.jsonl.gz: three weeks of a made-up retrieval assistant, whose third week reranks on a small model."""
import datetime
import gzip
import json
import random

random.seed(20260105)
START = datetime.datetime(2026, 1, 5)
STEPS = [("rewrite", 350, 40), ("rerank", 9000, 120), ("generate", 3200, 450), ("faithfulness", 3800, 80)]

rows = []
for week in range(3):
    for number in range(55):
        at = START + datetime.timedelta(weeks=week, hours=3 * number)
        request = f"w{week + 1}-{number:03}"
        for step, tok_in, tok_out in STEPS:
            small = week == 2 and step in ("rerank", "faithfulness")
            tokens_in, tokens_out = int(tok_in * random.uniform(0.7, 1.3)), int(tok_out * random.uniform(0.7, 1.3))
            latency_ms = int(tokens_in / 40 + tokens_out * random.uniform(4, 9))
            rows.append({"ts": at.isoformat(timespec="milliseconds") + "Z", "request_id": request, "call_id": f"{request}-{step}", "step": step,
                         "model": "gpt-4.1-nano" if small else "gpt-4o", "tok_in": tokens_in, "tok_out": tokens_out, "latency_ms": latency_ms})
            at += datetime.timedelta(milliseconds=latency_ms)
with open("trace.jsonl.gz", "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as out:
    out.writelines((json.dumps(row) + "\n").encode() for row in rows)
