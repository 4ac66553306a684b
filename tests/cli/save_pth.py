#!/usr/bin/env python3
"""The tensors of a .safetensors file, written by the real torch.save in several ways. Needs PyTorch.

    save_pth.py MODEL.safetensors FOLDER
"""
import argparse
import collections
import json
import pathlib
import re
import struct
import sys

import torch

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def read(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    header.pop("__metadata__", None)
    tensors = collections.OrderedDict()
    for name, t in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = t["data_offsets"]
        tensors[name] = torch.frombuffer(bytearray(data[begin:end]), dtype=TYPES[t["dtype"]]).reshape(t["shape"])
    return tensors


def in_one_storage(tensors):
    storage = torch.cat([t.reshape(-1) for t in tensors.values()])
    at, views = 0, {}
    for name, t in tensors.items():
        views[name] = storage[at:at + t.numel()].view(t.shape)
        at += t.numel()
    return views


class Module(torch.nn.Module):
    """A module whose state dict has attributes (_metadata), as a trained model's has."""

    def __init__(self, tensors):
        super().__init__()
        self.emb = torch.nn.Embedding(*tensors["emb.weight"].shape)
        self.rest = tensors

    def state_dict(self):
        state = super().state_dict()
        state.update(self.rest)
        return state


def main(model, folder):
    tensors = read(model)

    def save(name, what, **options):
        torch.save(what, f"{folder}/{name}.pth", **options)

    save("ordered", tensors)
    save("plain", dict(tensors))
    save("module", Module(tensors).state_dict())
    save("parameters", {name: torch.nn.Parameter(t) for name, t in tensors.items()})
    save("one_storage", in_one_storage(tensors))
    save("reversed", dict(reversed(list(tensors.items()))))
    save("legacy", tensors, _use_new_zipfile_serialization=False)
    head, value = tensors["head.weight"], tensors["blocks.0.ffn.value.weight"]
    save("transposed", {**tensors, "head.weight": head.t().contiguous().t()})
    save("strided", {**tensors, "head.weight": torch.stack([head, head + 1], -1)[..., 0],
                     "blocks.0.ffn.value.weight": torch.cat([value, value], 1)[:, value.shape[1]:]})
    save("nested", {"model": tensors, "step": 7})
    save("number", {**tensors, "lr": 0.5, "note": "text", "losses": [1.0, 2.0], "shape": torch.Size([2, 3])})
    module = torch.nn.Linear(2, 2)
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.zeros(1, 2)).sum().backward()
    optimizer.step()
    save("training", {"model_state_dict": Module(tensors).state_dict(), "optimizer_state_dict": optimizer.state_dict(),
                      "rng": torch.get_rng_state(), "args": argparse.Namespace(lr=0.1), "dtype": torch.bfloat16,
                      "device": torch.device("cpu"), "when": collections.Counter("a"), "path": pathlib.PurePosixPath("a/b"),
                      "step": torch.tensor(5), "seen": {1, 2}, "big": 10**30})
    save("lightning", {"epoch": 1, "state_dict": tensors, "optimizer_states": [optimizer.state_dict()], "lr_schedulers": []})
    save("object", {**tensors, "when": re.compile("a")})
    save("whole", module)


main(*sys.argv[1:])
