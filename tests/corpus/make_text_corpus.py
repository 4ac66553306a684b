#!/usr/bin/env python3
"""Writes tests/corpus/{stream,sampler,tokenizer,conversation,batch_line}: inputs for the fuzz
targets of these names, whose sources define the format.

After a change, run it and commit what it writes:

    python3 tests/corpus/make_text_corpus.py
"""

import shutil
import struct
from pathlib import Path

HERE = Path(__file__).parent


def folder(name, files):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for file, data in files.items():
        (path / file).write_bytes(data if isinstance(data, bytes) else data.encode())


def listed(words, shift, most):
    """The number of words, then each word after its length, as the target reads them."""
    return bytes([len(words)]) + b"".join(bytes([(len(w) - shift) % most]) + w for w in (w.encode() for w in words))


folder("stream", {
    "plain": listed([], 1, 8) + "plain text, ä, €, 😀".encode(),
    "stop": listed(["stop", "\n\nUser", "topper"], 1, 8) + b"to be stopped: stoto\n\n\nUse\n\nUser: no",
    "broken": listed(["\ufffd"], 1, 8) + b"\xc3(\xe2\x82\xf0\x9f\x98\xff\xc0\xaf\xed\xa0\x80 end \xe2\x82",
    "halves": listed(["é", "e\u0301"], 1, 8) + "caf\u00e9 e\u0301".encode()[:-1],
    "prefixes": listed(["aab", "aaab", "ab", "b"], 1, 8) + b"aaaaaaaaaac" + b"aaaab",
})


def fraction(x, most):
    return b"\0" + struct.pack("<H", round(65535 * x / most))


def options(temperature=1.0, top_p=1.0, min_p=0.0, presence=0.0, frequency=0.0, decay=1.0, top_k=0, seed=1, biases=()):
    data = fraction(temperature, 2) + fraction(top_p, 1) + fraction(min_p, 1) + fraction(presence, 2)
    data += fraction(frequency, 2) + fraction(decay, 1) + struct.pack("<BQB", top_k + 8, seed, len(biases))
    return data + b"".join(bytes([i]) + (b"" if i & 1 else fraction(b, 4)) for i, b in biases)


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


some = floats(*(0.25 * (i * 7 % 31) - 2 for i in range(70)))
folder("sampler", {
    "plain": options() + some,
    "greedy": options(temperature=0) + some,
    "narrow": options(top_p=0.5, min_p=0.05, top_k=9, seed=77) + some,
    "penalties": options(presence=0.5, frequency=1.5, decay=0.9) + some,
    "ban": options(biases=[(3, 0), (4, 2.5), (69, 0)]) + some,
    "ties": options(top_k=3) + floats(*[1.0] * 20),
    "nan": options() + floats(1, float("nan"), 2),
    "infinities": options() + floats(float("-inf"), 1, float("-inf")),
    "infinite": options() + floats(float("inf"), 1),
    "none": options() + floats(float("-inf"), float("-inf")),
    "huge": options(temperature=0.001) + floats(3e38, -3e38, 3e38),
    "one": options() + floats(0),
    "no_logits": options(),
    "odd_options": b"\1" + floats(float("nan")) + b"\1" + floats(-1),
})

folder("tokenizer", {
    "plain": listed(["th", "the", "he ", "the end"], 2, 8) + b"the end of the theory: then he ended the then",
    "bytes": listed([], 2, 8) + bytes(range(256)),
    "repeats": listed(["aa", "aaa", "aaaaa", "aaaaaaa"], 2, 8) + b"a" * 50 + b"b" + b"a" * 6,
    "characters": listed(["ä", "äö", "€", "€€", "😀"], 2, 8) + "äöä€€€😀😀ö".encode()[:-1],
    "tails": listed(["abcdefgh", "bc", "bcdefghi", "ghi"], 2, 8) + b"abcdefgabcdefghiabcdefg",
})

folder("conversation", {
    "empty": '{"tokens":[],"unread":"","turns":[]}',
    "turns": '{"tokens":[1,2,3,4,5],"unread":"","turns":[{"user":"a","begin":0,"unread":""},{"user":"bc","begin":3,"unread":"d"}]}',
    "unread": '{"tokens":[1,2],"unread":"abc","turns":[{"user":"a","begin":1,"unread":""}]}',
    "behind": '{"tokens":[1,2],"unread":"","turns":[{"user":"a","begin":3,"unread":""}]}',
    "backwards": '{"tokens":[1,2,3],"unread":"","turns":[{"user":"a","begin":2,"unread":""},{"user":"a","begin":1,"unread":""}]}',
    "ids": '{"tokens":[1,70,-1,1e99,0.5],"unread":"","turns":[]}',
    "types": '{"tokens":{"a":1},"unread":0,"turns":"none"}',
    "numbers": '{"tokens":[1],"unread":"","turns":[{"user":1,"begin":"0","unread":null}]}',
    "missing": '{"turns":[{}]}',
    "deep": "[" * 2000,
    "text": "no JSON",
})

folder("batch_line", {
    "plain": '{"prompt":"hello"}',
    "all": '{"id":17,"prompt":"a","tokens":5,"stop":["x","yz"],"ignore_eos":true,"bos":true,"temp":0.5,"top_p":0.9,"top_k":3,'
           '"min_p":0.1,"presence":1,"frequency":0.5,"penalty_decay":0.99,"seed":9007199254740991,"logprobs":3}',
    "id": '{"id":123456789012345678901234567890.5e-7,"prompt":"a"}',
    "twice": '{"prompt":"a","prompt":"b"}',
    "unknown": '{"prompt":"a","max_tokens":3}',
    "range": '{"prompt":"a","top_p":1.5}',
    "whole": '{"prompt":"a","top_k":1.5}',
    "stops": '{"prompt":"a","stop":["a",""]}',
    "one_stop": '{"prompt":"a","stop":"a"}',
    "seed": '{"prompt":"a","seed":1e300}',
    "escape": '{"prompt":"\\u00e4\\ud83d\\ude00\\u0000\\ud800"}',
    "nul": b'{"prompt":"a\0b"}',
    "bytes": b'{"prompt":"\xff\xfe"}',
    "behind": '{"prompt":"a"} x',
    "array": '["prompt"]',
    "deep": '{"prompt":' + "[" * 1500,
    "empty": "",
})
