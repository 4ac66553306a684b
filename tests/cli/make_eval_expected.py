#!/usr/bin/env python3
"""Writes the numbers that `rwkv7 eval` must print, computed by the float64 oracle of tests/golden.

Writes into eval/ beside this file: text.txt, lambada.jsonl and choices.jsonl, drawn from the syllables vocabulary, and
expected.tsv with the numbers. The model is bf16_n64 of tests/golden/data; the other one, to compare with, is the same file with
zeros in place of its last 20000 bytes.
"""
import ast
import json
import os
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))
from rwkv7_reference import Rwkv7  # noqa: E402

MODEL = os.path.join(HERE, "..", "golden", "data", "bf16_n64.safetensors")
ZEROS = 20000


def vocabulary():
    with open(os.path.join(HERE, "syllables.vocab.txt"), encoding="utf-8") as f:
        lines = [line.rstrip("\n") for line in f]
    return {ast.literal_eval(x[x.index(" ") + 1:x.rindex(" ")]): int(x[:x.index(" ")]) for x in lines}


def encode(ids, text):
    out = []
    while text:
        n = next(n for n in range(min(6, len(text)), 0, -1) if text[:n] in ids)
        out.append(ids[text[:n]])
        text = text[n:]
    return out


def log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def perturbed():
    with open(MODEL, "rb") as f:
        blob = f.read()
    with tempfile.NamedTemporaryFile(suffix=".safetensors") as f:
        f.write(blob[:-ZEROS] + bytes(ZEROS))
        f.flush()
        return Rwkv7.load(f.name)


def words(rng, pieces, count):
    made = "".join(pieces[i] for i in rng.randint(0, len(pieces), count))
    return " ".join(made.split())


def main():
    rng, ids = np.random.RandomState(77), vocabulary()
    pieces = [piece for piece in ids if piece != "\n"]
    model, other = Rwkv7.load(MODEL), perturbed()
    expected = {}

    def continuation(context, target):
        """log p of each token of the target, and whether each is the most likely one."""
        source, wanted = [0] + encode(ids, context), encode(ids, target)
        logits, _ = model.run(source + wanted)
        rows = log_softmax(logits[len(source) - 1:-1])
        at = np.arange(len(wanted))
        return rows[at, wanted].sum(), bool((rows.argmax(axis=1) == wanted).all())

    text = "\n".join(words(rng, pieces, 30) for _ in range(45)) + "\n"
    tokens = [0] + encode(ids, text)
    targets, at = tokens[1:], np.arange(len(tokens) - 1)
    q, p = (log_softmax(m.run(tokens[:-1])[0]) for m in (model, other))
    divergence = (np.exp(p) * (p - q)).sum(axis=1)
    expected["text.tokens"], expected["text.bytes"] = len(targets), len(text)
    expected["text.loss"] = -q[at, targets].mean()
    expected["text.bits_per_byte"] = -q[at, targets].sum() / np.log(2) / len(text)
    expected["text.perplexity"] = np.exp(-q[at, targets].mean())
    expected["text.reference_perplexity"] = np.exp(-p[at, targets].mean())
    expected["text.kl_divergence_mean"] = divergence.mean()
    expected["text.kl_divergence_p99"] = np.sort(divergence)[int(np.ceil(0.99 * len(divergence))) - 1]
    expected["text.kl_divergence_max"] = divergence.max()
    expected["text.top_1_agreement"] = (p.argmax(axis=1) == q.argmax(axis=1)).mean()

    def likely_line():
        """Searches for a line whose last word, " " and one token, the model predicts."""
        while True:
            tokens = encode(ids, words(rng, pieces, 40))
            best = model.run([0] + tokens)[0].argmax(axis=1)
            for n in np.flatnonzero(best == ids[" "]):
                context = "".join(by_id[i] for i in tokens[:n])
                last = " " + by_id.get(int(model.run([0] + tokens[:n] + [ids[" "]])[0][-1].argmax()), " ")
                if n > 3 and not set(last[1:]) & set(" \n") and continuation(context, last)[1]:
                    return context + last

    by_id = {number: piece for piece, number in ids.items()}
    lines, loss, right, size = [], 0.0, 0, 0
    for number in range(30):
        line = words(rng, pieces, 12) if number % 3 else likely_line()
        log_p, greedy = continuation(line[:line.rindex(" ")], line[line.rindex(" "):])
        lines.append({"text": line})
        loss, right, size = loss - log_p, right + greedy, size + len(line) - line.rindex(" ")
    expected["lambada.bits_per_byte"] = loss / np.log(2) / size
    expected["lambada.perplexity"], expected["lambada.acc"] = np.exp(loss / len(lines)), right / len(lines)

    questions, plain, normalized, loss, size = [], 0, 0, 0.0, 0
    for _ in range(30):
        context = words(rng, pieces, 10)
        choices = [" " + words(rng, pieces, n) for n in rng.randint(2, 9, 4)]
        scores = np.array([continuation(context, choice)[0] for choice in choices])
        by_length = scores / [len(choice) - 1 for choice in choices]
        answer = int(rng.choice([scores.argmax(), by_length.argmax(), rng.randint(4)]))
        questions.append({"context": context, "choices": choices, "answer": answer})
        plain, normalized = plain + (scores.argmax() == answer), normalized + (by_length.argmax() == answer)
        loss, size = loss - scores[answer], size + len(choices[answer])
    expected["choices.acc"], expected["choices.acc_norm"] = plain / 30, normalized / 30
    expected["choices.bits_per_byte"] = loss / np.log(2) / size

    folder = os.path.join(HERE, "eval")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "text.txt"), "w", encoding="utf-8") as f:
        f.write(text)
    for name, examples in (("lambada", lines), ("choices", questions)):
        with open(os.path.join(folder, name + ".jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(x) + "\n" for x in examples)
    with open(os.path.join(folder, "expected.tsv"), "w", encoding="utf-8") as f:
        f.writelines("%s\t%.9g\n" % pair for pair in expected.items())
    return 0


if __name__ == "__main__":
    sys.exit(main())
