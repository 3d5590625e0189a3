#!/usr/bin/env python3
"""Sends the demo's messages as chat completions to a gateway and counts who answered, and how often otherwise than the teacher.

    examples/specialist/send.py [--url http://127.0.0.1:8080] [--skip 0] [--count 3000] [--at-once 32]
"""
import argparse
import collections
import concurrent.futures
import json
import os
import urllib.request

DEMO = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../data/demo")


def lines(name):
    with open(os.path.join(DEMO, name), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:8080")
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--at-once", type=int, default=32)
    args = parser.parse_args()
    teacher = {line["match"]: line["answer"] for line in lines("teacher.jsonl") if "match" in line}
    with open(os.path.join(DEMO, "system.txt"), encoding="utf-8") as file:
        system = file.read().rstrip("\n")

    def send(text):
        body = {"model": "intent", "messages": [{"role": "system", "content": system}, {"role": "user", "content": text}]}
        request = urllib.request.Request(f"{args.url}/v1/chat/completions", json.dumps(body).encode(),
                                         {"content-type": "application/json", "x-understudy-task": "intent"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            answer = json.load(reply)["choices"][0]["message"]["content"]
            return reply.headers["x-understudy-served-by"], json.loads(answer) == json.loads(teacher[text])

    served, other = collections.Counter(), collections.Counter()
    with concurrent.futures.ThreadPoolExecutor(args.at_once) as pool:
        for by, same in pool.map(send, [line["text"] for line in lines("requests.jsonl")[args.skip:args.skip + args.count]]):
            served[by] += 1
            other[by] += not same
    for by, n in served.most_common():
        print(f"{by:24} {n:6} answers, {other[by]:4} other than the teacher's ({100 * other[by] / n:.1f} %)")


if __name__ == "__main__":
    main()
