#!/usr/bin/env python3
"""Compares the tokenizer with the library `tokenizers` (tested with 0.23.3), on random texts.

    differential.py PROGRAM TOKENIZER.json [TEXTS]

Exits with code 77 and a message if the library is not installed.
"""
import random
import subprocess
import sys

try:
    import tokenizers
except ImportError:
    print("skip: the Python package tokenizers is not installed")
    sys.exit(77)

PIECES = ["the", " a", "  ", " ", "\n", "\n\n", "\t", "'s", "'ll", "'", "don't", "1", "２", "½", "é", "e\u0301", "\u0323", "中文", "한국", "\u1100\u1161\u11a8", "न", "ि",
          "👍🏽", "<|endoftext|>", "<|padding|>", "<|", "\u00a0", "\u3000", "\u2028", "==", "!!", "\u0338", "{}", "\x00", "\u0378", "Zürich", "aaaa"]


def text(r):
    if r.random() < 0.3:
        return "".join(chr(r.choice([r.randrange(1, 0x80), r.randrange(0x80, 0x600), r.randrange(0x900, 0x3200), r.randrange(0xAC00, 0xD7A4),
                                     r.randrange(0x10000, 0x1FFFF)])) for _ in range(r.randrange(1, 80)))
    return "".join(r.choice(PIECES) for _ in range(r.randrange(1, 80)))


def main():
    program, path = sys.argv[1:3]
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    theirs = tokenizers.Tokenizer.from_file(path)
    r, bad = random.Random(1), 0
    for i in range(count):
        t = text(r)
        got = subprocess.run([program, "tokenize", "--vocab", path], input=t.encode(), capture_output=True, check=True).stdout
        if [int(x) for x in got.split()] != theirs.encode(t).ids:
            bad += 1
            print("differs:", ascii(t))
    print("%d texts, %d differ" % (count, bad))
    return 1 if bad else 0


sys.exit(main())
