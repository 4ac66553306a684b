#!/usr/bin/env python3
"""Writes tests/corpus/gguf: small GGUF files, most of them invalid, and cases.tsv with the
expected results.

A line of cases.tsv is FILE<TAB>EXPECTED: "ok", or a part of the message that refuses the file. ok_blocks.gguf holds, for every
type of quantized blocks, a tensor NAME of random bits and a tensor NAME.floats with the expected
float32 numbers. These are computed here from the definition of the type, in float64, where no
operation rounds. Needs NumPy. After a change, run it and commit what it writes:

    python3 tests/corpus/make_gguf_corpus.py
"""

import shutil
import struct
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "gguf"
cases = []


def case(name, contents, expected):
    (FOLDER / name).write_bytes(contents)
    cases.append(f"{name}\t{expected}\n")


# ------------------------------------------------------------------------------------------------------------ files

U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
NUMBERS = {U8: "<B", I8: "<b", U16: "<H", I16: "<h", U32: "<I", I32: "<i", F32: "<f", BOOL: "<?", U64: "<Q", I64: "<q",
           F64: "<d"}
# By name: number in the file, numbers in a block, bytes of a block.
TYPES = {"F32": (0, 1, 4), "F16": (1, 1, 2), "Q4_0": (2, 32, 18), "Q4_1": (3, 32, 20), "Q5_0": (6, 32, 22), "Q5_1": (7, 32, 24),
         "Q8_0": (8, 32, 34), "IQ4_NL": (20, 32, 18), "Q2_K": (10, 256, 84), "Q3_K": (11, 256, 110), "IQ4_XS": (23, 256, 136), "Q4_K": (12, 256, 144), "Q5_K": (13, 256, 176), "Q6_K": (14, 256, 210), "I8": (24, 1, 1),
         "I16": (25, 1, 2), "I32": (26, 1, 4), "I64": (27, 1, 8), "F64": (28, 1, 8), "BF16": (30, 1, 2)}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, content):
    return string(content) if kind == STRING else struct.pack(NUMBERS[kind], content)


def pair(key, kind, content):
    return string(key) + struct.pack("<I", kind) + value(kind, content)


def array(key, kind, items, count=None):
    count = len(items) if count is None else count
    return string(key) + struct.pack("<IIQ", ARRAY, kind, count) + b"".join(value(kind, item) for item in items)


def tensor(name="x", shape=(4,), kind="F32", offset=0):
    """`shape` outermost first; `kind` a name or a number."""
    number = TYPES[kind][0] if isinstance(kind, str) else kind
    return string(name) + struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *reversed(shape)) + \
        struct.pack("<IQ", number, offset)


def gguf(tensors=(), pairs=(), data=b"", alignment=32, version=3, counts=None):
    counts = counts or (len(tensors), len(pairs))
    head = b"GGUF" + struct.pack("<IQQ", version, *counts) + b"".join(pairs) + b"".join(tensors)
    return head + bytes(-len(head) % alignment) + data if data else head


def several(tensors, pairs=(), alignment=32):
    """A file of (name, shape, type, bytes)."""
    described, data = [], b""
    for name, shape, kind, contents in tensors:
        described.append(tensor(name, shape, kind, len(data)))
        data += contents + bytes(-len(contents) % alignment)
    return gguf(described, pairs, data, alignment)


DATA = struct.pack("<4f", 1, 2, 3, 4)
PADDED = DATA + bytes(16)

# ----------------------------------------------------------------------------------------------------------- blocks


def half(blocks, at):
    return np.ascontiguousarray(blocks[:, at:at + 2]).view("<f2").astype(np.float64)    # [blocks][1]


def nibbles(q):
    """[...][n] bytes -> [...][2 n] numbers: all low halves, then all high halves."""
    return np.concatenate([q & 15, q >> 4], -1).astype(np.float64)


def fifth_bits(b):
    return np.unpackbits(b, axis=1, bitorder="little").astype(np.float64) * 16           # 4 bytes -> 32 numbers


