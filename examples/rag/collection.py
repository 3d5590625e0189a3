"""The public collection, a lexical search over it, and the four prompts of the trace."""
import collections
import gzip
import json
import math
import os
import re

RETRIEVED, USED, PASSAGE_WORDS = 50, 5, 160

# after.toml says in the same words where the texts lie.
REWRITE = "Rewrite the claim as a search query. Answer with the query alone.\n\nClaim: {claim}"
RERANK = ("Rank the {count} passages by how well they bear on the query, best first. Answer with their numbers alone, as in [2] > [1].\n\n"
          "Query: {query}\n\nPassages:\n{documents}\n\nRanking:")
GENERATE = "Say in one paragraph what the passages tell about the claim, and cite them by number.\n\nClaim: {claim}\n\nPassages:\n{documents}"
FAITHFULNESS = "Is the claim supported by the passages? Answer yes or no.\n\nClaim: {claim}\n\nPassages:\n{evidence}\n\nAnswer:"

STOP = set("a an and are as at be been between by can does do for from has have in into is it its may not of on or than that the their these this those to was were which with".split())


def words(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def keywords(claim):
    """What the stand-in answers to REWRITE: the claim without its commonest words. A rule, no model."""
    return " ".join(word for word in claim.rstrip(".").split() if word.lower().strip(",;:") not in STOP)


class Collection:
    def __init__(self, folder):
        def read(name):
            path = os.path.join(folder, name)
            if not os.path.exists(path):
                raise SystemExit(f"run.py: there is no {path}: --data names a folder with abstracts.jsonl.gz and claims.jsonl.gz (make_data.py makes them)")
            with gzip.open(path, "rt", encoding="utf-8") as file:
                return [json.loads(line) for line in file]

        self.abstracts = {row["id"]: row for row in read("abstracts.jsonl.gz")}
        self.claims = read("claims.jsonl.gz")
        self.terms = {did: collections.Counter(words(row["title"] + " " + row["text"])) for did, row in self.abstracts.items()}
        self.length = {did: sum(terms.values()) for did, terms in self.terms.items()}
        self.mean = sum(self.length.values()) / len(self.length)
        self.holds = collections.Counter(term for terms in self.terms.values() for term in terms)

    def of(self, use):
        return [claim for claim in self.claims if claim["use"] == use]

    def retrieve(self, query, n=RETRIEVED):
        """The n abstracts with the highest BM25 (k1 .9, b .4), best first."""
        def score(did):
            total = 0.0
            for term in words(query):
                tf = self.terms[did][term]
                if tf:
                    idf = math.log(1 + (len(self.terms) - self.holds[term] + 0.5) / (self.holds[term] + 0.5))
                    total += idf * tf * 1.9 / (tf + 0.9 * (0.6 + 0.4 * self.length[did] / self.mean))
            return total
        return sorted(self.terms, key=lambda did: (-score(did), did))[:n]

    def whole(self, did):
        return f"{self.abstracts[did]['title']} {self.abstracts[did]['text']}"

    def passage(self, did):
        return " ".join(self.whole(did).split()[:PASSAGE_WORDS])

    def numbered(self, dids, text):
        return "\n".join(f"[{i}] {text(did)}" for i, did in enumerate(dids, 1))

    def rerank_prompt(self, query, dids):
        return RERANK.format(count=len(dids), query=query, documents=self.numbered(dids, self.passage))

    def evidence(self, dids):
        return self.numbered(dids, self.whole)


# What the data set says, in the place of a model.

def gold_order(claim, dids):
    """Abstracts that the data set judges the claim by first, the others as they were retrieved."""
    return sorted(dids, key=lambda did: did not in claim["judged"])


def gold_verdict(claim, dids):
    return any(claim["judged"].get(did) == "SUPPORT" for did in dids)
