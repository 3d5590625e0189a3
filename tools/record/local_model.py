"""A GGUF model run in this process: greedy answers with the log-probability of every token.

The prompt is evaluated only from the first token that differs from the prompt before it.
"""

import codecs
import ctypes
import math
from dataclasses import dataclass, field

import numpy as np
from ik_llama_cpp import IkLlama
from ik_llama_cpp import _ctypes_api as api
from ik_llama_cpp._internals import make_batch_range

CONTEXT = 2048
BATCH = 512

_forget = api._lib.llama_kv_cache_seq_rm
_forget.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int]


def chat_prompt(messages):
    """ChatML, the form that SmolLM2-Instruct was tuned on."""
    turns = (f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
    return "".join(turns) + "<|im_start|>assistant\n"


def plain_prompt(messages):
    """For a base model, which knows no chat: questions and answers as plain text."""
    parts = []
    for m in messages:
        if m["role"] == "user":
            parts.append(f"Message: {m['content']}\nAnswer:")
        elif m["role"] == "assistant":
            parts.append(f" {m['content']}\n\n")
        else:
            parts.append(f"{m['content']}\n\n")
    return "".join(parts)


@dataclass
class Answer:
    tokens: list = field(default_factory=list)  # [text, logprob, [[other text, logprob], ...]]
    finish_reason: str = "length"
    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def text(self):
        return "".join(token[0] for token in self.tokens)


class LocalModel:
    def __init__(self, path, threads=1, is_base=False):
        self.llama = IkLlama(path, n_ctx=CONTEXT, n_threads=threads, verbose=False)
        self.model = self.llama._model
        self.is_base = is_base
        self.evaluated = []

    def tokenize(self, messages):
        prompt = (plain_prompt if self.is_base else chat_prompt)(messages)
        return self.model.tokenize(prompt, add_bos=self.is_base, special=True)

    def count(self, text):
        return len(self.model.tokenize(text, add_bos=False))

    def answer(self, messages, max_tokens=32, others=2):
        """One greedy answer; it ends at the end of the turn or at the first closing brace."""
        tokens = self.tokenize(messages)
        answer = Answer(prompt_tokens=len(tokens))
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while answer.completion_tokens < max_tokens:
            logprobs = self.next_logprobs(tokens)
            best = np.argpartition(-logprobs, others)[: others + 1]
            best = best[np.argsort(-logprobs[best])]
            chosen = int(best[0])
            if api.llama_token_is_eog(self.model.model, chosen):
                answer.finish_reason = "stop"
                break
            answer.completion_tokens += 1
            # A character split over two tokens belongs to the token that completes it.
            text = decoder.decode(self._bytes(chosen))
            if self.is_base and "\n" in text:
                answer.finish_reason = "stop"
                break
            rest = [[self._bytes(int(i)).decode("utf-8", "replace"), float(logprobs[i])] for i in best[1:]]
            answer.tokens.append([text, float(logprobs[chosen]), rest])
            if "}" in text:
                answer.finish_reason = "stop"
                break
            tokens.append(chosen)
        if tail := decoder.decode(b"", final=True):
            answer.tokens[-1][0] += tail
        return answer

    def _bytes(self, token):
        buffer = ctypes.create_string_buffer(256)
        size = api.llama_token_to_piece(self.model.model, token, buffer, len(buffer), 0, True)
        return buffer.raw[: max(size, 0)]

    def forget(self):
        self.evaluated = []

    def next_logprobs(self, tokens, batch=BATCH):
        """Log-probabilities of all tokens that may follow `tokens`."""
        if len(tokens) > CONTEXT:
            raise ValueError(f"a prompt of {len(tokens)} tokens; the context holds {CONTEXT}")
        same = 0
        while same < min(len(self.evaluated), len(tokens) - 1) and self.evaluated[same] == tokens[same]:
            same += 1
        _forget(self.llama.ctx, 0, same, -1)
        for start in range(same, len(tokens), batch):
            part = tokens[start : start + batch]
            chunk = make_batch_range(part, pos_start=start, logits_last=start + batch >= len(tokens))
            failed = self.llama._context.decode(chunk)
            api.llama_batch_free(chunk)
            if failed:
                raise RuntimeError(f"llama_decode failed with code {failed}")
        self.evaluated = list(tokens)
        logits = np.ctypeslib.as_array(api.llama_get_logits_ith(self.llama.ctx, -1), (self.model.n_vocab,))
        logits = logits.astype(np.float64)
        logits -= logits.max()
        return logits - math.log(np.exp(logits).sum())
