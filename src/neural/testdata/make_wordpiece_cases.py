#!/usr/bin/env python3
"""Writes texts and the word pieces that Hugging Face's `tokenizers` cuts them into, one JSON object a line.

    make_wordpiece_cases.py cases OUT.jsonl VOCAB [ROWS [TEXTS...]]   many texts, for the comparison test (tests/neural/run.sh)
    make_wordpiece_cases.py golden VOCAB                              the files in this folder: wordpiece.jsonl and vocab.txt

Texts are made up here from words and characters of many scripts, seeded; TEXTS are JSON Lines files (.gz and .zst too) whose strings are used.
"""

import gzip
import json
import pathlib
import random
import subprocess
import sys
import unicodedata

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

HERE = pathlib.Path(__file__).parent

SENTENCES = """The quick brown fox jumps over the lazy dog.
I can't find my card; it's been 3 days... what's going on?!
Über naïve Façades crème brûlée Ångström São Paulo İstanbul Iğdır
Где моя карта? Её всё ещё нет.
Πού είναι η κάρτα μου; Ὀδυσσεύς
我的卡在哪里？ 私のカードはどこですか。カタカナ ｶﾀｶﾅ 내 카드는 어디에 있나요?
أين بطاقتي؟ مَرْحَبًا بِكُم
היכן הכרטיס שלי? שָׁלוֹם
मेरा कार्ड कहाँ है? நன்றி ขอบคุณครับ ස්තුතියි ကျေးဇူး សូមអរគុណ
e-mail: a.b+c@example.org, https://example.org/path?q=1&r=2#top
$12.50 + €3,000 = £? 50% © ® ™ § ¶ ° ± × ÷ ½ ² ³
naive cafe\u0301 A\u030a e\u0323\u0302 ﬁne ﬂow ﬃ Ⅷ ① Ａｂｃ
don\u2019t \u201cquote\u201d \u2014 dash \u2013 ellipsis\u2026 \u00abguillemets\u00bb
zero\u200bwidth soft\u00adhyphen nbsp\u00a0here tab\there line\nbreak\r\nend\u2028sep\u3000wide
emoji \U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea flags \u2764\ufe0f
[CLS] and [SEP] and [MASK] are ordinary here [UNK] [PAD]
snake_case camelCase kebab-case x=y+z; f(x) { return x**2; } // done
Ελληνικό ερωτηματικό\u037e ano teleia\u0387 ΣΊΣΥΦΟΣ
\u0130I\u0131i \u1e9e\u00df \u01c5\u01c4\u01c6 \u03f4\u2126\u212a
Tiếng Việt: Thẻ của tôi ở đâu? Đặng
Zażółć gęślą jaźń Příliš žluťoučký kůň
1234567890 0x1F 1e-9 3.14159 12:30 2024-01-31 +49 (0)30 123456""".split("\n")
MOST_FOUND = 30000  # of the texts in files: more take minutes
WORDS = "card payment transfer account cancel please where refund top-up PIN money lost stolen app exchange rate Apple Pay \
unbelievable internationalization antidisestablishmentarianism xyzzy qwerty hello world tokenization embeddings".split()
RANGES = [(0x20, 0x7f), (0xa0, 0x250), (0x250, 0x370), (0x370, 0x400), (0x400, 0x530), (0x530, 0x600), (0x600, 0x700), (0x900, 0xe00), (0xe00, 0x1100),
          (0x1100, 0x1400), (0x1e00, 0x2000), (0x2000, 0x2c00), (0x3000, 0x3400), (0x3400, 0x3500), (0x4e00, 0x9fff), (0xac00, 0xd7a4), (0xf900, 0xfb00),
          (0xfb00, 0x10000), (0x10000, 0x10400), (0x1d100, 0x1d800), (0x1f000, 0x1fb00), (0x20000, 0x20100), (0x2b740, 0x2b930), (0x2f800, 0x2fa20)]


def reference(vocabulary, lowercase=True, strip_accents=None):
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(clean_text=True, handle_chinese_chars=True, strip_accents=strip_accents, lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def characters(rng):
    low, high = rng.choice(RANGES)
    return "".join(c for c in (chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 12)))
                   if not 0xd800 <= ord(c) < 0xe000 and unicodedata.category(c) != "Cn")


def made_up(rng):
    parts = []
    for _ in range(rng.randrange(1, 12)):
        kind = rng.random()
        if kind < 0.35:
            parts.append(rng.choice(WORDS))
        elif kind < 0.6:
            words = rng.choice(SENTENCES).split(" ")
            parts.append(" ".join(words[:rng.randrange(1, len(words) + 1)]))
        elif kind < 0.95:
            parts.append(characters(rng))
        else:
            parts.append(rng.choice(["a", "ab", "\u00e9", "\u4e2d", "!", "\u0410"]) * rng.choice([2, 99, 100, 101, 150]))
    text = rng.choice(["", " ", " ", "-"]).join(parts)
    return text.upper() if rng.random() < 0.1 else text


def strings_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from strings_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings_of(inner)


def texts_of(path):
    data = pathlib.Path(path).read_bytes()
    if path.endswith(".gz"):
        data = gzip.decompress(data)
    elif path.endswith(".zst"):
        data = subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, check=True).stdout
    for line in data.decode("utf-8").splitlines():
        yield from strings_of(json.loads(line))


def cases(texts, vocabulary):
    plain, cased, accented = reference(vocabulary), reference(vocabulary, False), reference(vocabulary, True, False)
    for text in texts:
        yield {"text": text, "ids": plain.encode(text, add_special_tokens=False).ids, "cased": cased.encode(text, add_special_tokens=False).ids,
               "accents": accented.encode(text, add_special_tokens=False).ids}


def read_vocabulary(path):
    return {line: number for number, line in enumerate(pathlib.Path(path).read_text(encoding="utf-8").split("\n")) if line}


def reduced(vocabulary, texts):
    """The pieces that can play a part in these texts: those that occur in them, in any form, and the special ones."""
    forms = set()
    for text in texts:
        for form in (text, text.lower(), "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")):
            forms.update(form.split())
    joined = "\n".join(sorted(forms))
    keep = [p for p in vocabulary if p in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") or p.removeprefix("##") in joined]
    return {piece: number for number, piece in enumerate(keep)}


def write(path, rows):
    with open(path, "w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=True) + "\n")


def main():
    arguments = sys.argv[1:]
    rng = random.Random(20)
    if arguments[0] == "golden":
        texts = ["", " ", "\x00\x01", "a" * 100, "a" * 101, "\u00e9" * 100, "\u00e9" * 101] + SENTENCES + [made_up(rng) for _ in range(200)]
        vocabulary = reduced(read_vocabulary(arguments[1]), texts)
        (HERE / "vocab.txt").write_text("".join(piece + "\n" for piece in vocabulary), encoding="utf-8")
        write(HERE / "wordpiece.jsonl", cases(texts, vocabulary))
        return
    rows = int(arguments[3]) if len(arguments) > 3 else 12000
    texts = SENTENCES + [made_up(rng) for _ in range(rows)]
    found = list(dict.fromkeys(text for path in arguments[4:] for text in texts_of(path)))
    texts += found if len(found) <= MOST_FOUND else rng.sample(found, MOST_FOUND)
    write(arguments[1], cases(texts, read_vocabulary(arguments[2])))


main()
