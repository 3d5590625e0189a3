"""The labelled messages most like a given one: cosine of TF-IDF vectors over words and character trigrams to 5-grams."""

import math
import re
from collections import Counter

import numpy as np


def terms(text):
    """Words, pairs of words, and the 3- to 5-letter pieces of each word."""
    words = re.findall(r"\w+", text.lower())
    found = [f"w:{word}" for word in words]
    found += [f"p:{a} {b}" for a, b in zip(words, words[1:])]
    for word in words:
        padded = f" {word} "
        for size in (3, 4, 5):
            found += [padded[i : i + size] for i in range(len(padded) - size + 1)]
    return Counter(found)


class Nearest:
    """An index over a list of texts; `find` returns positions in that list, nearest first."""

    def __init__(self, texts):
        counts = [terms(text) for text in texts]
        seen_in = Counter(term for count in counts for term in count)
        self.keys = [text.strip().lower() for text in texts]
        self.idf = {term: 1 + math.log((1 + len(texts)) / (1 + n)) for term, n in seen_in.items()}
        postings = {term: ([], []) for term in seen_in}
        for position, count in enumerate(counts):
            for term, weight in self._vector(count).items():
                postings[term][0].append(position)
                postings[term][1].append(weight)
        self.postings = {t: (np.array(where), np.array(weight)) for t, (where, weight) in postings.items()}

    def _vector(self, count):
        weights = {t: (1 + math.log(n)) * self.idf[t] for t, n in count.items() if t in self.idf}
        length = math.sqrt(sum(w * w for w in weights.values())) or 1.0
        return {t: w / length for t, w in weights.items()}

    def find(self, text, wanted):
        """The `wanted` nearest positions; a text equal to `text` (whatever its case) is never among them."""
        scores = np.zeros(len(self.keys))
        for term, weight in self._vector(terms(text)).items():
            where, weights = self.postings[term]
            scores[where] += weight * weights
        key = text.strip().lower()
        ranked = np.argsort(-scores, kind="stable")
        return [int(i) for i in ranked[: wanted + 50] if self.keys[i] != key][:wanted]
