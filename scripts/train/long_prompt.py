"""Pipe a prompt of a million tokens into `rwkv7 run` and measure its speed and memory.

    python3 long_prompt.py [--tokens 1000000] [--rwkv7 ../../build/rwkv7] [OPTION...]

OPTIONs are those of `rwkv7 run`. The prompt consists of stories. Prints a line for every tenth:
tokens so far, tokens per second in that tenth, resident memory of the program (from /proc, on Linux
only); then the summary of the program. Tokens are counted when they are written. The program lags
by what the pipe and its buffer hold, a constant amount that is written before the clock starts.
"""
import argparse
import random
import subprocess
import time

import stories
import vocab

TENTHS = 10
BUFFERS = 50000                 # tokens, more than pipe and program hold


def resident(process):
    """Kilobytes of resident memory."""
    with open("/proc/%d/status" % process.pid) as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))


def text_of(rng, tokenizer, tokens):
    """Stories of together about this many tokens."""
    parts, count = [], 0
    while count < tokens:
        part = stories.story(rng, 16).text() + "\n"
        parts.append(part)
        count += len(tokenizer.encode(part))
    return "".join(parts).encode(), count


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tokens", type=int, default=1000000)
    p.add_argument("--rwkv7", default="../../build/rwkv7")
    p.add_argument("--vocab", default="../../models/rwkv7-demo.vocab.txt")
    args, options = p.parse_known_args()
    rng, tokenizer = random.Random("long prompt"), vocab.Tokenizer(vocab.read(args.vocab))
    first, _ = text_of(rng, tokenizer, BUFFERS)
    texts = [text_of(rng, tokenizer, args.tokens // TENTHS) for _ in range(TENTHS)]
    process = subprocess.Popen([args.rwkv7, "run", "--temp", "0", "-n", "8"] + options, stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL)
    process.stdin.write(first)
    read = 0
    for text, count in texts:
        begin = time.time()
        process.stdin.write(text)
        process.stdin.flush()
        read += count
        print("%8d tokens  %6.0f tok/s  %d KB" % (read, count / (time.time() - begin), resident(process)), flush=True)
    process.stdin.close()
    return process.wait()


if __name__ == "__main__":
    raise SystemExit(main())
