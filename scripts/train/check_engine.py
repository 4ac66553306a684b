"""Compare the program with PyTorch on an exported model, and measure perplexity, both through the program's logits.

    python3 check_engine.py MODEL.safetensors VOCAB.txt [--rwkv7 ../../build/rwkv7] [--stories 100]

Held-out documents of every task are tokenized and evaluated by both in float32. Prints the largest
difference over all positions and tokens, and the perplexity of the stories without their questions.
Fails if tokens differ, or logits by more than 2e-3.
"""
import argparse
import io
import math
import random
import subprocess
import sys

import numpy as np
import torch

import checkpoint
import mixture
import stories
import vocab
from wkv import CHUNK

TOLERANCE = 2e-3
EVENTS = 12


def program(args, command, options, text=b""):
    """What `rwkv7 COMMAND OPTIONS` prints, given this standard input."""
    return subprocess.run([args.rwkv7, command] + options, input=text, stdout=subprocess.PIPE, check=True).stdout


def program_logits(args, tokens):
    ids = ",".join(map(str, tokens))
    return np.load(io.BytesIO(program(args, "logits", ["--model", args.model, "--tokens", ids, "--output", "-"])))


def torch_logits(model, tokens):
    padded = tokens + [0] * (-len(tokens) % CHUNK)
    reset = torch.zeros(1, len(padded) // CHUNK, dtype=torch.uint8)
    reset[0, 0] = 1
    with torch.no_grad():
        return model(torch.tensor([padded]), reset)[0, :len(tokens)].numpy()


def encode(args, tokenizer, text):
    """Token 0 and the tokens of the text; None if the two tokenizers disagree."""
    theirs = program(args, "tokenize", ["--vocab", args.vocab], text.encode()).split()
    ours = tokenizer.encode(text)
    return [0] + ours if ours == [int(token) for token in theirs] else None


def surprise(logits, tokens):
    """Sum of -ln p over tokens[1:] and the end of text after them."""
    logits = logits.astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    chosen = logits[np.arange(len(tokens)), tokens[1:] + [0]]
    return float((np.log(np.exp(logits).sum(-1)) - chosen).sum())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("vocab")
    p.add_argument("--rwkv7", default="../../build/rwkv7")
    p.add_argument("--stories", type=int, default=100)
    args = p.parse_args()
    model, tokenizer = checkpoint.load(args.model), vocab.Tokenizer(vocab.read(args.vocab))
    worst = 0.0
    for name in mixture.parse(mixture.DEFAULT):
        tokens = encode(args, tokenizer, mixture.draw(random.Random("check engine/" + name), name, 1.0).text())
        if not tokens:
            print("%-8s the program's tokens are others" % name)
            return 1
        theirs, ours = program_logits(args, tokens), torch_logits(model, tokens)
        apart = float(np.abs(theirs - ours).max())
        print("%-8s %4d tokens  largest difference %.2e  largest logit %.1f" % (name, len(tokens), apart, np.abs(ours).max()))
        worst = max(worst, apart)

    rng, total, tokens_seen, bytes_seen = random.Random("held out/perplexity"), 0.0, 0, 0
    for _ in range(args.stories):
        text = stories.story(rng, EVENTS, questions=0).text()
        tokens = [0] + tokenizer.encode(text)
        total += surprise(program_logits(args, tokens), tokens)
        tokens_seen, bytes_seen = tokens_seen + len(tokens), bytes_seen + len(text)
    print("%d stories of %d events: %d tokens, perplexity %.3f per token, %.3f bits per byte"
          % (args.stories, EVENTS, tokens_seen, math.exp(total / tokens_seen), total / math.log(2) / bytes_seen))
    return 0 if worst < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