def scales_and_offsets(p):
    """12 bytes -> eight 6-bit scales and eight 6-bit offsets."""
    low, high, tops = p[:, 0:4], p[:, 4:8], p[:, 8:12]
    s = np.concatenate([low & 63, (tops & 15) | (low >> 6) << 4], 1)
    t = np.concatenate([high & 63, tops >> 4 | (high >> 6) << 4], 1)
    return s.astype(np.float64), t.astype(np.float64)


def in_groups(b, q):
    """q [blocks][8][32] of Q4_K and Q5_K."""
    s, t = scales_and_offsets(b[:, 4:16])
    return (half(b, 0)[:, :, None] * s[:, :, None] * q - half(b, 2)[:, :, None] * t[:, :, None]).reshape(-1, 256)


def pairs_of_groups(q):
    """128 bytes -> [blocks][8][32]: halves of bytes 0 to 31 are groups 0 and 1, and so on."""
    return nibbles(q.reshape(-1, 4, 32)).reshape(-1, 8, 32)


def q5_k(b):
    high = np.unpackbits(b[:, 16:48, None], axis=2, bitorder="little")                  # [blocks][32][8]
    return in_groups(b, pairs_of_groups(b[:, 48:176]) + 16.0 * high.transpose(0, 2, 1))


def q6_k(b):
    low = nibbles(b[:, :128].reshape(-1, 2, 64)).reshape(-1, 2, 4, 32)                  # half of the block, quarter, number
    tops = b[:, 128:192].reshape(-1, 2, 1, 32) >> np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1) & 3
    s = b[:, 192:208].view(np.int8).astype(np.float64).reshape(-1, 16, 1)
    return ((low + 16.0 * tops - 32).reshape(-1, 16, 16) * s).reshape(-1, 256) * half(b, 208)


CURVE = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float64)


def in_sixteens(s, q):
    """q times the scales s [blocks][16] of 16 numbers each."""
    return (q.reshape(-1, 16, 16) * s[:, :, None]).reshape(-1, 256)


def pairs_of_bits(q):
    """64 bytes -> [blocks][256]: 32 bytes hold 128 2-bit numbers, the first 32 in the low bits."""
    shifts = np.array([0, 2, 4, 6], np.uint8).reshape(1, 1, 4, 1)
    return (q.reshape(-1, 2, 1, 32) >> shifts & 3).reshape(-1, 256).astype(np.float64)


def q2_k(b):
    s, t = (b[:, :16] & 15).astype(np.float64), (b[:, :16] >> 4).astype(np.float64)
    return half(b, 80) * in_sixteens(s, pairs_of_bits(b[:, 16:80])) - half(b, 82) * np.repeat(t, 16, 1)


def q3_k(b):
    high = np.unpackbits(b[:, :32, None], axis=2, bitorder="little").transpose(0, 2, 1).reshape(-1, 256)    # 8 groups of 32
    low, tops = b[:, 96:104], b[:, 104:108]
    s = np.concatenate([low & 15, low >> 4], 1) | np.concatenate([tops >> 2 * j & 3 for j in range(4)], 1) << 4
    return half(b, 108) * in_sixteens(s.astype(np.float64) - 32, pairs_of_bits(b[:, 32:96]) + 4.0 * high - 4)


def iq4_xs(b):
    tops = b[:, 2:4].copy().view("<u2").astype(np.int64)
    low = np.stack([b[:, 4:8] & 15, b[:, 4:8] >> 4], 2).reshape(-1, 8)
    s = low + 16.0 * (tops >> 2 * np.arange(8) & 3) - 32
    q = CURVE[nibbles(b[:, 8:].reshape(-1, 8, 16)).astype(np.int64)]
    return half(b, 0) * (q * s[:, :, None]).reshape(-1, 256)


