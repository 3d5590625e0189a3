"""Stands in for a frontier model: an OpenAI-compatible server that answers the four prompts from the data set's labels.

Nothing here is a model. Rankings and verdicts are the data set's own labels, queries and paragraphs come from rules. Its tokens are characters / 4 and
its waits a formula, not a measurement: 0.35 s, 0.05 ms a token in, 12 ms a token out.
"""
import http.server
import json
import re
import threading
import time

import collection as c

MODEL = "data-set-labels"


def tokens(text):
    return max(1, len(text) // 4)


class StandIn:
    def __init__(self, collection, hurry=1.0):
        self.hurry = hurry
        self.by_claim = {claim["claim"]: claim for claim in collection.claims}
        self.by_query = {c.keywords(claim["claim"]): claim for claim in collection.claims}
        self.by_text = {collection.whole(did)[:80]: did for did in collection.abstracts}
        stand_in = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *arguments):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                reply = json.dumps(stand_in.reply(body)).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def reply(self, body):
        prompt = body["messages"][-1]["content"]
        answer = self.answer(prompt)
        used_in, used_out = tokens("".join(message["content"] for message in body["messages"])), tokens(answer)
        time.sleep((0.35 + 0.00005 * used_in + 0.012 * used_out) / self.hurry)
        return {"id": "stand-in", "object": "chat.completion", "created": int(time.time()), "model": MODEL,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": used_in, "completion_tokens": used_out, "total_tokens": used_in + used_out}}

    def answer(self, prompt):
        passages = [self.by_text[text[:80]] for text in re.findall(r"^\[\d+\] (.*)$", prompt, re.MULTILINE)]
        claim = re.search(r"^Claim: (.*)$", prompt, re.MULTILINE)
        claim = self.by_claim[claim[1]] if claim else self.by_query[re.search(r"^Query: (.*)$", prompt, re.MULTILINE)[1]]
        if prompt.startswith("Rewrite"):
            return c.keywords(claim["claim"])
        if prompt.startswith("Rank"):
            return " > ".join(f"[{passages.index(did) + 1}]" for did in c.gold_order(claim, passages))
        if prompt.startswith("Is the claim"):
            return "yes" if c.gold_verdict(claim, passages) else "no"
        # As long as the paragraphs that are written in such places.
        first = [did for did in passages if did in claim["judged"]][:1] or passages[:1]
        quoted = " ".join(next(text for text, did in self.by_text.items() if did == first[0]).split())
        return f"On the claim that {claim['claim']} the passages say this. [{passages.index(first[0]) + 1}] is the nearest to it: {quoted}. " + "They differ in method and in whom they studied. " * 24
