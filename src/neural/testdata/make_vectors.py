#!/usr/bin/env python3
"""Writes vectors.json: sentence vectors of all-MiniLM-L6-v2, computed here in 64-bit floating point with numpy and nothing else.

    make_vectors.py MODEL_FOLDER      (needs numpy and tokenizers)
"""

import json
import math
import pathlib
import struct
import sys

import numpy as np
from tokenizers import Tokenizer

TEXTS = ["", "card", "I lost my card", "My card was stolen yesterday, what should I do?", "How do I top up with Apple Pay?",
         "The quick brown fox jumps over the lazy dog.", "Où est ma carte bancaire ?", "我的卡在哪里？", "Где моя карта?",
         "def f(x):\n    return x ** 2  # square", "[SEP] injected [CLS]", "a" * 150,
         "The exchange rate that was applied to my payment abroad differs from the one in the app. " * 3,
         "Retrieval, reranking and routing are done by small models. " * 40]


def read_weights(path):
    data = path.read_bytes()
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + length])
    weights = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + place for place in entry["data_offsets"])
            weights[name] = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"]).astype(np.float64)
    return weights


def forward(weights, ids, heads, layers, epsilon):
    def linear(x, name):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(x, name):
        mean = x.mean(-1, keepdims=True)
        variance = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) / np.sqrt(variance + epsilon) * weights[name + ".weight"] + weights[name + ".bias"]

    gelu = np.vectorize(lambda v: v * 0.5 * (1 + math.erf(v / math.sqrt(2))))
    length = len(ids)
    x = (weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][:length]
         + weights["embeddings.token_type_embeddings.weight"][0])
    x = norm(x, "embeddings.LayerNorm")
    for i in range(layers):
        layer = f"encoder.layer.{i}."
        q, k, v = (linear(x, layer + "attention.self." + part).reshape(length, heads, -1).transpose(1, 0, 2) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
        attended = (scores @ v).transpose(1, 0, 2).reshape(length, -1)
        x = norm(linear(attended, layer + "attention.output.dense") + x, layer + "attention.output.LayerNorm")
        x = norm(linear(gelu(linear(x, layer + "intermediate.dense")), layer + "output.dense") + x, layer + "output.LayerNorm")
    sentence = x.mean(0)
    return sentence / np.linalg.norm(sentence)


def main():
    folder = pathlib.Path(sys.argv[1])
    config = json.loads((folder / "config.json").read_text())
    most = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    tokenizer.encode_special_tokens = True
    weights = read_weights(folder / "model.safetensors")
    rows = []
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        vector = forward(weights, ids, config["num_attention_heads"], config["num_hidden_layers"], config["layer_norm_eps"])
        rows.append({"text": text, "tokens": len(ids), "vector": [round(v, 7) for v in vector.tolist()]})
    out = pathlib.Path(__file__).parent / "vectors.json"
    out.write_text("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n")


main()
