#!/usr/bin/env python3
"""Writes a tuned state and the results of the float64 oracle for it:  make_states.py data

    f32_n16.state.safetensors      initial state for f32_n16, [value][key], stated in the metadata
    f32_n16.state_st.safetensors   the same as converters write it: float16, [key][value]
    f32_n16.state_expected.safetensors   token ids, logits at every position, final state

Its numbers are the same in float32, float16 and bfloat16.
"""
import os
import sys

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rwkv7_reference import Rwkv7, bf16_to_f32, f32_to_bf16, write_safetensors  # noqa: E402


def main(argv):
    base = os.path.join(argv[1], "f32_n16")
    model = Rwkv7.load(base + ".safetensors")
    rng = np.random.RandomState(9100)
    state = model.new_state()
    state.wkv[:] = bf16_to_f32(f32_to_bf16(rng.standard_normal(state.wkv.shape)))
    assert (state.wkv == state.wkv.astype(np.float16)).all()
    names = ["blocks.%d.att.time_state" % i for i in range(model.layers)]
    write_safetensors(base + ".state.safetensors", {n: w.astype(np.float32) for n, w in zip(names, state.wkv)},
                      {"time_state": "value-key"})
    write_safetensors(base + ".state_st.safetensors",
                      {n: w.transpose(0, 2, 1).astype(np.float16) for n, w in zip(names, state.wkv)})
    tokens = rng.randint(0, model.vocab, 12)
    logits, state = model.run(tokens, state)
    write_safetensors(base + ".state_expected.safetensors",
                      {"tokens": tokens.astype(np.int32), "logits": logits.astype(np.float32), **state.tensors()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
