#!/usr/bin/env python3
"""Regenerate the golden vectors of this folder:  make_vectors.py data

For every model below: <name>.safetensors (weights), <name>.expected.safetensors
(token ids, float64-oracle logits rounded to f32 at every position, the state
after the sequence and after its first 40 tokens, a greedy continuation) and an
entry in manifest.json. bf16_n64_st.safetensors holds the weights of bf16_n64 with the
low-rank factors transposed, as the converters that write .st files do.
"""
import os
import re
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import make_random_456  # noqa: E402
import make_random_model  # noqa: E402
from rwkv456_reference import Rwkv456  # noqa: E402
from rwkv7_reference import Rwkv7, read_safetensors, write_safetensors  # noqa: E402

# Name and generator arguments. Together they cover every type, both naming schemes and the older
# fused one, head sizes 16 to 128, irregular FFN sizes and ranks, a vocabulary of prime size, unused v
# tensors in layer 0, and x070a.
MODELS = [
    ("f32_n32", "--layers 2 --embd 96 --head-size 32 --vocab 61 --ffn 203 --rank-w 7 --rank-a 9 --rank-v 5 "
                "--rank-g 11 --dtype f32 --seed 801 --layer0-v"),
    ("bf16_n64", "--layers 3 --embd 128 --vocab 257 --ffn 200 --rank-w 16 --rank-a 24 --rank-v 8 --rank-g 40 "
                 "--dtype bf16 --seed 802"),
    ("f16_n128", "--layers 2 --embd 128 --head-size 128 --vocab 50 --ffn 320 --rank-w 12 --rank-a 20 --rank-v 8 "
                 "--rank-g 36 --dtype f16 --seed 803"),
    ("bf16_fla", "--layers 2 --embd 64 --vocab 96 --rank-w 8 --rank-a 8 --rank-v 8 --rank-g 16 --dtype bf16 "
                 "--seed 804 --names fla"),
    ("bf16_fla_fused", "--layers 2 --embd 64 --vocab 96 --rank-w 8 --rank-a 8 --rank-v 8 --rank-g 16 --dtype bf16 "
                       "--seed 805 --names fla-x_x"),
    ("f32_n16", "--layers 4 --embd 48 --head-size 16 --vocab 300 --ffn 100 --rank-w 8 --rank-a 8 --rank-v 8 "
                "--rank-g 8 --dtype f32 --seed 806"),
    ("f16_deep", "--layers 3 --embd 64 --vocab 37 --ffn 150 --rank-w 8 --rank-a 8 --rank-v 8 --rank-g 8 --deep-embed 9 "
                 "--dtype f16 --seed 807"),
]
# The same for older versions of RWKV.
OLDER = [
    ("x052_f32", "--version 5.2 --layers 2 --embd 64 --head-size 32 --ffn 150 --vocab 61 --dtype f32 --seed 821"),
    ("x060_bf16", "--version 6 --layers 2 --embd 64 --head-size 32 --ffn 150 --rank-mix 7 --rank-decay 9 --vocab 61 "
                  "--dtype bf16 --seed 822"),
    ("x060_f16_fla", "--version 6 --layers 2 --embd 48 --head-size 16 --ffn 100 --rank-mix 4 --rank-decay 8 --vocab 37 "
                     "--dtype f16 --seed 823 --names fla"),
    ("x051_bf16", "--version 5.1 --layers 2 --embd 48 --head-size 16 --ffn 100 --vocab 37 --dtype bf16 --seed 824"),
    ("x050_f32", "--version 5.0 --layers 2 --embd 48 --head-size 16 --ffn 100 --vocab 37 --dtype f32 --seed 825"),
    ("x040_f32", "--version 4 --layers 2 --embd 80 --ffn 150 --vocab 61 --dtype f32 --seed 826"),
]
# RWKV-7 with the extended rate, a = 2 sigmoid(...), which the metadata state.
SCALED = [
    ("f32_rate2", "--layers 2 --embd 48 --head-size 16 --vocab 61 --ffn 100 --rank-w 8 --rank-a 8 --rank-v 8 "
                  "--rank-g 8 --dtype f32 --seed 808"),
]
LENGTH, MIDDLE, GREEDY = 64, 40, 32


def write_transposed(source, target):
    tensors, kinds = read_safetensors(source)
    turned = {name: np.ascontiguousarray(t.T) if re.search(r"att\.[wavg][12]$", name) else t
              for name, t in tensors.items()}
    write_safetensors(target, turned, force=kinds)


def write_rate_scale(path, scale):
    tensors, kinds = read_safetensors(path)
    write_safetensors(path, tensors, metadata={"rwkv7.rate_scale": scale}, force=kinds)


def main(argv):
    outdir = argv[1]
    for number, (name, args) in enumerate(MODELS + OLDER + SCALED):
        path = os.path.join(outdir, name + ".safetensors")
        is_older = (name, args) in OLDER
        (make_random_456 if is_older else make_random_model).main([path] + args.split())
        model = (Rwkv456 if is_older else Rwkv7).load(path)
        if (name, args) in SCALED:
            model.rate_scale = 2.0
            write_rate_scale(path, 2)
        rng = np.random.RandomState(9000 + number)
        tokens = rng.randint(0, model.vocab, LENGTH)
        tokens[0], tokens[1], tokens[20:24] = 0, model.vocab - 1, tokens[20]   # edges and a repeat
        first, state = model.run(tokens[:MIDDLE])
        middle = state.tensors()
        second, state = model.run(tokens[MIDDLE:], state)
        logits = np.concatenate([first, second])
        out = {"tokens": tokens.astype(np.int32), "logits": logits.astype(np.float32)}
        out.update(state.tensors())
        if name == "f32_n32":
            out.update({k + ".after_%d" % MIDDLE: v for k, v in middle.items()})
        last, st, greedy, margin = logits[-1], state.copy(), [], np.inf
        for _ in range(GREEDY):
            order = np.sort(last)
            margin = min(margin, order[-1] - order[-2])
            greedy.append(int(np.argmax(last)))
            last = model.step(greedy[-1], st)
        out["greedy"] = np.array(greedy, np.int32)
        write_safetensors(os.path.join(outdir, name + ".expected.safetensors"), out)
        print("  smallest margin between the best two logits: %.4f" % margin)
    write_transposed(os.path.join(outdir, "bf16_n64.safetensors"), os.path.join(outdir, "bf16_n64_st.safetensors"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