DECODE = {
    "Q4_0": lambda b: half(b, 0) * (nibbles(b[:, 2:]) - 8),
    "Q4_1": lambda b: half(b, 0) * nibbles(b[:, 4:]) + half(b, 2),
    "Q5_0": lambda b: half(b, 0) * (nibbles(b[:, 6:]) + fifth_bits(b[:, 2:6]) - 16),
    "Q5_1": lambda b: half(b, 0) * (nibbles(b[:, 8:]) + fifth_bits(b[:, 4:8])) + half(b, 2),
    "Q8_0": lambda b: half(b, 0) * b[:, 2:].view(np.int8),
    "IQ4_NL": lambda b: half(b, 0) * CURVE[nibbles(b[:, 2:]).astype(np.int64)],
    "Q2_K": q2_k,
    "Q3_K": q3_k,
    "IQ4_XS": iq4_xs,
    "Q4_K": lambda b: in_groups(b, pairs_of_groups(b[:, 16:])),
    "Q5_K": q5_k,
    "Q6_K": q6_k,
}
HALVES = {"Q4_1": (0, 2), "Q5_1": (0, 2), "Q4_K": (0, 2), "Q5_K": (0, 2), "Q6_K": (208,), "Q2_K": (80, 82), "Q3_K": (108,)}    # else (0,)


