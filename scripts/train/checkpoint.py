"""Safetensors with BlinkDL's tensor names: export a training checkpoint, and load one back into the PyTorch model.

    python3 checkpoint.py TRAINING_FOLDER/checkpoint.pt OUT.safetensors

Matrices (projections, low-rank factors, embedding, head) are BF16, everything else F32.
"""
import json
import struct
import sys

import numpy as np
import torch

from model import Rwkv7


def write(path, tensors, metadata):
    """tensors: name -> torch tensor, bfloat16 or float32."""
    header, chunks, at = {"__metadata__": metadata}, [], 0
    for name, tensor in tensors.items():
        kind = {torch.bfloat16: "BF16", torch.float32: "F32"}[tensor.dtype]
        flat = tensor.contiguous().view(torch.int16) if kind == "BF16" else tensor.contiguous()
        raw = flat.numpy().tobytes()
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [at, at + len(raw)]}
        chunks.append(raw)
        at += len(raw)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text + b"".join(chunks))


def read(path):
    """name -> float32 torch tensor, and the metadata."""
    with open(path, "rb") as f:
        blob = f.read()
    (length,) = struct.unpack_from("<Q", blob)
    header = json.loads(blob[8:8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        if entry["dtype"] == "BF16":
            values = (np.frombuffer(blob[start:stop], "<u2").astype(np.uint32) << 16).view(np.float32)
        else:
            values = np.frombuffer(blob[start:stop], "<f4").copy()
        tensors[name] = torch.from_numpy(values.reshape(entry["shape"]))
    return tensors, metadata


def is_matrix(name, tensor):
    """Whether a tensor is stored as BF16."""
    return tensor.dim() == 2 and not name.endswith("r_k")


def export(source, target):
    """Convert a training checkpoint; returns the number of parameters."""
    saved = torch.load(source, map_location="cpu")
    tensors = {name: value.float().bfloat16() if is_matrix(name, value) else value.float()
               for name, value in saved["model"].items()}
    write(target, tensors, {"architecture": "rwkv7 x070", "steps": str(saved["step"]), "tokens_seen": str(saved["tokens"])})
    return sum(t.numel() for t in tensors.values())


def load(path):
    """The PyTorch model of an exported file, with the rounded weights."""
    tensors, _ = read(path)
    att = "blocks.0.att."
    size = {"rows": tensors["emb.weight"].shape[0], "channels": tensors["emb.weight"].shape[1],
            "layers": 1 + max(int(n.split(".")[1]) for n in tensors if n.startswith("blocks.")),
            "head_size": tensors[att + "r_k"].shape[1], "ffn": tensors["blocks.0.ffn.key.weight"].shape[0],
            "rank_w": tensors[att + "w1"].shape[1], "rank_a": tensors[att + "a1"].shape[1],
            "rank_v": tensors["blocks.1.att.v1"].shape[1], "rank_g": tensors[att + "g1"].shape[1]}
    model = Rwkv7(size)
    model.load_state_dict(tensors)
    return model


if __name__ == "__main__":
    print("%d parameters" % export(*sys.argv[1:3]))
