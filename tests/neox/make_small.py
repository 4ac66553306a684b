#!/usr/bin/env python3
"""Writes small.json, a tokenizer like GPT-NeoX's with 400 merges learned from TEXT, and cases.jsonl
with the ids of the reference.

    make_small.py TEXT    (any text; the committed files were made from an early README.md)
"""
import collections
import json
import os
import random
import sys

from neox_tokenizer import NeoX, byte_letters, split

HERE = os.path.dirname(os.path.abspath(__file__))


def train(text, count):
    letter = byte_letters()
    vocab = {"<|endoftext|>": 0, "<|padding|>": 1}
    vocab |= {letter[b]: i + 2 for i, b in enumerate(b for b in range(256) if b not in (0xC0, 0xC1) and b < 0xF5)}
    words = collections.Counter(tuple(letter[b] for b in w.encode()) for w in split(text))
    merges = []
    while len(merges) < count:
        pairs = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        best = max(pairs, key=lambda p: (pairs[p], p))
        merges.append(best)
        vocab["".join(best)] = len(vocab)
        merged = collections.Counter()
        for word, n in words.items():
            out = []
            for c in word:
                if out and (out[-1], c) == best:
                    out[-1] += c
                else:
                    out.append(c)
            merged[tuple(out)] += n
        words = merged
    return vocab, merges


def write_tokenizer(text):
    # Accents and Chinese give merges that end inside characters; the letters give long tokens.
    vocab, merges = train(text + " aaaaaaaaaaaaaaaa" * 9 + " éèéèêé" * 9 + " 中文中文字" * 9 + " 'll 're \n\n\n\n" * 9, 400)
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    added = [{"id": i, "content": s, "special": True, "normalized": False, **flags}
             for i, s in enumerate(["<|endoftext|>", "<|padding|>"])]
    added += [{"id": len(vocab) + i, "content": " " * n, "special": False, "normalized": True, **flags}
              for i, n in enumerate(range(24, 1, -1))]
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": {"type": "NFC"},
                 "pre_tokenizer": level, "post_processor": level, "decoder": level,
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                           "end_of_word_suffix": None, "fuse_unk": False, "vocab": vocab,
                           "merges": [" ".join(m) for m in merges]}}
    with open(os.path.join(HERE, "small.json"), "w") as f:
        json.dump(tokenizer, f, indent=0)
        f.write("\n")


FIXED = [
    "", "a", "Hello world", "don't we'll they're I've I'm he'd 'tis ''s !!!'s 'LL", " a  b   c\n\n\nd \n \n  e\t \tf ", "\n\n", "x\n\n", "x \n  ",
    " " * 25 + "x", "a" + " " * 24 + "b", " " * 49, "x" + " " * 1000, "e\u0301 e\u0301e\u0323\u0301 \u0301x", "\u212b\u2126\u1100\u1161\u11a8 \u0958",
    "<|endoftext|>", "a<|endoftext|> b<|padding|><|endoftext|", "<|padding|>  <|endo", "<\u0338 <", "x\u00a0\u3000 y\u2028", "中文字符。中文，字！", "１２ ½ ⅷ 12a3",
    "a" * 500, "aé" * 300, "'" * 300 + "s", "." * 700 + "'ll", "\n" * 333 + "x", "👍🏽 👨‍👩‍👧 é", "\0\x01\x7f\x85\u200b\ufeff", "\U000e0100\U0010ffff\u0378 \ue000",
    "नमस्ते हिन्दी", "o\u0308" * 200, "z" + "\u0300\u0323" * 40 + "z",
]


def random_text(r):
    parts = ["a", "the ", " ", "  ", "   ", "\n", "\t", "'", "'s", "'ll", "'r", "!", "1", "é", "e", "\u0301", "\u0323", "中", "文", "\u1100", "\u1161",
             "\u11a8", "👍", "<", "|", "<|endoftext|>", "<|padding|>", "<|endof", "\u00a0", "\u3000", "B", "aaaa", "ing", "\u0338", "=", "न", "ि"]
    return "".join(r.choice(parts) for _ in range(r.randrange(1, 60)))


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        text = f.read()
    write_tokenizer(text)
    tokenizer = NeoX(os.path.join(HERE, "small.json"))
    r = random.Random(15)
    with open(os.path.join(HERE, "cases.jsonl"), "w") as f:
        for i, t in enumerate(FIXED + [text[:3000]] + [random_text(r) for _ in range(200)]):
            ids = tokenizer.encode(t)
            f.write(json.dumps({"name": "%d" % i, "utf8_hex": t.encode().hex(), "ids": ids, "decoded_hex": tokenizer.decode(ids).hex()}) + "\n")


main()
