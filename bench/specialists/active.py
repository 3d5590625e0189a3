#!/usr/bin/env python3
"""`understudy train --teacher`, plain sample against --active at equal numbers of labels. The teacher is a server on this machine that answers with the set's own labels.

  bench/specialists/active.py --program build/release/understudy [--data ../shared/data/specialists] [--kind judge] [--file faith/fever_pairs.jsonl.zst] [--split dev]
                              [--sample 800] [--share 0.5] [--seeds 3] [-- more arguments of train]

Prints one JSON line a run (balanced accuracy, AUROC and ECE-15 of a judge, or accuracy and ECE-15 of an intent specialist, on --split) and the means.
"""
import argparse
import http.server
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading


def rows_of(path):
    text = subprocess.run(["zstd", "-dcq", str(path)], capture_output=True, check=True).stdout
    return [json.loads(line) for line in text.splitlines()]


class Teacher(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    gold = {}

    def log_message(self, *arguments):
        pass

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        shared, answers = {}, []
        for line in body["messages"][-1]["content"].splitlines():
            item = json.loads(line)
            if "n" not in item:
                shared = item["same for all items"]
                continue
            item = {**shared, **item}
            label = self.gold[item.get("text") or (item["claim"], item["evidence"])]
            answers.append({"n": item["n"], "confidence": 100, **({"label": label} if "text" in item else {"supported": bool(label)})})
        message = {"role": "assistant", "content": json.dumps({"answers": answers})}
        reply = json.dumps({"id": "1", "object": "chat.completion", "created": 1, "model": "gold", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                            "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)


def run(*command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True)
    parser.add_argument("--data", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[3] / "shared/data/specialists")
    parser.add_argument("--kind", choices=["judge", "intent"], default="judge")
    parser.add_argument("--file", default="faith/fever_pairs.jsonl.zst")
    parser.add_argument("--split", default="dev")
    parser.add_argument("--sample", type=int, default=800)
    parser.add_argument("--share", default="0.5")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("more", nargs="*")
    a = parser.parse_args()
    rows = rows_of(a.data / a.file)
    Teacher.gold = {row.get("text") or (row["claim"], row["evidence"]): row["label"] for row in rows if row["split"] == "train"}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kind = [] if a.kind == "judge" else ["--labels", ""]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        if a.kind == "intent":
            names = pathlib.Path(folder) / "labels.txt"
            names.write_text("\n".join(sorted({row["label"] for row in rows})) + "\n")
            kind = ["--labels", names]
        for seed in range(1, a.seeds + 1):
            for way in ("plain", "active"):
                out = pathlib.Path(folder) / f"{way}-{seed}"
                run(a.program, "train", a.kind, "--teacher", f"http://127.0.0.1:{server.server_address[1]}/v1#gold", "--price-input", "0", "--price-output", "0", "--yes", "--batch", "50",
                    "--unlabelled", a.data / a.file, "--sample", a.sample, "--seed", seed, "--out", out, *kind, *(["--active", "--active-share", a.share] if way == "active" else []), *a.more)
                said = json.loads(run(a.program, "evaluate", out, "--data", a.data / a.file, "--split", a.split, "--json"))
                figures = {key: said["metrics"][key] for key in ("balanced_accuracy", "auroc", "accuracy") if key in said["metrics"]} | {"ece15": said["calibration"]["ece15"]}
                print(json.dumps({"way": way, "seed": seed, "rows": said["rows"], **figures, "intervals": said.get("intervals")}), flush=True)
                for key, value in figures.items():
                    found.setdefault((key, way), []).append(value)
    server.shutdown()
    for (key, way), values in sorted(found.items()):
        print(f"{key:<20}{way:<8}{statistics.mean(values):.4f} ({min(values):.4f} to {max(values):.4f})")


if __name__ == "__main__":
    main()