def blocks():
    random = np.random.default_rng(7)
    tensors = []
    for kind, decode in DECODE.items():
        _, numbers, size = TYPES[kind]
        rows = 3
        b = random.integers(0, 256, (rows * 512 // numbers, size), np.uint8)
        for at in HALVES.get(kind, (0,)):
            h = random.integers(0, 0x7c00, len(b), np.uint16) | random.integers(0, 2, len(b), np.uint16) << 15
            h[:2] = 0x8000, 0x0001                                                      # -0 and the smallest
            b[:, at:at + 2] = h.astype("<u2").view(np.uint8).reshape(-1, 2)
        tensors.append((kind, (rows, 512), kind, b.tobytes()))
        tensors.append((kind + ".floats", (rows, 512), "F32", decode(b).astype("<f4").tobytes()))
    case("ok_blocks.gguf", several(tensors), "ok")


# -------------------------------------------------------------------------------------------------------- the cases

TOKENS = ["<s>", "\\x00", "'", '"', "\\'\"", "\\\\", "\\n", "a b", "[PAD8]"]
KINDS = [3, 1, 1, 1, 1, 1, 1, 4, 5]
WORLD = pair("tokenizer.ggml.model", STRING, "rwkv")


def accepted():
    def ok(name, contents):
        case(f"ok_{name}.gguf", contents, "ok")

    ok("empty", gguf())
    ok("one", gguf([tensor()], data=PADDED))
    ok("no_padding_behind", gguf([tensor()], data=DATA))
    ok("scalar", gguf([tensor("x", ())], data=DATA))
    ok("four_axes", gguf([tensor("x", (6, 1, 1, 4))], data=bytes(96)))
    ok("zero_size", several([("x", (0, 4), "F32", b""), ("y", (32, 0), "Q4_0", b""), ("z", (4,), "F32", DATA)]))
    ok("zero_size_only", gguf([tensor("x", (0, 4))]))
    ok("utf8_name", several([("вес.重み.😀", (4,), "F32", DATA), ("", (4,), "F32", DATA)]))
    ok("alignment", several([("x", (1,), "I8", b"a"), ("y", (1,), "I8", b"b")],
                            [pair("general.alignment", U32, 256)], 256))
    ok("alignment_1", several([("x", (1,), "I8", b"a"), ("y", (1,), "F32", DATA[:4])], [pair("general.alignment", U32, 1)], 1))
    ok("every_type", several([(kind, (2, block), kind, bytes(2 * size)) for kind, (_, block, size) in TYPES.items()]))
    numbers = [(U8, 255), (I8, -128), (U16, 65535), (I16, -32768), (U32, 2**32 - 1), (I32, -2**31), (F32, 1e-5), (BOOL, True),
               (STRING, "é"), (U64, 2**64 - 1), (I64, -2**63), (F64, 1e-5)]
    ok("metadata", gguf(pairs=[pair(f"key {kind}", kind, content) for kind, content in numbers] +
                        [array(f"array {kind}", kind, [content, content]) for kind, content in numbers] +
                        [array("empty", STRING, []), pair("", STRING, "")]))
    ok("tokens", gguf(pairs=[WORLD, array("tokenizer.ggml.tokens", STRING, TOKENS), array("tokenizer.ggml.token_type", I32, KINDS)]))
    ok("tokens_of_quotes", gguf(pairs=[WORLD, array("tokenizer.ggml.tokens", STRING, ["'" * n for n in range(200, 232)])]))  # each is escaped
    ok("tokens_without_types", gguf(pairs=[array("tokenizer.ggml.tokens", STRING, ["<s>", "a"]), WORLD]))
    ok("tokens_of_others", gguf(pairs=[pair("tokenizer.ggml.model", STRING, "gpt2"), array("tokenizer.ggml.tokens", U8, [1])]))
    ok("not_split", gguf(pairs=[pair("split.count", U16, 1)]))


def model():
    """A complete model: 257 tokens, two layers of two heads, every matrix in a different type."""
    random = np.random.default_rng(8)
    channels, wide, rank, tokens = 32, 64, 8, 257
    tensors = []

    def add(name, shape, kind="F32", low=-0.2, high=0.2):
        numbers = random.uniform(low, high, shape).astype(np.float32)
        if kind == "F32":
            data = numbers.astype("<f4").tobytes()
        elif kind == "F16":
            data = numbers.astype("<f2").tobytes()
        elif kind == "BF16":
            data = (numbers.view(np.uint32) + 0x8000 >> 16).astype("<u2").tobytes()
        elif kind == "Q8_0":
            b = numbers.reshape(-1, 32)
            d = (np.abs(b).max(1, keepdims=True) / 127).astype("<f2")
            q = np.rint(b / d.astype(np.float32)).clip(-127, 127).astype(np.int8)
            data = np.concatenate([d.view(np.uint8), q.view(np.uint8)], 1).tobytes()
        else:
            b = numbers.reshape(-1, 32)
            d = (np.abs(b).max(1, keepdims=True) / 7).astype("<f2")
            q = (np.rint(b / d.astype(np.float32)).clip(-8, 7) + 8).astype(np.uint8)
            data = np.concatenate([d.view(np.uint8), q[:, :16] | q[:, 16:] << 4], 1).tobytes()
        tensors.append((name, shape, kind, data))

    add("token_embd.weight", (tokens, channels), "Q8_0")
    add("output.weight", (tokens, channels), "Q4_0")
    for name in ("token_embd_norm", "output_norm"):
        add(name + ".weight", (channels,), low=0.8, high=1.2)
        add(name + ".bias", (channels,))
    for layer in range(2):
        at = f"blk.{layer}."
        for name in ("attn_norm", "attn_norm_2", "time_mix_ln"):
            add(at + name + ".weight", (channels,), low=0.8, high=1.2)
            add(at + name + ".bias", (channels,))
        for name in ("w0", "a0", "v0", "k_k", "k_a", "r_k"):
            add(f"{at}time_mix_{name}.weight", (channels,), low=-1, high=1)
        for letter in "wavg":
            add(f"{at}time_mix_{letter}1.weight", (rank, channels), "F16")
            add(f"{at}time_mix_{letter}2.weight", (channels, rank), "F16")
        add(at + "time_mix_lerp_fused.weight", (6, 1, 1, channels), low=0, high=1)
        for name, kind in (("receptance", "Q4_0"), ("key", "Q8_0"), ("value", "BF16"), ("output", "F16")):
            add(f"{at}time_mix_{name}.weight", (channels, channels), kind)
        add(at + "channel_mix_lerp_k.weight", (1, 1, channels), low=0, high=1)
        add(at + "channel_mix_key.weight", (wide, channels), "Q4_0")
        add(at + "channel_mix_value.weight", (channels, wide), "Q8_0")
    bytes_as_text = [repr(bytes([n]))[2:-1] for n in range(256)]
    pairs = [pair("general.architecture", STRING, "rwkv7"), pair("general.name", STRING, "a model of nothing"),
             pair("rwkv7.block_count", U32, 2), pair("rwkv7.embedding_length", U32, channels),
             pair("rwkv7.wkv.head_size", U32, 16), pair("rwkv7.attention.layer_norm_epsilon", F32, 1e-5), WORLD,
             array("tokenizer.ggml.tokens", STRING, ["<s>"] + bytes_as_text),
             array("tokenizer.ggml.token_type", I32, [3] + [1] * 256)]
    case("ok_model.gguf", several(tensors, pairs), "ok")


def heads_rejected():
    def bad(name, contents, expected):
        case(f"head_{name}.gguf", contents, expected)

    good = gguf([tensor()], [pair("key", STRING, "text")], PADDED)
    counts = "truncated GGUF file: the counts continue past the end of the file"
    bad("magic_only", b"GGUF", counts + " (4 bytes)")
    bad("cut_counts", good[:23], counts + " (23 bytes)")
    bad("version_1", gguf(version=1), "expected a GGUF file of version 3, found version 1")
    bad("version_2", gguf(version=2), "expected a GGUF file of version 3, found version 2")
    bad("version_4", gguf(version=4), "expected a GGUF file of version 3, found version 4")
    bad("big_endian", b"GGUF\0\0\0\3" + bytes(16), "expected a little-endian GGUF file, found a big-endian one")
    bad("tensors", gguf([tensor()], counts=(3, 0)), "truncated GGUF file: 3 tensors and 0 metadata entries need more than 57 bytes")
    bad("tensors_huge", gguf(counts=(2**64 - 1, 0)), "truncated GGUF file: 18446744073709551615 tensors and 0 metadata entries need more than 24 bytes")
    bad("pairs_huge", gguf(counts=(0, 2**64 - 1)), "truncated GGUF file: 0 tensors and 18446744073709551615 metadata entries need more than 24 bytes")
    bad("more_behind", good + b"\0", "expected 32 bytes of data, found 33")


def metadata_rejected():
    def bad(name, pairs, expected, **other):
        case(f"metadata_{name}.gguf", gguf(pairs=pairs, **other), expected)

    cut = "truncated GGUF file: the metadata continue past the end of the file ("
    bad("fewer", [pair("key", STRING, "a text of some length")], "truncated GGUF file: the metadata continue past the end of the file (68 bytes)", counts=(0, 2))
    bad("key_huge", [struct.pack("<Q", 2**64 - 1) + bytes(20)], cut)
    bad("string_huge", [string("key") + struct.pack("<IQ", STRING, 2**63)], cut)
    bad("type", [string("key") + struct.pack("<I", 13) + bytes(8)], "metadata 'key': unknown type 13")
    bad("array_type", [string("key") + struct.pack("<IIQ", ARRAY, 13, 0)], "metadata 'key': expected an array of numbers or strings, found one of an unknown type")
    bad("array_of_arrays", [string("key") + struct.pack("<IIQ", ARRAY, ARRAY, 0)], "metadata 'key': expected an array of numbers or strings, found one of arrays")
    bad("array_long", [array("key", U16, [1, 2], 3)], "metadata 'key' is an array of 3, more than")
    bad("array_huge", [array("key", U64, [], 2**61)], "metadata 'key' is an array of 2305843009213693952, more than")
    bad("array_strings", [array("key", STRING, ["a", "b"], 3)], "metadata 'key' is an array of 3, more than")
    bad("array_string_cut", [array("key", STRING, ["a"])[:-1]], cut)
    bad("key_latin1", [pair(b"\xe9", U8, 1)], "metadata key '?': expected UTF-8 text without NUL")
    bad("key_nul", [pair("a\0b", U8, 1)], "metadata key 'a?b': expected UTF-8 text without NUL")
    bad("text_latin1", [pair("key", STRING, b"\xe9t\xe9")], "metadata '?t?': expected UTF-8 text without NUL")
    bad("text_nul", [pair("key", STRING, "a\0b")], "metadata 'a?b': expected UTF-8 text without NUL")
    bad("twice", [pair("key", U8, 1), pair("other", U8, 1), pair("key", U32, 1)], "metadata 'key': duplicate key")
    bad("split", [pair("split.count", U16, 2)], "one of the 2 parts of a split GGUF file; join them with")
    bad("alignment_0", [pair("general.alignment", U32, 0)], "general.alignment: expected a power of two, found 0")
    bad("alignment_48", [pair("general.alignment", U32, 48)], "general.alignment: expected a power of two, found 48")
    bad("tokens_numbers", [WORLD, array("tokenizer.ggml.tokens", I32, [1])], "expected strings in tokenizer.ggml.tokens and i32 in tokenizer.ggml.token_type")
    bad("token_types_kind", [WORLD, array("tokenizer.ggml.tokens", STRING, ["a"]), array("tokenizer.ggml.token_type", U8, [1])],
        "expected strings in tokenizer.ggml.tokens and i32 in tokenizer.ggml.token_type")
    bad("token_types_few", [WORLD, array("tokenizer.ggml.tokens", STRING, ["a", "b"]), array("tokenizer.ggml.token_type", I32, [1])],
        "2 entries in tokenizer.ggml.tokens, but 1 in tokenizer.ggml.token_type")


def tensors_rejected():
    def bad(name, described, expected, data=PADDED, pairs=()):
        case(f"tensor_{name}.gguf", gguf(described, pairs, data), expected)

    bad("fewer", [tensor()[:-1]], "truncated GGUF file: the tensor descriptions continue past the end of the file (56 bytes)", b"")
    bad("name_latin1", [tensor(b"\xe9")], "tensor '?': expected UTF-8 text without NUL")
    bad("name_nul", [tensor("a\0")], "tensor 'a?': expected UTF-8 text without NUL")
    bad("name_huge", [struct.pack("<Q", 2**32) + bytes(30)], "truncated GGUF file: the tensor descriptions continue past the end of the file (96 bytes)")
    bad("five_axes", [tensor("x", (1,) * 5)], "tensor 'x': expected at most 4 axes, found 5")
    bad("axes_huge", [string("x") + struct.pack("<I", 2**32 - 1) + bytes(40)], "expected at most 4 axes, found 4294967295")
    bad("type_43", [tensor("x", (4,), 43)], "tensor 'x': unknown type 43")
    bad("type_given_up", [tensor("x", (4,), 4)], "tensor 'x': unknown type 4")
    bad("type_iq2", [tensor("x", (256,), 22)], "tensor 'x': type IQ2_S is not supported (architecture 'llama')",
        pairs=[pair("general.architecture", STRING, "llama")])
    bad("type_q8_k", [tensor("x", (256,), 15)], "tensor 'x': type Q8_K is not supported")
    bad("rows_of_33", [tensor("x", (32, 33), "Q4_0")], "tensor 'x': shape [32,33] of Q4_0: expected rows that are a multiple of 32 elements")
    bad("rows_of_32", [tensor("x", (8, 32), "Q4_K")], "tensor 'x': shape [8,32] of Q4_K: expected rows that are a multiple of 256 elements")
    bad("scalar_of_blocks", [tensor("x", (), "Q8_0")], "tensor 'x': shape [] of Q8_0: expected rows that are a multiple of 32 elements")
    bad("shape_overflow", [tensor("x", (2**33, 2**33))], "shape [8589934592,8589934592] of F32 is too large")
    bad("bytes_overflow", [tensor("x", (2**31, 2**31))], "shape [2147483648,2147483648] of F32 is too large")
    bad("offset_first", [tensor(offset=32)], "tensor 'x': expected data at offset 0, found 32", PADDED * 2)
    bad("offset_same", [tensor(), tensor("y")], "tensor 'y': expected data at offset 32, found 0", PADDED * 2)
    bad("offset_unaligned", [tensor(), tensor("y", offset=16)], "tensor 'y': expected data at offset 32, found 16", PADDED * 2)
    bad("offset_huge", [tensor(offset=2**64 - 32)], "tensor 'x': expected data at offset 0, found 18446744073709551584")
    bad("cut", [tensor("x", (9,))], "tensor 'x': truncated GGUF file: needs 36 bytes at offset 0 of 32 bytes of data")
    bad("cut_second", [tensor(), tensor("y", offset=32)], "tensor 'y': truncated GGUF file: needs 16 bytes at offset 32 of 32 bytes of data")
    bad("no_data", [tensor()], "tensor 'x': truncated GGUF file: needs 16 bytes at offset 0 of 0 bytes of data", b"")
    bad("twice", [tensor(), tensor("y", offset=32), tensor(offset=64)], "tensor 'x': duplicate name", PADDED * 3)


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir()
for group in (accepted, blocks, model, heads_rejected, metadata_rejected, tensors_rejected):
    group()
(FOLDER / "cases.tsv").write_text("".join(sorted(cases)))
