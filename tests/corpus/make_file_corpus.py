#!/usr/bin/env python3
"""Writes tests/corpus/{state,tuned,lora,shards}: inputs for the fuzz targets of these
names, whose sources define the format.

After a change, run it and commit what it writes:

    python3 tests/corpus/make_file_corpus.py
"""

import json
import shutil
import struct
from pathlib import Path

HERE = Path(__file__).parent


def folder(name):
    path = HERE / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    return path


def safetensors(tensors, metadata=None):
    """{name: (dtype, shape, data)}"""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def floats(n):
    return struct.pack(f"<{n}f", *(0.5 * i for i in range(n)))


def checksum(data):
    low, high = 1, 0
    for (word,) in struct.iter_unpack("<I", data[:len(data) // 4 * 4]):
        low = (low + word) % 2**64
        high = (high + low) % 2**64
    return (high * 0x9E3779B97F4A7C15 % 2**64) ^ low


def state(note=b"", layers=1, version=3, stated=None):
    """A state file for a model of one layer, 4 channels and 2 heads."""
    data = struct.pack("<8s4IQ16sQ", b"RWKV7ST", version, layers, 4, 2, 17, b"", len(note) if stated is None else stated)
    data += floats(4 * (2 + 2)) + note + bytes(-len(note) % 8)
    return data + struct.pack("<Q", checksum(data))


states = folder("state")
for name, data in [("plain", state()), ("note", state(b"a note of 16 byte")), ("note_8", state(b"8 bytes.")), ("version", state(version=2)),
                   ("layers", state(layers=2)), ("note_huge", state(stated=2**64 - 1)), ("note_wraps", state(stated=2**64 - 128)),
                   ("note_short", state(b"12345678", stated=7)), ("note_long", state(b"12345678", stated=9))]:
    (states / name).write_bytes(data)

tuned = folder("tuned")
LAYERS = {f"blocks.{i}.att.time_state": ("F32", [2, 2, 2], floats(8)) for i in range(2)}
for name, data in [("plain", safetensors(LAYERS)), ("value_key", safetensors(LAYERS, {"time_state": "value-key"})),
                   ("key_value", safetensors(LAYERS, {"time_state": "key-value"})), ("order", safetensors(LAYERS, {"time_state": "x"})),
                   ("half", safetensors({name: ("F16", [2, 2, 2], bytes(16)) for name in LAYERS})),
                   ("integers", safetensors({name: ("I32", [2, 2, 2], bytes(32)) for name in LAYERS})),
                   ("one_layer", safetensors(dict(list(LAYERS.items())[:1]))),
                   ("beside_weights", safetensors({**LAYERS, "emb.weight": ("F32", [8, 4], bytes(128))})),
                   ("flat", safetensors({name: ("F32", [8], floats(8)) for name in LAYERS}))]:
    (tuned / name).write_bytes(data)

lora = folder("lora")
FACTORS = {"a.lora_A": ("F32", [1, 2], floats(2)), "a.lora_B": ("F32", [3, 1], floats(3)), "b.lora_A": ("F16", [2, 4], bytes(16)),
           "b.lora_B": ("BF16", [2, 2], bytes(8)), "c": ("F32", [2], floats(2))}
for name, data in [("plain", safetensors(FACTORS)), ("alpha", safetensors(FACTORS, {"lora_alpha": "32"})),
                   ("alpha_nan", safetensors(FACTORS, {"lora_alpha": "nan"})), ("none", safetensors({"c": FACTORS["c"]})),
                   ("half", safetensors({"a.lora_A": FACTORS["a.lora_A"]})),
                   ("rank", safetensors({"a.lora_A": ("F32", [0, 2], b""), "a.lora_B": ("F32", [3, 0], b"")})),
                   ("ranks", safetensors({"a.lora_A": ("F32", [2, 2], floats(4)), "a.lora_B": FACTORS["a.lora_B"]})),
                   ("strange", safetensors({**FACTORS, "d": ("F32", [1], floats(1))}))]:
    (lora / name).write_bytes(data)

shards = folder("shards")
A, B = safetensors({"x": ("F32", [2], floats(2))}), safetensors({"y": ("U8", [3], b"abc"), "z": ("F16", [], b"12")}, {"k": "v"})


def of_shards(a, b, index):
    index = index if isinstance(index, bytes) else json.dumps({"weight_map": index}).encode()
    return struct.pack("<H", len(a)) + a + struct.pack("<H", len(b)) + b + index


MAP = {"x": "a.safetensors", "y": "b.safetensors", "z": "b.safetensors"}
for name, data in [("plain", of_shards(A, B, MAP)), ("one", of_shards(A, b"", {"x": "a.safetensors"})), ("swapped", of_shards(B, A, MAP)),
                   ("missing", of_shards(A, B, {**MAP, "w": "c.safetensors"})), ("parent", of_shards(A, B, {**MAP, "w": "../a"})),
                   ("itself", of_shards(A, B, {"x": "model.safetensors.index.json"})), ("empty", of_shards(A, B, {})),
                   ("twice", of_shards(A, A, {"x": "a.safetensors", "x ": "b.safetensors"})),
                   ("pth", of_shards(A, (HERE / "pth" / "ok_one.pth").read_bytes(), {"x": "b.safetensors"}))]:
    (shards / name).write_bytes(data)
