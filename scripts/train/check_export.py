"""Compare an exported model's logits: PyTorch in float32 against the float64 oracle of tests/golden.

    python3 check_export.py MODEL.safetensors VOCAB.txt [--tokens 200]

Prints the largest difference over all positions and tokens; fails above 2e-3.
"""
import argparse
import os
import random
import sys

import numpy as np
import torch

import checkpoint
import mixture
import vocab
from wkv import CHUNK

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tests", "golden"))
from rwkv7_reference import Rwkv7 as Oracle  # noqa: E402

TOLERANCE = 2e-3


def difference(model_path, tokens):
    """(largest absolute difference, largest absolute logit) of torch and oracle over these tokens."""
    model = checkpoint.load(model_path)
    reset = torch.zeros(1, len(tokens) // CHUNK, dtype=torch.uint8)
    with torch.no_grad():
        ours = model(torch.tensor([tokens]), reset)[0].double().numpy()
    exact, _ = Oracle.load(model_path).run(tokens)
    return float(np.abs(ours - exact).max()), float(np.abs(exact).max())


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("vocab")
    p.add_argument("--tokens", type=int, default=200, help="per task; rounded down to a multiple of %d" % CHUNK)
    args = p.parse_args()
    tokenizer = vocab.Tokenizer(vocab.read(args.vocab))
    rng = random.Random("check export")
    worst = 0.0
    for name in ("recall", "cups", "parity", "story"):
        inputs = mixture.encode(tokenizer, mixture.draw(rng, name, 1.0))[0][:args.tokens]
        tokens = inputs[:len(inputs) // CHUNK * CHUNK].tolist()
        apart, size = difference(args.model, tokens)
        print("%-8s %4d tokens  largest difference %.2e  largest logit %.1f" % (name, len(tokens), apart, size))
        worst = max(worst, apart)
    return 0 if worst < TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
