#!/usr/bin/env python3
"""Writes tests/corpus/safetensors: small checkpoints, most of them invalid, and cases.tsv with the
expected results.

A line of cases.tsv is FILE<TAB>EXPECTED: "ok", or a part of the message that refuses the file. A FILE may be a folder.
After a change, run it and commit what it writes:

    python3 tests/corpus/make_safetensors_corpus.py
"""

import gzip
import json
import shutil
import struct
from pathlib import Path

FOLDER = Path(__file__).parent / "safetensors"
cases = []


def case(name, contents, expected):
    """One file, or a folder where contents is a dictionary {file name: bytes}."""
    path = FOLDER / name
    if isinstance(contents, dict):
        path.mkdir()
        for file, data in contents.items():
            (path / file).write_bytes(data)
    else:
        path.write_bytes(contents)
    cases.append(f"{name}\t{expected}\n")


def image(header, data=b""):
    """A safetensors image of a header given as bytes, text or object."""
    if not isinstance(header, (bytes, str)):
        header = json.dumps(header, separators=(",", ":"))
    if isinstance(header, str):
        header = header.encode()
    return struct.pack("<Q", len(header)) + header + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def entry_text(dtype='"U8"', shape="[4]", offsets="[0,4]", name='"x"'):
    """The text of a header with one tensor, each part of it as written."""
    return f'{{{name}:{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}'


FOUR = bytes(range(4))
GOOD = image({"x": entry("U8", [4], 0, 4)}, FOUR)


