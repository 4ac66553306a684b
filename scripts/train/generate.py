"""Continue a prompt with an exported model, in PyTorch: a quick look, not the engine.

    python3 generate.py MODEL.safetensors VOCAB.txt "Story:" [--temperature 0.7] [--tokens 200] [--seed 1]
"""
import argparse

import torch

import checkpoint
import vocab
from wkv import CHUNK


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("vocab")
    p.add_argument("prompt")
    p.add_argument("--temperature", type=float, default=0.0)
    p.add_argument("--tokens", type=int, default=200)
    p.add_argument("--seed", type=int, default=1)
    args = p.parse_args()
    torch.manual_seed(args.seed)
    model = checkpoint.load(args.model)
    tokenizer = vocab.Tokenizer(vocab.read(args.vocab))
    tokens = [0] + tokenizer.encode(args.prompt)
    start = len(tokens)
    with torch.no_grad():
        while len(tokens) - start < args.tokens:
            padded = tokens + [0] * (-len(tokens) % CHUNK)
            reset = torch.zeros(1, len(padded) // CHUNK, dtype=torch.uint8)
            logits = model(torch.tensor([padded]), reset)[0, len(tokens) - 1]
            if args.temperature > 0:
                token = int(torch.multinomial(torch.softmax(logits / args.temperature, -1), 1))
            else:
                token = int(logits.argmax())
            if token == 0:
                break
            tokens.append(token)
    print(args.prompt + tokenizer.decode(tokens[start:]).decode("utf-8", "replace"))


if __name__ == "__main__":
    main()
