#!/usr/bin/env python3
"""A cross-encoder of ours and the same weights in ONNX Runtime, by turns on one thread: equal scores, milliseconds for lists of documents.

  bench/specialists/onnx_speed.py FOLDER --build build/release [--data ../shared/data/specialists] [--lists 20] [--rounds 5]

FOLDER is what understudy-trainer made with the head `hybrid` (a reranker keeps it as DIR/cross_encoder). Documents: WikiQA's test split, at most 40 words, 50 a query. The graph for ONNX Runtime is written here
from the folder's tensors; its int8 is quantize_dynamic's. Needs a Python with requirements.txt. Ours pads to a few shapes, so ONNX Runtime gets each list sorted by length, in the
batch size of 1, 8, 16 and 50 that is fastest for it.
"""
import argparse
import json
import pathlib
import random
import struct
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic


def tensors_of(path):
    with open(path, "rb") as file:
        told = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        start, out = file.tell(), {}
        for name, of in told.items():
            if name != "__metadata__" and of["dtype"] == "F32":
                file.seek(start + of["data_offsets"][0])
                out[name] = np.frombuffer(file.read(of["data_offsets"][1] - of["data_offsets"][0]), np.float32).reshape(of["shape"])
        return out


class Graph:
    """BERT as ONNX Runtime's own exporters write it: MatMul with the transposed weight, then Add."""

    def __init__(self, folder):
        self.w, self.config = tensors_of(folder / "model.safetensors"), json.loads((folder / "config.json").read_text())
        self.prefix = "bert." if any(name.startswith("bert.") for name in self.w) else ""
        self.nodes, self.constants, self.made = [], [], 0

    def constant(self, value):
        self.made += 1
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), f"c{self.made}"))
        return f"c{self.made}"

    def node(self, kind, *inputs, **attributes):
        self.made += 1
        self.nodes.append(helper.make_node(kind, list(inputs), [f"n{self.made}"], **attributes))
        return f"n{self.made}"

    def weight(self, name):
        return self.w[self.prefix + name]

    def linear(self, x, name):
        return self.node("Add", self.node("MatMul", x, self.constant(self.weight(name + ".weight").T)), self.constant(self.weight(name + ".bias")))

    def norm(self, x, name):
        return self.node("LayerNormalization", x, self.constant(self.weight(name + ".weight")), self.constant(self.weight(name + ".bias")), axis=-1, epsilon=self.config["layer_norm_eps"])

    def layer(self, x, mask, name):
        heads = self.config["num_attention_heads"]
        size = self.config["hidden_size"] // heads
        split, join = self.constant(np.array([0, 0, heads, size], np.int64)), self.constant(np.array([0, 0, heads * size], np.int64))
        of = lambda part, perm: self.node("Transpose", self.node("Reshape", self.linear(x, f"{name}.attention.self.{part}"), split), perm=perm)
        scores = self.node("MatMul", of("query", [0, 2, 1, 3]), of("key", [0, 2, 3, 1]))
        scores = self.node("Add", self.node("Mul", scores, self.constant(np.float32(size ** -0.5))), mask)
        seen = self.node("Transpose", self.node("MatMul", self.node("Softmax", scores, axis=-1), of("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3])
        x = self.norm(self.node("Add", x, self.linear(self.node("Reshape", seen, join), f"{name}.attention.output.dense")), f"{name}.attention.output.LayerNorm")
        inner = self.node("Gelu", self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(self.node("Add", x, self.linear(inner, f"{name}.output.dense")), f"{name}.output.LayerNorm")

    def mean(self, x, mask):
        """@param mask  rows x length, 1 where it counts"""
        axis = self.constant(np.array([1], np.int64))
        wide = self.node("Unsqueeze", mask, self.constant(np.array([2], np.int64)))
        return self.node("Div", self.node("ReduceSum", self.node("Mul", x, wide), axis, keepdims=0), self.node("ReduceSum", mask, axis, keepdims=1))

    def model(self):
        position = self.node("Unsqueeze", self.node("Range", self.constant(np.int64(0)), self.node("Gather", self.node("Shape", "ids"), self.constant(np.int64(1))), self.constant(np.int64(1))), self.constant(np.array([0], np.int64)))
        x = self.node("Gather", self.constant(self.weight("embeddings.word_embeddings.weight")), "ids")
        x = self.node("Add", x, self.node("Gather", self.constant(self.weight("embeddings.position_embeddings.weight")), position))
        x = self.norm(self.node("Add", x, self.node("Gather", self.constant(self.weight("embeddings.token_type_embeddings.weight")), "types")), "embeddings.LayerNorm")
        held = self.node("Unsqueeze", "mask", self.constant(np.array([1, 2], np.int64)))
        far = self.node("Mul", self.node("Sub", self.constant(np.float32(1)), held), self.constant(np.float32(-1e4)))
        for layer in range(self.config["num_hidden_layers"]):
            x = self.layer(x, far, f"encoder.layer.{layer}")
        second = self.node("Mul", "mask", self.node("Cast", "types", to=TensorProto.FLOAT))
        u, v = self.mean(x, self.node("Sub", "mask", second)), self.mean(x, second)
        axis = self.constant(np.array([1], np.int64))
        length = lambda a: self.node("Sqrt", self.node("ReduceSum", self.node("Mul", a, a), axis, keepdims=0))
        cosine = self.node("Div", self.node("ReduceSum", self.node("Mul", u, v), axis, keepdims=0), self.node("Mul", length(u), length(v)))
        line = self.node("ReduceSum", self.node("Mul", self.mean(x, "mask"), self.constant(self.w["pair_head.weight"].reshape(1, -1))), axis, keepdims=0)
        z = self.node("Add", self.node("Add", line, self.constant(self.w["pair_head.bias"].reshape(()))), self.node("Mul", cosine, self.constant(self.w["pair_head.cosine"].reshape(()))))
        self.nodes.append(helper.make_node("Identity", [z], ["score"]))
        inputs = [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n", "t"]), helper.make_tensor_value_info("types", TensorProto.INT64, ["n", "t"]),
                  helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", "t"])]
        graph = helper.make_graph(self.nodes, "pairs", inputs, [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n"])], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def session(path):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def score(net, rows, batch):
    out, order = np.zeros(len(rows), np.float32), sorted(range(len(rows)), key=lambda i: len(rows[i]["ids"]))
    for at in range(0, len(order), batch):
        some = order[at:at + batch]
        width = max(len(rows[i]["ids"]) for i in some)
        ids, types, mask = np.zeros((len(some), width), np.int64), np.zeros((len(some), width), np.int64), np.zeros((len(some), width), np.float32)
        for k, i in enumerate(some):
            n = len(rows[i]["ids"])
            ids[k, :n], types[k, rows[i]["second"]:n], mask[k, :n] = rows[i]["ids"], 1, 1
        out[some] = net.run(None, {"ids": ids, "types": types, "mask": mask})[0]
    return out


def lists_of(data, count):
    by_query, texts = {}, []
    for line in subprocess.run(["zstd", "-dcq", str(data / "rerank_pairs/wikiqa.jsonl.zst")], capture_output=True, check=True).stdout.decode().splitlines():
        row = json.loads(line)
        if row["split"] == "test" and len(row["doc"].split()) <= 40:
            by_query.setdefault(row["query"], []).append(row["doc"])
            texts.append(row["doc"])
    rng = random.Random(1)
    return [[{"first": query, "second": own[i] if i < len(own) else rng.choice(texts)} for i in range(50)] for query, own in list(by_query.items())[:count]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--build", type=pathlib.Path, default=root / "build/release")
    parser.add_argument("--data", type=pathlib.Path, default=root.parent / "shared/data/specialists")
    parser.add_argument("--lists", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    a = parser.parse_args()
    lists = lists_of(a.data, a.lists)
    stdin = "".join(json.dumps(pair) + "\n" for one in lists for pair in one)

    def ours(precision):
        done = subprocess.run([str(a.build / "bench/specialists/understudy_pairs"), str(a.folder), precision, "50", "1"], input=stdin, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return [json.loads(line) for line in done.stdout.splitlines()], json.loads(done.stderr.splitlines()[-1])

    rows = ours("fp32")[0]
    per_list = [rows[i:i + 50] for i in range(0, len(rows), 50)]
    with tempfile.TemporaryDirectory() as scratch:
        whole, small = pathlib.Path(scratch) / "whole.onnx", pathlib.Path(scratch) / "int8.onnx"
        onnx.save(Graph(a.folder).model(), whole)
        quantize_dynamic(whole, small, weight_type=QuantType.QInt8, per_channel=True)
        nets = {"ONNX Runtime fp32": session(whole), "ONNX Runtime int8": session(small)}
        said = {name: np.concatenate([score(net, one, 16) for one in per_list]) for name, net in nets.items()}
        said |= {f"ours {p}": np.array([row["score"] for row in ours(p)[0]]) for p in ("fp32", "int8")}
        batch = {}
        for name, net in nets.items():
            timed = {}
            for size in (1, 8, 16, 50):
                start = time.monotonic()
                for one in per_list[:4]:
                    score(net, one, size)
                timed[size] = time.monotonic() - start
            batch[name] = min(timed, key=timed.get)
        millis = {name: [] for name in said}
        for _ in range(a.rounds):  # by turns: what else runs here slows all of them
            for name in said:
                if name.startswith("ours"):
                    millis[name] += ours(name.split()[1])[1]
                    continue
                for one in per_list:
                    start = time.monotonic()
                    score(nets[name], one, batch[name])
                    millis[name].append(1000 * (time.monotonic() - start))
    truth = said["ours fp32"]
    for name, values in millis.items():
        values.sort()
        print(json.dumps({"engine": name, "documents": 50, "lists": len(lists), "rounds": a.rounds, "median_ms": round(values[len(values) // 2], 2), "tenth_ms": round(values[len(values) // 10], 2),
                          "batch": batch.get(name), "largest_difference_to_ours_fp32": round(float(np.abs(said[name] - truth).max()), 5)}))


if __name__ == "__main__":
    main()