def accepted():
    case("ok_one.safetensors", GOOD, "ok")
    case("ok_none.safetensors", image({}), "ok")
    case("ok_scalar.safetensors", image({"x": entry("F32", [], 0, 4)}, FOUR), "ok")
    case("ok_zero_size.safetensors",
         image({"a": entry("F32", [2, 0], 0, 0), "b": entry("U8", [4], 0, 4), "c": entry("F32", [0], 4, 4),
                "d": entry("F32", [0, 3], 4, 4)}, FOUR), "ok")
    case("ok_any_order.safetensors",
         image({"z": entry("U8", [1], 2, 3), "a": entry("U8", [1], 3, 4), "m": entry("U8", [2], 0, 2)}, FOUR), "ok")
    case("ok_odd_address.safetensors",
         image({"byte": entry("U8", [1], 0, 1), "float": entry("F32", [1], 1, 5)}, b"\0" + FOUR), "ok")
    case("ok_metadata.safetensors",
         image({"__metadata__": {"format": "pt", "": "", "name": "line\nbreak"}, "x": entry("U8", [4], 0, 4)}, FOUR), "ok")
    case("ok_metadata_empty.safetensors", image({"__metadata__": {}, "x": entry("U8", [4], 0, 4)}, FOUR), "ok")
    case("ok_spaces_after.safetensors", image(entry_text() + "     ", FOUR), "ok")
    case("ok_spaces_inside.safetensors", image(entry_text().replace(",", " ,\n\t").replace(":", "\r: "), FOUR), "ok")
    case("ok_fields_any_order.safetensors",
         image('{"x":{"data_offsets":[0,4],"shape":[4],"dtype":"U8"}}', FOUR), "ok")
    case("ok_escaped_name.safetensors", image(entry_text(name=r'"\u0061\/\"\\\n\ud83d\ude00"'), FOUR), "ok")
    case("ok_utf8_name.safetensors", image(entry_text(name='"вес.重み.😀"'), FOUR), "ok")
    case("ok_empty_name.safetensors", image(entry_text(name='""'), FOUR), "ok")
    case("ok_eight_axes.safetensors", image({"x": entry("U8", [1, 1, 1, 4, 1, 1, 1, 1], 0, 4)}, FOUR), "ok")
    case("ok_case_differs.safetensors", image({"x": entry("U8", [2], 0, 2), "X": entry("U8", [2], 2, 4)}, FOUR), "ok")
    types, at = {}, 0
    for name, bits in [("BOOL", 8), ("U8", 8), ("I8", 8), ("F8_E5M2", 8), ("F8_E4M3", 8), ("F8_E8M0", 8),
                       ("F8_E4M3FNUZ", 8), ("F8_E5M2FNUZ", 8), ("F6_E2M3", 6), ("F6_E3M2", 6), ("F4", 4), ("I16", 16),
                       ("U16", 16), ("F16", 16), ("BF16", 16), ("I32", 32), ("U32", 32), ("F32", 32), ("I64", 64),
                       ("U64", 64), ("F64", 64), ("C64", 64)]:
        types[name.lower()] = entry(name, [4], at, at + bits // 2)
        at += bits // 2
    case("ok_every_type.safetensors", image(types, bytes(at)), "ok")


def prefix_rejected():
    case("length_short.safetensors", b"\1\0\0", "expected safetensors, found a file of 3 bytes, too small for a header")
    case("length_alone.safetensors", struct.pack("<Q", 2), "expected safetensors, found a file of 8 bytes, too small for a header")
    case("length_zero.safetensors", bytes(8) + b"{}", "found a header of 0 bytes")
    case("length_huge.safetensors", b"\xff" * 8 + b"{}", "expected a safetensors header of at most 100000000 bytes, found a length of 18446744073709551615")
    case("length_over_limit.safetensors", struct.pack("<Q", 100_000_001) + b"{}", "expected a safetensors header of at most 100000000 bytes, found a length of 100000001")
    case("length_past_end.safetensors", struct.pack("<Q", 3) + b"{}", "truncated file: expected a header of 3 bytes, found 2")
    case("length_too_small.safetensors", struct.pack("<Q", 40) + GOOD[8:], "expected a header that ends with '}' and spaces, found '")


def json_rejected():
    def header(name, text, expected):
        case(f"header_{name}.safetensors", image(text, FOUR), expected)

    header("brace_only", "{", "expected a header that ends with '}' and spaces, found '{'")
    header("space_before", " " + entry_text(), "expected a header that starts with '{', found ' '")
    header("byte_order_mark", b"\xef\xbb\xbf" + entry_text().encode(), "expected a header that starts with '{', found '?'")
    header("array", "[" + entry_text() + "]", "expected a header that starts with '{', found '['")
    header("newline_after", entry_text() + "\n", "expected a header that ends with '}' and spaces, found '")
    header("nul_after", entry_text() + "\0", "expected a header that ends with '}' and spaces, found '")
    header("garbage_after", entry_text() + "x", "expected a header that ends with '}' and spaces, found 'x'")
    header("object_after", entry_text() + "{}", "byte 61 (near 'x'): expected the end of the text, found '{}'")
    header("brace_after", entry_text() + "}", "byte 61 (near 'x'): expected the end of the text, found '}'")
    header("comma_last", entry_text()[:-1] + ",}", "expected a key in quotes, found '}'")
    header("comma_missing", '{"a":{} "b":{}}', "(near 'a'): expected ',' or '}', found '\"b\":{}}'")
    header("colon_missing", '{"a"{}}', "byte 12 (near 'a'): expected ':', found '{}}'")
    header("value_missing", '{"a":}', "(near 'a'): expected a value, found '}'")
    header("not_closed", '{"a":{"shape":[}', "expected a value, found '}'")
    header("key_not_quoted", "{a:{}}", "byte 9: expected a key in quotes, found 'a:{}}'")
    header("single_quotes", "{'a':{}}", "expected a key in quotes")
    header("comment", '{/* */"a":{}}', "expected a key in quotes")
    header("word", '{"a":True}', "expected a value, found 'True}'")
    header("not_a_number", '{"a":NaN}', "expected a value, found 'NaN}'")
    header("word_cut", '{"a":nul}', "expected null, found 'nul}'")
    header("nested", '{"a":' + "[" * 100 + "]" * 100 + "}", "expected at most 32 levels of nesting")
    header("latin1", entry_text(name='"caf\xe9"').encode("latin-1"), "expected UTF-8, found")
    header("overlong", b'{"\xc0\xaf":{}}', "expected UTF-8, found")
    header("surrogate_bytes", b'{"\xed\xa0\x80":{}}', "expected UTF-8, found")
    header("above_unicode", b'{"\xf4\x90\x80\x80":{}}', "expected UTF-8, found")
    header("utf8_cut", b'{"x":"\xf0\x9f\x98"}', "expected UTF-8, found")
    header("control_character", '{"a\tb":{}}', "byte 11 (near 'a'): expected an escaped control character, found '?b\":{}}'")
    header("escape_unknown", r'{"a\x41":{}}', "byte 11 (near 'a'): expected a JSON escape sequence, found '\\x41\":{}}'")
    header("escape_not_hex", r'{"a\u00g0":{}}', "expected four hexadecimal digits, found 'g0")
    header("escape_low_surrogate", r'{"\udc00":{}}', "byte 10 (near ''): expected a surrogate pair, found '\\ud")
    header("escape_high_surrogate", r'{"\ud800x":{}}', "byte 10 (near ''): expected a surrogate pair, found '\\ud")
    header("escape_two_high", r'{"\ud800\ud800":{}}', "byte 10 (near ''): expected a surrogate pair, found '\\ud")
    header("name_with_nul", entry_text(name=r'"a\u0000b"'), "expected a string without NUL")
    header("names_with_nul", r'{"a\u0000b":{},"a\u0000c":{}}', "expected a string without NUL")

    def number(name, shape, found):
        header(f"number_{name}", entry_text(shape=shape), f"(near 'x'): expected a plain integer from 0 to 2^53, found '{found}")

    number("fraction", "[4.0]", "4.0]")
    number("exponent", "[4e0]", "4e0]")
    number("capital_exponent", "[4E0]", "4E0]")
    number("minus_zero", "[-0]", "-0]")
    number("negative", "[-4]", "-4]")
    number("leading_zero", "[04]", "04]")
    number("dot_only", "[4.]", "4.]")
    number("above_2_53", "[9007199254740993]", "900719925474...")
    number("very_long", "[" + "9" * 400 + "]", "999999999999...")
    number("2_63", "[9223372036854775808]", "922337203685...")
    header("number_plus", entry_text(shape="[+4]"), "expected a value, found '+4]")
    header("number_hex", entry_text(shape="[0x4]"), "expected ',' or ']', found 'x4]")

    header("name_twice", '{"x":' + json.dumps(entry("U8", [2], 0, 2)) + ',"x":' + json.dumps(entry("U8", [2], 2, 4)) + "}",
           "duplicate key 'x' in a JSON object")
    header("name_twice_escaped", r'{"x":{},"\u0078":{}}', "duplicate key 'x' in a JSON object")
    header("field_twice", '{"x":{"dtype":"U8","dtype":"U8","shape":[4],"data_offsets":[0,4]}}', "duplicate key 'dtype' in a JSON object")
    header("metadata_key_twice", '{"__metadata__":{"k":"1","k":"2"}}', "duplicate key 'k' in a JSON object")
    header("metadata_twice", '{"__metadata__":{},"__metadata__":{}}', "duplicate key '__metadata__' in a JSON object")
    header("metadata_number", '{"__metadata__":{"k":1}}', "__metadata__: 'k': expected a string, found a number")
    header("metadata_object", '{"__metadata__":{"k":{}}}', "__metadata__: 'k': expected a string, found an object")
    header("metadata_null", '{"__metadata__":null}', "__metadata__: expected an object, found null")
    header("metadata_array", '{"__metadata__":[]}', "__metadata__: expected an object, found an array")


def entries_rejected():
    def tensor(name, text, expected, data=FOUR):
        case(f"entry_{name}.safetensors", image(text, data), f"tensor 'x': {expected}")

    tensor("string", '{"x":"U8"}', "expected an object, found a string")
    tensor("null", '{"x":null}', "expected an object, found null")
    tensor("empty", '{"x":{}}', "expected dtype, shape and data_offsets; dtype is missing")
    tensor("no_dtype", '{"x":{"shape":[4],"data_offsets":[0,4]}}', "expected dtype, shape and data_offsets; dtype is missing")
    tensor("no_shape", '{"x":{"dtype":"U8","data_offsets":[0,4]}}', "expected dtype, shape and data_offsets; shape is missing")
    tensor("no_offsets", '{"x":{"dtype":"U8","shape":[4]}}', "expected dtype, shape and data_offsets; data_offsets is missing")
    tensor("field_case", '{"x":{"DTYPE":"U8","shape":[4],"data_offsets":[0,4]}}', "unknown field 'DTYPE'")
    tensor("field_unknown", '{"x":{"dtype":"U8","shape":[4],"strides":[1],"data_offsets":[0,4]}}', "unknown field 'strides'")
    tensor("dtype_number", entry_text(dtype="8"), "dtype: expected a string, found a number")
    tensor("dtype_unknown", entry_text(dtype='"Q4_K"'), "dtype: unknown type 'Q4_K'")
    tensor("dtype_case", entry_text(dtype='"u8"'), "dtype: unknown type 'u8'")
    tensor("dtype_empty", entry_text(dtype='""'), "dtype: unknown type ''")
    tensor("shape_number", entry_text(shape="4"), "shape: expected an array, found a number")
    tensor("shape_object", entry_text(shape="{}"), "shape: expected an array, found an object")
    tensor("shape_string", entry_text(shape='["4"]'), "shape: expected integers, found a string")
    tensor("shape_null", entry_text(shape="[null]"), "shape: expected integers, found null")
    tensor("shape_true", entry_text(shape="[true]"), "shape: expected integers, found true or false")
    tensor("shape_nested", entry_text(shape="[[4]]"), "shape: expected integers, found an array")
    tensor("shape_nine_axes", entry_text(shape="[4,1,1,1,1,1,1,1,1]"), "shape: expected at most 8 axes, found more")
    tensor("offsets_number", entry_text(offsets="4"), "data_offsets: expected an array, found a number")
    tensor("offsets_none", entry_text(offsets="[]"), "data_offsets: expected two integers")
    tensor("offsets_one", entry_text(offsets="[0]"), "data_offsets: expected two integers")
    tensor("offsets_three", entry_text(offsets="[0,4,4]"), "data_offsets: expected two integers")
    tensor("offsets_string", entry_text(offsets='[0,"4"]'), "data_offsets: expected two integers")
    tensor("offsets_backwards", entry_text(offsets="[4,0]"), "data_offsets [4, 0]: the end is before the beginning")
    tensor("size_too_small", entry_text(shape="[5]"), "data_offsets [0, 4] hold 4 bytes, but shape [5] of U8 needs 5")
    tensor("size_too_large", entry_text(shape="[1,3]"), "data_offsets [0, 4] hold 4 bytes, but shape [1,3] of U8 needs 3")
    tensor("size_of_type", entry_text(dtype='"F16"', shape="[4]"), "data_offsets [0, 4] hold 4 bytes, but shape [4] of F16 needs 8")
    tensor("overflow_product", entry_text(shape="[9007199254740992,9007199254740992]"),
           "shape [9007199254740992,9007199254740992] of U8 is too large")
    tensor("overflow_then_zero", entry_text(shape="[9007199254740992,2048,0]", offsets="[0,0]"),
           "shape [9007199254740992,2048,0] of U8 is too large")
    tensor("overflow_of_bits", entry_text(dtype='"F64"', shape="[9007199254740992,1024]"),
           "shape [9007199254740992,1024] of F64 is too large")
    tensor("sub_byte_f4", entry_text(dtype='"F4"', shape="[7]"), "shape [7] of F4 is not a multiple of 8 bits")
    tensor("sub_byte_f6", entry_text(dtype='"F6_E2M3"', shape="[3]"), "shape [3] of F6_E2M3 is not a multiple of 8 bits")


def layout_rejected():
    def layout(name, spans, size, expected):
        header = {name: entry("U8", [end - begin], begin, end) for name, (begin, end) in spans.items()}
        case(f"layout_{name}.safetensors", image(header, bytes(size)), expected)

    layout("hole_first", {"x": (1, 4)}, 4, "tensor 'x': data begins at 1, after 1 bytes that belong to no tensor")
    layout("hole_between", {"x": (0, 4), "y": (6, 8)}, 8, "tensor 'y': data begins at 6, after 2 bytes that belong to no tensor")
    layout("overlap", {"x": (0, 4), "y": (2, 6)}, 6, "tensor 'y': data begins at 2, inside tensor 'x', which ends at 4")
    layout("inside", {"x": (0, 8), "y": (2, 4)}, 8, "tensor 'y': data begins at 2, inside tensor 'x', which ends at 8")
    layout("alias", {f"t{i}": (0, 8) for i in range(10)}, 8, "tensor 't1': data begins at 0, inside tensor 't0', which ends at 8")
    layout("empty_inside", {"x": (0, 4), "y": (2, 2)}, 4, "tensor 'y': data begins at 2, inside tensor 'x', which ends at 4")
    layout("empty_after_end", {"x": (0, 4), "y": (6, 6)}, 4, "tensor 'y': data begins at 6, after 2 bytes that belong to no tensor")
    layout("cut", {"x": (0, 4), "y": (4, 12)}, 10, "truncated file: expected 12 bytes of data, found 10")
    layout("trailing", {"x": (0, 4)}, 9, "expected 4 bytes of data, found 9: the last 5 bytes belong to no tensor")
    layout("data_without_tensors", {}, 3, "expected 0 bytes of data, found 3: the last 3 bytes belong to no tensor")
    layout("far_away", {"x": (0, 4), "y": (2**53 - 4, 2**53)}, 8, "tensor 'y': data begins at 9007199254740988")
    case("layout_polyglot.safetensors", GOOD + b"PK\3\4" + bytes(26), "expected 4 bytes of data, found 34: the last 30 bytes belong to no tensor")


def messages():
    """Long names are truncated, and control characters are not shown."""
    case("name_long.safetensors", image(entry_text(name='"' + "n" * 5000 + '"', shape="[5]"), FOUR),
         f"tensor '{'n' * 64}...': data_offsets [0, 4] hold 4 bytes, but shape [5] of U8 needs 5")
    case("name_escape_sequence.safetensors", image(entry_text(name=r'"\u001b[31m\u009b1m\u202e!"', shape="[5]"), FOUR),
         "tensor '?[31m?1m?!': data_offsets")


def other_formats():
    def other(name, contents, expected):
        case(name, contents, f"expected a checkpoint, found {expected}")

    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0123456789abcdef" * 4 + b"\nsize 382110776\n"
    other("lfs_pointer.safetensors", pointer,
          "a Git LFS pointer to a file of 382110776 bytes; fetch it with `git lfs pull`")
    other("empty.safetensors", b"", "an empty file")
    other("html.safetensors", b"<!DOCTYPE html>\n<html><head><title>404</title></head></html>\n", "a web page")
    other("html_after_space.safetensors", b"\xef\xbb\xbf\r\n  <HTML><body>Sign in</body></HTML>", "a web page")
    other("xml.safetensors", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "a web page")
    other("text.safetensors", b"Entry not found", "plain text: 'Entry not found'")
    other("text_long.safetensors", b"Repository not found. " * 40, "plain text: 'Repository not found. Repository not found. Repo...'")
    other("archive_empty.zip", b"PK\5\6" + bytes(18), "an empty ZIP archive")
    other("legacy.pth", b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "a PyTorch checkpoint in the format used before 2020")
    other("pickle.pkl", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0}\x94.", "a bare Python pickle")
    other("rwkv_cpp.bin", b"fmgg" + struct.pack("<6i", 101, 300, 128, 2, 1, 0), "a ggml file of rwkv.cpp")
    other("ggml.bin", b"lmgg" + bytes(28), "a ggml file")
    other("model.safetensors.gz", gzip.compress(GOOD, mtime=0), "a gzip archive")
    other("model.safetensors.zst", b"\x28\xb5\x2f\xfd\x04\x58" + bytes(20), "a zstd archive")
    other("model.safetensors.xz", b"\xfd7zXZ\0\0\4" + bytes(20), "an xz archive")
    other("array.npy", b"\x93NUMPY\1\0" + bytes(20), "a NumPy array (.npy)")
    other("saved.state", b"RWKV7ST\0" + bytes(24), "a saved state, not a model")
    other("config.json", b'{\n  "architectures": ["RWKV7ForCausalLM"]\n}\n', "JSON text")
    other("vocab.txt", b"1 '\\x00' 1\n2 '\\x01' 1\n", "a vocabulary, not a model")
    other("zeros.safetensors", bytes(64), "zeros, probably an incomplete download")


def folders():
    part = {name: image({name: entry("U8", [4], 0, 4)}, FOUR) for name in "ab"}

    def index(**weight_map):
        return json.dumps({"metadata": {"total_size": 8.0e0}, "weight_map": weight_map}).encode()

    def sharded(name, index_text, expected, **more):
        case(f"shards_{name}", {"m.safetensors.index.json": index_text, "1.safetensors": part["a"],
                                "2.safetensors": part["b"], **more}, expected)

    case("folder_model", {"model.safetensors": GOOD, "other.safetensors": GOOD, "notes.txt": b"-"}, "ok")
    case("folder_st", {"rwkv.st": GOOD, "vocab.txt": b"-"}, "ok")
    case("folder_several", {"b.st": GOOD, "a.safetensors": GOOD, "notes.txt": b"-"},
         "found several checkpoints in this folder; give the path of one of them: a.safetensors, b.st")
    case("folder_none", {"model.bin": b"-", "config.json": b"-"},
         "another checkpoint (.safetensors, .st, pytorch_model.bin, .pth, .gguf) in this folder, found config.json, model.bin")
    case("folder_many", {f"{i:02}_{'long' * 6}.bin": b"-" for i in range(9)}, "longlonglonglonglonglong.bin, ...")

    sharded("good", index(a="1.safetensors", b="2.safetensors"), "ok")
    sharded("several_indexes", index(), "found several checkpoints in this folder; give the path of one of them: m.safetensors.index.json, "
            "n.safetensors.index.json", **{"n.safetensors.index.json": index()})
    sharded("missing_tensor", index(a="1.safetensors", b="2.safetensors", c="2.safetensors"),
            "tensor 'c': expected in '2.safetensors', not found")
    sharded("swapped", index(a="2.safetensors", b="1.safetensors"), "tensor 'a': found in '1.safetensors', but the weight_map says otherwise")
    sharded("unlisted_tensor", index(b="2.safetensors", c="3.safetensors"),
            "tensor 'a': found in '3.safetensors', but the weight_map says otherwise",
            **{"3.safetensors": image({"a": entry("U8", [4], 0, 4), "c": entry("U8", [0], 4, 4)}, FOUR)})
    sharded("tensor_in_two", index(a="1.safetensors", b="3.safetensors"),
            "tensor 'a': found in '3.safetensors', but the weight_map says otherwise",
            **{"3.safetensors": image({"a": entry("U8", [2], 0, 2), "b": entry("U8", [2], 2, 4)}, FOUR)})
    sharded("missing_file", index(a="1.safetensors", b="3.safetensors"), "No such file")
    sharded("broken_shard", index(a="1.safetensors", b="3.safetensors"), "truncated file: expected 4 bytes of data, found 3",
            **{"3.safetensors": part["b"][:-1]})
    sharded("pointer_shard", index(a="1.safetensors", b="3.safetensors"), "3.safetensors: expected a checkpoint, found a Git LFS",
            **{"3.safetensors": b"version https://git-lfs.github.com/spec/v1\nsize 5\n"})
    for name, file in [("parent", "../1.safetensors"), ("absolute", "/etc/passwd"), ("subfolder", "sub/1.safetensors"),
                       ("dots", ".."), ("dot", "."), ("no_name", ""), ("backslash", "..\\1.safetensors")]:
        sharded(name, index(a=file, b="2.safetensors"), f"tensor 'a': expected a file in the same folder, found '{file}'")
    sharded("file_is_number", index(a=1), "tensor 'a': expected a file name, found a number")
    sharded("empty_map", index(), "weight_map: expected at least one tensor, found none")
    sharded("no_map", b'{"Weight_Map":{}}', 'expected an object "weight_map", found none')
    sharded("map_is_array", b'{"weight_map":[]}', 'expected an object "weight_map", found an array')
    sharded("name_twice", b'{"weight_map":{"a":"1.safetensors","a":"2.safetensors"}}', "duplicate key 'a' in a JSON object")
    sharded("not_json", b'{"weight_map":{"a":"1.safetensors",}}', "byte 35 (near 'weight_map'): expected a key in quotes")
    sharded("number_wrong", b'{"metadata":{"total_size":1.},"weight_map":{}}', "expected a digit, found '}")
    sharded("number_long", b'{"metadata":' + b"1" * 64 + b',"weight_map":{}}', "expected a number of at most 63 characters")
    sharded("index_empty", b"", "found an empty file")
    sharded("index_is_pointer", b"version https://git-lfs.github.com/spec/v1\nsize 7\n", "found a Git LFS pointer to a file of 7 bytes")
    sharded("index_is_array", b"\0[]", "byte 0: expected '{', found '?[]'")


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir()
for group in (accepted, prefix_rejected, json_rejected, entries_rejected, layout_rejected, messages, other_formats, folders):
    group()
(FOLDER / "cases.tsv").write_text("".join(sorted(cases)))
