#!/usr/bin/env python3
"""Writes tests/corpus/pth: small PyTorch checkpoints, most of them invalid, and cases.tsv with the
expected results.

A line of cases.tsv is FILE<TAB>EXPECTED: "ok", or a part of the message that refuses the file.
torch is not needed: archives and pickles are built here byte by byte, ok_torch.pth exactly as
torch.save writes it. After a change, run it and commit what it writes:

    python3 tests/corpus/make_pth_corpus.py
"""

import shutil
import struct
import zlib
from pathlib import Path

FOLDER = Path(__file__).parent / "pth"
cases = []


def case(name, contents, expected):
    (FOLDER / name).write_bytes(contents)
    cases.append(f"{name}\t{expected}\n")


# --------------------------------------------------------------------------------------------------------- archives

class Entry:
    """An entry of a ZIP archive with the fields of its two headers, which may be wrong."""

    def __init__(self, name, data, **other):
        self.name, self.data = name if isinstance(name, bytes) else name.encode(), data
        self.flags, self.method, self.align = 0, 0, 1
        self.packed = self.size = len(data)         # in the central directory
        self.offset = None                          # of the header; None: where it is
        self.local = {}                             # fields of the local header that differ
        self.extra = self.local_extra = b""
        self.descriptor = b""                       # after the data
        self.__dict__.update(other)

    def header(self, at):
        name = self.local.get("name", self.name)
        extra = self.local_extra
        if self.align > 1:                          # torch pads with an extra field "FB"
            start = at + 30 + len(name) + len(extra) + 4
            pad = -start % self.align
            extra += b"FB" + struct.pack("<H", pad) + b"Z" * pad
        return self.local.get("signature", b"PK\3\4") + struct.pack(
            "<5H3I2H", 0, self.local.get("flags", self.flags), self.local.get("method", self.method), 0, 0,
            self.local.get("crc", zlib.crc32(self.data)), self.local.get("packed", self.packed),
            self.local.get("size", self.size), len(name), len(extra)) + name + extra

    def central(self):
        return b"PK\1\2" + struct.pack("<6H3I5H2I", 0, 0, self.flags, self.method, 0, 0, zlib.crc32(self.data),
                                       self.packed, self.size, len(self.name), len(self.extra), 0, 0, 0, 0,
                                       self.offset) + self.name + self.extra


def archive(entries, order=None, begin=b"", end64=None, end=None, comment=b""):
    """A ZIP of the entries; `order` of the central directory. `end` and `end64` are changes of the end records."""
    image, places = begin, []
    for e in entries:
        places.append(len(image))
        image += e.header(len(image)) + e.data + e.descriptor
        if e.offset is None:
            e.offset = places[-1]
    directory = b"".join(entries[i].central() for i in order or range(len(entries)))
    fields = {"disk": 0, "start": 0, "here": len(entries), "count": len(entries), "size": len(directory),
              "begin": len(image), "comment": len(comment)}
    if end64 is not None:
        wide = {**fields, "record": 44, "at": len(image) + len(directory), "signature": b"PK\6\6", **end64}
        tail = wide["signature"] + struct.pack("<QHHIIQQQQ", wide["record"], 30, 45, wide["disk"], wide["start"], wide["here"],
                                               wide["count"], wide["size"], wide["begin"])
        tail += b"PK\6\7" + struct.pack("<IQI", 0, wide["at"], 1)
    else:
        tail = b""
    fields.update(end or {})
    return image + directory + tail + b"PK\5\6" + struct.pack(
        "<4H2IH", *(fields[key] for key in ("disk", "start", "here", "count", "size", "begin", "comment"))) + comment


def torch_entry(name, data):
    """As torch writes it: padded to 64 bytes, sizes behind the data."""
    crc = zlib.crc32(data)
    return Entry("archive/" + name, data, flags=0x0808, align=64, local={"crc": 0, "packed": 0, "size": 0},
                 descriptor=b"PK\7\x08" + struct.pack("<3I", crc, len(data), len(data)))


# ---------------------------------------------------------------------------------------------------------- pickles

ORDERED, REBUILD = b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"
PROTO, MARK, STOP, REDUCE, NONE, TRUE, FALSE = b"\x80\2", b"(", b".", b"R", b"N", b"\x88", b"\x89"
EMPTY_TUPLE, EMPTY_DICT, SETITEM, SETITEMS, BUILD, PERSID = b")", b"}", b"s", b"u", b"b", b"Q"


def text(string):
    data = string if isinstance(string, bytes) else string.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(n):
    if 0 <= n < 256:
        return b"K" + bytes([n])
    if 0 <= n < 65536:
        return b"M" + struct.pack("<H", n)
    if -2**31 <= n < 2**31:
        return b"J" + struct.pack("<i", n)
    data = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def row(*items):
    return EMPTY_TUPLE if not items else b"".join(items) + bytes([0x84 + len(items)]) if len(items) < 4 \
        else MARK + b"".join(items) + b"t"


def storage(key="0", numbers=4, kind="Float", word="storage"):
    return row(text(word), b"ctorch\n%sStorage\n" % kind.encode(), text(key), text("cpu"), number(numbers)) + PERSID


def strides_of(shape):
    strides, n = [], 1
    for size in reversed(shape):
        strides.insert(0, n)
        n *= max(size, 1)
    return strides


def tensor(shape=(4,), strides=None, offset=0, from_storage=None, rebuild=REBUILD, hooks=ORDERED + EMPTY_TUPLE + REDUCE):
    strides = strides_of(shape) if strides is None else strides
    return rebuild + row(from_storage or storage(), number(offset), row(*map(number, shape)), row(*map(number, strides)),
                         FALSE, hooks) + REDUCE


def state_dict(*pairs, start=EMPTY_DICT):
    return PROTO + start + MARK + b"".join(text(key) + value for key, value in pairs) + SETITEMS + STOP


# ------------------------------------------------------------------------------------------------------ checkpoints

DATA = struct.pack("<4f", 1, 2, 3, 4)
ONE = state_dict(("x", tensor()))


def files(pickle=ONE, data=DATA, folder="archive", **more):
    """The usual entries. `data` is of storage 0, or {key: bytes}."""
    data = data if isinstance(data, dict) else {"0": data}
    return [Entry(f"{folder}/data.pkl", pickle), *(Entry(f"{folder}/data/{key}", value) for key, value in data.items()),
            *(Entry(f"{folder}/{name}", value) for name, value in more.items())]


def checkpoint(pickle=ONE, data=DATA, **more):
    return archive(files(pickle, data, **more))


def accepted():
    def ok(name, contents):
        case(f"ok_{name}.pth", contents, "ok")

    ok("one", checkpoint())
    ok("none", checkpoint(PROTO + EMPTY_DICT + STOP, {}))
    ok("none_ordered", checkpoint(PROTO + ORDERED + EMPTY_TUPLE + REDUCE + STOP, {}))
    ok("scalar", checkpoint(state_dict(("x", tensor((), offset=3)))))
    ok("zero_size", checkpoint(state_dict(("x", tensor((0, 3), from_storage=storage("1", 0))), ("y", tensor((2, 0), [7, 9], 4))),
                               {"0": DATA, "1": b""}))
    ok("eight_axes", checkpoint(state_dict(("x", tensor((1, 1, 2, 1, 1, 2, 1, 1))))))
    ok("single_rows", checkpoint(state_dict(("x", tensor((1, 4, 1), [0, 1, 77])))))
    ok("views", checkpoint(state_dict(("x", tensor((2,))), ("y", tensor((2,), offset=2)), ("z", tensor((2, 2))))))
    ok("parameter", checkpoint(state_dict(("x", b"ctorch._utils\n_rebuild_parameter\n" + row(
        tensor(), TRUE, ORDERED + EMPTY_TUPLE + REDUCE) + REDUCE))))
    ok("utf8_name", checkpoint(state_dict(("вес.重み.😀", tensor()), ("", tensor()))))
    ok("none_hooks", checkpoint(state_dict(("x", tensor(hooks=NONE)))))
    ok("items_one_by_one", checkpoint(PROTO + EMPTY_DICT + text("x") + tensor() + SETITEM + text("y") + tensor() + SETITEM + STOP))
    ok("offset_two_bytes", checkpoint(state_dict(("x", tensor((1,), None, 299, storage(numbers=300)))), bytes(1200)))
    ok("number_long", checkpoint(state_dict(("x", tensor(from_storage=row(
        text("storage"), b"ctorch\nFloatStorage\n", text("0"), text("cpu"), b"\x8a\5\4\0\0\0\0") + PERSID)))))
    kinds = [("Float", 4), ("Half", 2), ("BFloat16", 2), ("Double", 8), ("Long", 8), ("Int", 4), ("Short", 2), ("Char", 1),
             ("Byte", 1), ("Bool", 1)]
    ok("every_type", checkpoint(
        state_dict(*((kind, tensor((2, 2), from_storage=storage(str(i), 4, kind))) for i, (kind, _) in enumerate(kinds))),
        {str(i): bytes(4 * size) for i, (_, size) in enumerate(kinds)}))
    ok("order_reversed", archive(files()[::-1]))
    ok("order_of_directory", archive(files(version=b"3\n"), order=[2, 0, 1]))
    ok("comment", archive(files(), comment=b"a comment of the archive, with PK\5\6 in it and 18 bytes more"))
    ok("zip64_end", archive(files(), end64={}))
    ok("zip64_end_only", archive(files(), end64={}, end={"here": 0xffff, "count": 0xffff, "size": 0xffffffff,
                                                          "begin": 0xffffffff}))
    first, second = files()
    wide = 0xffffffff
    second.extra = struct.pack("<HHI", 0x4242, 4, 0) + struct.pack("<HHQQQ", 1, 24, 16, 16, len(first.header(0)) + len(ONE))
    second.packed = second.size = second.offset = wide
    second.local = {"packed": wide, "size": wide}
    ok("zip64_entry", archive([first, second]))
    ok("byteorder", checkpoint(byteorder=b"little"))
    ok("folder_entries", archive([Entry("archive/", b""), Entry("archive/data/", b""), *files(), Entry("else/x", b"?")]))
    ok("misaligned", archive(files(folder="x" if len(ONE) % 2 == 0 else "xy")))
    ok("unused_storage", checkpoint(data={"0": DATA, "1": DATA}))
    ok("memo_written_twice", checkpoint(PROTO + EMPTY_DICT + b"q\0" + text("x") + b"q\0" + tensor() + SETITEM + STOP))
    ok("memo_of_itself", checkpoint(PROTO + EMPTY_DICT + b"q\0" + text("x") + tensor(hooks=b"h\0") + SETITEM + STOP))

    # As torch.save writes an OrderedDict with attributes: everything is memoized, so strings and
    # functions occur only once.
    pickle = (PROTO + ORDERED + b"q\0" + EMPTY_TUPLE + REDUCE + b"q\1" + MARK + text("emb") + b"q\2" + REBUILD + b"q\3" + MARK + MARK
              + text("storage") + b"q\4ctorch\nBFloat16Storage\nq\5" + text("0") + b"q\6" + text("cpu") + b"q\7" + number(4)
              + b"tq\x08" + PERSID + number(0) + row(number(2), number(2)) + b"q\x09" + row(number(2), number(1)) + b"q\x0a" + FALSE
              + b"h\0" + EMPTY_TUPLE + REDUCE + b"q\x0btq\x0c" + REDUCE + b"q\x0d" + text("head") + b"q\x0eh\3" + MARK + MARK
              + b"h\4h\5" + text("1") + b"q\x0fh\7" + number(2) + b"tq\x10" + PERSID + number(0) + row(number(2)) + b"q\x11"
              + row(number(1)) + b"q\x12" + FALSE + b"h\0" + EMPTY_TUPLE + REDUCE + b"q\x13tq\x14" + REDUCE + b"q\x15" + SETITEMS
              + EMPTY_DICT + b"q\x16" + text("_metadata") + b"q\x17h\0" + EMPTY_TUPLE + REDUCE + b"q\x18" + text("") + b"q\x19"
              + EMPTY_DICT + b"q\x1a" + text("version") + b"q\x1b" + number(1) + SETITEM + SETITEM + SETITEM + BUILD + STOP)
    ok("torch", archive([torch_entry("data.pkl", pickle), torch_entry(".format_version", b"1"),
                         torch_entry(".storage_alignment", b"64"), torch_entry("byteorder", b"little"),
                         torch_entry("data/0", bytes(range(8))), torch_entry("data/1", bytes(range(8, 12))),
                         torch_entry("version", b"3\n"), torch_entry(".data/serialization_id", b"1234567890" * 4)], end64={}))


def more_than_tensors():
    """Data that trainers save beside the weights. test_pth.c checks the notes about them."""
    def ok(name, *pairs, data=DATA, start=EMPTY_DICT):
        case(f"more_{name}.pth", checkpoint(state_dict(*pairs, start=start), data), "ok")

    def bad(name, expected, *pairs):
        case(f"more_{name}.pth", checkpoint(state_dict(*pairs)), expected)

    def dictionary(*pairs):
        return EMPTY_DICT + MARK + b"".join((key if isinstance(key, bytes) else text(key)) + value for key, value in pairs) + SETITEMS

    real, weights = b"G" + struct.pack(">d", 0.5), dictionary(("x", tensor()), ("y", tensor((2, 2))))
    ok("number", ("x", tensor()), ("lr", real), ("step", number(10**30)), ("best", NONE), ("done", TRUE))
    ok("list", ("x", tensor()), ("losses", b"](" + real * 3 + b"e"), ("one", b"]" + real + b"a"), ("pair", row(real, text("y"))))
    ok("model", ("model", weights), ("step", number(7)))
    ok("model_and_optimizer", ("model", weights), ("optimizer", dictionary(
        ("state", dictionary((number(0), dictionary(("exp_avg", tensor()), ("exp_avg_sq", tensor()))))),
        ("param_groups", b"](" + dictionary(("lr", real), ("params", b"](" + number(0) + b"e")) + b"e"))), ("step", number(7)))
    ok("lightning", ("epoch", number(3)), ("global_step", number(999)), ("pytorch-lightning_version", text("1.9.5")),
       ("state_dict", ORDERED + EMPTY_TUPLE + REDUCE + MARK + text("model.x") + tensor() + SETITEMS),
       ("loops", dictionary(("fit_loop", dictionary(("state_dict", dictionary()))))), ("callbacks", dictionary()),
       ("optimizer_states", b"](" + dictionary(("state", dictionary())) + b"e"), ("lr_schedulers", b"]"),
       ("hyper_parameters", b"cpytorch_lightning.utilities.parsing\nAttributeDict\n" + EMPTY_TUPLE + b"\x81" + MARK + text("lr")
        + real + SETITEMS + EMPTY_DICT + BUILD),
       ("args", b"cargparse\nNamespace\n" + EMPTY_TUPLE + b"\x81" + dictionary(("lr", real)) + BUILD))
    ok("deep", ("checkpoint", dictionary(("model", weights), ("rng", b"cnumpy.core.multiarray\n_reconstruct\n" + row(
        b"cnumpy\nndarray\n", row(number(0)), b"c_codecs\nencode\n" + row(text("b"), text("latin1")) + REDUCE) + REDUCE
        + row(number(1)) + BUILD))))
    ok("average", ("model", weights), ("ema", weights))
    ok("set", ("x", tensor()), ("seen", b"c__builtin__\nset\n" + row(b"](" + number(1) + b"e") + REDUCE))
    ok("counter", ("x", tensor()), ("n", b"ccollections\nCounter\n" + row(EMPTY_DICT + text("a") + number(1) + SETITEM) + REDUCE))
    ok("tensor_outside", ("model", weights), ("step", tensor((1,))))
    ok("key_of_number", ("x", tensor()), ("by_number", dictionary((number(0), tensor()))))
    case("more_number_as_key.pth", checkpoint(PROTO + EMPTY_DICT + number(7) + NONE + SETITEM + text("x") + tensor() + SETITEM + STOP), "ok")
    ok("itself", ("x", tensor()), ("me", EMPTY_DICT + b"q\0" + text("me") + b"h\0" + SETITEM))
    ok("escape", ("x", tensor()), ("\x1b[31m\u202e", NONE))
    ok("many", ("x", tensor()), *((f"number {i}", number(i)) for i in range(100)))
    bad("two", "expected one dictionary of tensors, found 'generator' and 'critic'; save only one of them",
        ("generator", weights), ("critic", dictionary(("x", tensor()), ("z", tensor()))))
    bad("too_deep", "expected a dictionary of tensors, found 1 values, the first 'a' (a dictionary)", ("a", dictionary(("b", dictionary(("c", weights))))))
    bad("system", "global 'os.system' is not allowed in a checkpoint", ("model", weights),
        ("note", b"cos\nsystem\n" + row(text("true")) + REDUCE))

    # Views that are not row-major.
    ok("transposed", ("x", tensor((2, 2), [1, 2])))
    ok("every_second", ("x", tensor((2,), [2], 1)))
    ok("three_axes", ("x", tensor((2, 3, 2), [1, 4, 2], from_storage=storage("0", 12))), data=struct.pack("<12f", *range(12)))
    ok("column", ("x", tensor((3, 1), [4, 1], 2, storage("0", 12))), data=struct.pack("<12f", *range(12)))
    ok("every_type_transposed", *((kind, tensor((2, 3), [1, 2], from_storage=storage(str(i), 6, kind))) for i, kind in enumerate(
        ("Double", "Half", "Byte"))), data={"0": bytes(range(48)), "1": bytes(range(12)), "2": bytes(range(6))})


def archives_rejected():
    def bad(name, contents, expected):
        case(f"zip_{name}.pth", contents, expected)

    def entry(name, expected, **changes):
        first, second = files()
        second.__dict__.update(changes)
        bad(name, archive([first, second]), expected)

    good = checkpoint()
    cut = "expected the end record of a ZIP archive (.pth), found none: the file is truncated or has trailing bytes"
    bad("cut", good[:-1], cut)
    bad("cut_early", good[:100], cut)
    bad("cut_to_magic", good[:4], cut)
    bad("more_behind", good + b"\0", cut)
    bad("comment_length", archive(files(), end={"comment": 1}), cut)
    bad("more_before", archive(files(), begin=b"PK\3\4before"), "ZIP: expected the first entry at byte 0, found it at byte 10")
    bad("empty", archive([]), "expected a checkpoint, found an empty ZIP archive")
    bad("other", archive([Entry("word/document.xml", b"<x/>")]), "expected a PyTorch checkpoint, found a ZIP archive without data.pkl")
    bad("no_folder", archive([Entry("data.pkl", ONE)]), "a ZIP archive without data.pkl")
    bad("two_checkpoints", archive(files() + files(folder="other")), "expected one checkpoint in the ZIP archive, found 'archive/data.pkl' and 'other/data.pkl'")
    bad("big_endian", checkpoint(byteorder=b"big"), "expected numbers in little-endian byte order, found 'big'")
    bad("byteorder_empty", checkpoint(byteorder=b""), "expected numbers in little-endian byte order, found ''")

    several = "found one part of a split ZIP archive; join the parts first"
    for key in ("disk", "start"):
        bad(f"several_{key}", archive(files(), end={key: 1}), several)
        bad(f"several_{key}_64", archive(files(), end64={key: 1}), several)
    bad("several_count", archive(files(), end={"here": 1}), several)
    place = "expected a central directory of"
    bad("directory_begin", archive(files(), end={"begin": 0}), place)
    bad("directory_begin_late", archive(files(), end={"begin": 0xfffffff0}), place)
    bad("directory_size", archive(files(), end={"size": 5}), place)
    bad("directory_size_huge", archive(files(), end={"size": 0xfffffff0}), place)
    bad("directory_huge_64", archive(files(), end64={"size": 2**64 - 1, "begin": 7},
                                     end={"size": 0xffffffff, "begin": 0xffffffff}), place)
    bad("count_few", archive(files(), end={"here": 1, "count": 1}), "ZIP: expected 1 entries in the central directory, found more")
    bad("count_many", archive(files(), end={"here": 3, "count": 3}), "3 entries do not fit in a central directory of")
    bad("count_one_more", archive(files(version=b"x" * 60, byteorder=b"little"), end={"here": 5, "count": 5}),
        "the central directory is damaged at byte")
    bad("count_huge_64", archive(files(), end64={"here": 2**63, "count": 2**63}, end={"here": 0xffff, "count": 0xffff}),
        "9223372036854775808 entries do not fit")
    for key in ("here", "count", "size", "begin"):
        bad(f"end64_{key}", archive(files(), end64={key: 9}), "the end record and the ZIP64 end record contradict each other")
    for name, change in [("place", {"at": 3}), ("place_huge", {"at": 2**64 - 1}), ("signature", {"signature": b"PK\6\5"}),
                         ("length", {"record": 45}), ("length_huge", {"record": 2**64 - 1})]:
        bad(f"end64_{name}", archive(files(), end64=change), "expected a ZIP64 end record at byte")

    damaged = bytearray(good)
    damaged[good.index(b"PK\1\2") + 3] = 9
    bad("directory_signature", bytes(damaged), "the central directory is damaged at byte")
    damaged = bytearray(good)
    damaged[good.index(b"PK\1\2") + 32] = 255
    bad("directory_comment", bytes(damaged), "the central directory is damaged at byte")

    entry("compressed", "ZIP entry 'archive/data/0': compressed entries are not supported; unpack the archive and store it again with `zip -0 -r`", method=8, data=zlib.compress(DATA)[2:-4])
    entry("encrypted", "ZIP entry 'archive/data/0': encrypted entries are not supported", flags=1)
    entry("sizes_differ", "ZIP entry 'archive/data/0': stored entry with two different sizes", packed=15)
    entry("size_beyond", "ZIP entry 'archive/data/0': its data exceed the archive", packed=17, size=17)
    entry("size_huge", "ZIP entry 'archive/data/0': its data exceed the archive", packed=0xfffffffe, size=0xfffffffe)
    entry("header_beyond", "ZIP entry 'archive/data/0': its header is outside the archive", offset=0xfffffff0)
    entry("header_in_directory", "ZIP entry 'archive/data/0': its header is outside the archive", offset=len(good) - 30)
    entry("header_elsewhere", "ZIP entry 'archive/data/0': expected a local header at its offset, found none", offset=1)
    entry("header_shared", "its header and the central directory contradict each other", offset=0)
    for what, change in [("name", {"name": b"archive/data/1"}), ("name_longer", {"name": b"archive/data/00"}), ("size", {"size": 15}),
                         ("packed", {"packed": 17}), ("method", {"method": 8}), ("no_size", {"packed": 0, "size": 0})]:
        entry(f"local_{what}", "its header and the central directory contradict each other", local=change)
    entry("local_signature", "ZIP entry 'archive/data/0': expected a local header at its offset, found none", local={"signature": b"PK\7\x08"})
    for what, extra in [("missing", b""), ("cut", b"\1\0\x10\0"), ("short", struct.pack("<HHI", 1, 4, 16)),
                        ("other", struct.pack("<HHQ", 2, 8, 16))]:
        entry(f"zip64_{what}", "its ZIP64 sizes are damaged", size=0xffffffff, packed=0xffffffff, extra=extra)
    entry("zip64_huge", "ZIP entry 'archive/data/0': its data exceed the archive", size=0xffffffff, packed=0xffffffff,
          extra=struct.pack("<HHQQ", 1, 16, 2**64 - 1, 2**64 - 1))
    entry("zip64_offset_huge", "ZIP entry 'archive/data/0': its header is outside the archive", offset=0xffffffff, extra=struct.pack("<HHQ", 1, 8, 2**64 - 1))
    for what, name in [("parent", "../data/0"), ("parent_inside", "archive/../0"), ("parent_last", "archive/.."), ("root", "/etc/x"),
                       ("backslash", "archive\\data\\0"), ("nul", b"archive/\0"), ("empty", "")]:
        bad(f"name_{what}", archive([files()[0], Entry(name, DATA)]), "': expected a relative path without '..'")
    bad("name_twice", archive(files() + files()[1:]), "ZIP entry 'archive/data/0': duplicate name")
    inner = Entry("archive/data/0", DATA)
    outer = Entry("archive/data/1", inner.header(0) + DATA)
    bad("inside_another", overlapping([files()[0]], outer, inner), "'archive/data/0': begins inside another entry")
    bad("inside_the_first", overlapping([], outer, inner), "'archive/data/0': begins inside another entry")


def overlapping(before, outer, inner):
    """An archive whose directory also lists an entry that lies in the data of another."""
    image = b""
    for entry in [*before, outer]:
        entry.offset = len(image)
        image += entry.header(0) + entry.data
    inner.offset = len(image) - len(outer.data)
    entries = [*before, outer, inner]
    directory = b"".join(entry.central() for entry in entries)
    return image + directory + b"PK\5\6" + struct.pack("<4H2IH", 0, 0, len(entries), len(entries), len(directory), len(image), 0)


def pickles_rejected():
    def bad(name, pickle, expected, data=DATA):
        case(f"pickle_{name}.pth", checkpoint(pickle, data), expected)

    def value(name, code, expected):
        bad(name, state_dict(("x", code)), expected)

    value("os_system", b"cos\nsystem\n" + row(text("true")) + REDUCE, "global 'os.system' is not allowed in a checkpoint")
    value("eval", b"cbuiltins\neval\n" + row(text("1")) + REDUCE, "global 'builtins.eval' is not allowed in a checkpoint")
    found = "expected a dictionary of tensors, found 1 values, the first 'x' "
    value("global_prefix", b"ctorch\nFloatStorag\n", found + "(a function or class (torch.FloatStorag))")
    value("global_dotted", b"ctorch\n_utils._rebuild_tensor_v2\n", found + "(a function or class (torch._utils._rebuild_tensor_v")
    value("global_v3", b"ctorch._utils\n_rebuild_tensor_v3\n" + EMPTY_TUPLE + REDUCE,
          "tensor 'x': expected a tensor, found an object (torch._utils._rebuild_tensor_v3)")
    for module, name in [("posix", "system"), ("subprocess", "Popen"), ("builtins", "exec"), ("builtins", "getattr"),
                         ("__builtin__", "eval"), ("__builtin__", "setx"), ("builtins.set", "set"), ("torchx", "load"), ("xtorch", "load"),
                         ("collectionsx", "Counter"), ("", "set"), ("numpyx.core", "scalar"), ("importlib", "import_module")]:
        value(f"global_{module}_{name}", f"c{module}\n{name}\n".encode() + EMPTY_TUPLE + REDUCE,
              f"global '{module}.{name}' is not allowed in a checkpoint")
    value("global_escape", b"c\x1b[31m\n\x07\n", "global '?[31m.?' is not allowed")
    value("global_long", b"c" + b"m" * 5000 + b"\nname\n", "global '" + "m" * 40 + "....name' is not allowed")
    value("inst", MARK + text("true") + b"ios\nsystem\n", "opcode INST is not allowed in a checkpoint")
    value("stack_global", text("os") + text("system") + b"\x93", "opcode STACK_GLOBAL is not allowed in a checkpoint")
    value("newobj", ORDERED + EMPTY_TUPLE + b"\x81", found + "(an object)")
    value("newobj_os_system", b"cos\nsystem\n" + row(text("true")) + b"\x81", "global 'os.system' is not allowed in a checkpoint")
    value("obj", MARK + ORDERED + b"o", "opcode OBJ is not allowed")
    value("extension", b"\x82\1", "opcode EXT1 is not allowed")
    value("float", b"G" + bytes(8), found + "(a number)")
    value("list", b"]", found + "(a list)")
    value("list_of_tensors", b"](" + tensor() * 2 + b"e", found + "(a list)")
    bad("cut_float", PROTO + b"G" + bytes(7), "truncated pickle: the operand of BINFLOAT is missing")
    bad("cut_long4", PROTO + b"\x8b\x09\0\0", "truncated pickle: the operand of LONG4 is missing")
    bad("long4_huge", PROTO + b"\x8b\xff\xff\xff\xff.", "truncated pickle: the operand of LONG4 is missing")
    bad("append_to_none", PROTO + NONE + NONE + b"a.", "cannot append items to None")
    bad("append_to_dict", PROTO + EMPTY_DICT + MARK + NONE + b"e.", "cannot append items to a dictionary")
    bad("append_below_mark", PROTO + b"](" + NONE + b"a.", "APPEND: too few values on the stack")
    value("bytes_huge", b"\x8e" + b"\xff" * 8, "opcode BINBYTES8 is not allowed")
    value("dup", tensor() + b"2", "opcode DUP is not allowed")
    value("no_opcode", b"\xff", "byte 10: 0xff is not an opcode")
    bad("protocol_4", b"\x80\4" + ONE[2:], "expected pickle protocol 2, as torch.save writes, found 4")
    bad("empty", b"", "truncated pickle: expected an opcode")
    bad("no_stop", ONE[:-1], "truncated pickle: expected an opcode")
    bad("cut_operand", ONE[:20], "truncated pickle: the operand of GLOBAL is missing")
    bad("cut_size", PROTO + b"X\0\0", "truncated pickle: the operand of BINUNICODE is missing")
    bad("cut_long", PROTO + b"\x8a", "truncated pickle: the operand of LONG1 is missing")
    bad("more_behind", ONE + b"N.", "found 2 bytes after the end of the pickle")
    bad("no_value", PROTO + STOP, "expected one value at the end of the pickle, found 0")
    bad("two_values", PROTO + NONE + NONE + STOP, "expected one value at the end of the pickle, found 2")
    bad("open_mark", PROTO + NONE + MARK + STOP, "expected one value at the end of the pickle, found 1")
    value("string_huge", b"X\xff\xff\xff\xffx", "truncated pickle: the operand of BINUNICODE is missing")
    value("long_of_9_bytes", b"\x8a\x09" + bytes(9), found + "(a number)")
    for opcode, code in [("TUPLE1", b"\x85"), ("TUPLE2", NONE + b"\x86"), ("TUPLE3", NONE * 2 + b"\x87"), ("TUPLE", b"t"),
                         ("SETITEM", NONE + SETITEM), ("SETITEMS", SETITEMS), ("REDUCE", NONE + REDUCE),
                         ("BUILD", NONE + BUILD), ("APPEND", NONE + b"a"), ("APPENDS", b"e"), ("NEWOBJ", NONE + b"\x81"), ("BINPERSID", PERSID), ("BINPUT", b"q\0"), ("LONG_BINPUT", b"r" + bytes(4))]:
        bad(f"stack_{opcode.lower()}", PROTO + code + STOP, f"{opcode}: too few values on the stack")
    bad("stack_below_mark", PROTO + NONE + NONE + MARK + NONE + b"\x86.", "TUPLE2: too few values on the stack")
    bad("stack_items_for_none", PROTO + MARK + NONE + NONE + SETITEMS + STOP, "SETITEMS: too few values on the stack")
    bad("marks", PROTO + MARK * 33 + STOP, "expected at most 32 levels of nesting, found more")
    value("memo_gap", b"\x4e" + b"q\1", "expected memo entry 0 or lower, found 1")
    value("memo_huge", b"\x4e" + b"r\xff\xff\xff\xff", "expected memo entry 0 or lower, found 4294967295")
    value("memo_unknown", b"h\0", "memo entry 0 does not exist; there are 0")
    value("memo_unknown_huge", b"j\xff\xff\xff\xff", "memo entry 4294967295 does not exist; there are 0")
    bomb = EMPTY_TUPLE + b"".join(b"q%c" % i + b"h%c" % i + b"\x86" for i in range(100))  # 2^100 if expanded
    value("memo_bomb", bomb, found + "(a tuple)")
    bomb = [("d0", EMPTY_DICT + b"q\0")] + [(f"d{i}", EMPTY_DICT + b"q%c" % i + b"".join(
        text(key) + b"h%c" % (i - 1) + SETITEM for key in "ab")) for i in range(1, 100)]
    bad("dictionary_bomb", state_dict(*bomb), "expected a dictionary of tensors, found 100 values, the first 'd0' (a dictionary)")
    value("reduce_of_string", text("os.system") + EMPTY_TUPLE + REDUCE, "expected a function and its arguments, found a string and")
    value("reduce_of_number", ORDERED + number(1) + REDUCE, "expected a function and its arguments, found a function and a number")
    value("build_of_dict", EMPTY_DICT + EMPTY_DICT + BUILD, "cannot set attributes of a dictionary")
    value("items_of_tuple", EMPTY_TUPLE + NONE + NONE + SETITEM, "cannot set items of a tuple")
    bad("items_odd", PROTO + EMPTY_DICT + MARK + text("x") + SETITEMS + STOP, "a key without a value")
    for name, code, kind in [("none", NONE, "None"), ("boolean", TRUE, "a boolean"), ("number", number(7), "a number"),
                             ("string", text("x"), "a string"), ("function", ORDERED, "a function"), ("tensor", tensor(), "an object"),
                             ("tuple", row(NONE), "a tuple"), ("storage", storage(), "a storage"),
                             ("ordered_of_pairs", ORDERED + row(EMPTY_DICT) + REDUCE, "an object"), ("list", b"](" + tensor() + b"e", "a list"),
                             ("module", b"c__main__\nRWKV\n" + EMPTY_TUPLE + b"\x81" + EMPTY_DICT + text("x") + tensor() + SETITEM + BUILD,
                              "an object (__main__.RWKV)")]:
        bad(f"root_{name}", PROTO + code + STOP, f"expected a dictionary of tensors, found {kind}")
    bad("key_number", PROTO + EMPTY_DICT + number(7) + tensor() + SETITEM + STOP, "expected a tensor name, found a number")
    bad("key_latin1", state_dict((b"\xe9", tensor())), "expected a tensor name, found a string that is not UTF-8")
    bad("key_nul", state_dict((b"a\0b", tensor())), "expected a tensor name, found a string that is not UTF-8")
    bad("key_surrogate", state_dict((b"\xed\xa0\x80", tensor())), "expected a tensor name, found a string that is not UTF-8")
    bad("key_twice", state_dict(("x", tensor()), ("y", tensor()), ("x", tensor())), "tensor 'x': duplicate name")


def tensors_rejected():
    def bad(name, code, expected, data=DATA):
        case(f"tensor_{name}.pth", checkpoint(state_dict(("x", code)), data), f"tensor 'x': {expected}")

    for name, code, kind in [("none", NONE, "None"), ("number", number(3), "a number"), ("string", text("y"), "a string"),
                             ("ordered", ORDERED + EMPTY_TUPLE + REDUCE, "an object"), ("storage", storage(), "a storage")]:
        case(f"tensor_{name}.pth", checkpoint(state_dict(("x", code))),
             f"expected a dictionary of tensors, found 1 values, the first 'x' ({kind})")
    bad("quantised", b"ctorch._utils\n_rebuild_qtensor\n" + row(storage(kind="QInt8"), number(0)) + REDUCE,
        "expected a tensor, found an object (torch._utils._rebuild_qtensor)")
    bad("five_arguments", REBUILD + row(storage(), number(0), row(number(4)), row(number(1)), FALSE) + REDUCE, "expected a tensor")
    bad("with_metadata", REBUILD + row(storage(), number(0), row(number(4)), row(number(1)), FALSE, NONE, EMPTY_DICT) + REDUCE,
        "expected a tensor, found an object")
    bad("with_items", tensor() + text("k") + NONE + SETITEM, "expected a tensor, found an object")
    bad("parameter_of_nothing", b"ctorch._utils\n_rebuild_parameter\n" + row(NONE, TRUE, NONE) + REDUCE, "expected a tensor, found None")
    bad("storage_none", tensor(from_storage=NONE), "expected a storage, found None")
    bad("storage_id_string", tensor(from_storage=text("0") + PERSID), "expected a storage, found a string")
    bad("storage_id_short", tensor(from_storage=row(text("storage")) + PERSID), "expected a storage, found a tuple")
    bad("storage_word", tensor(from_storage=storage(word="module")), "expected a storage, found a tuple")
    strange = "expected a storage with a type, a key and a size"
    for name, id_ in [("type_none", (NONE, text("0"), number(4))), ("type_function", (REBUILD, text("0"), number(4))),
                      ("key_number", (b"ctorch\nFloatStorage\n", number(0), number(4))),
                      ("size_none", (b"ctorch\nFloatStorage\n", text("0"), NONE)),
                      ("size_negative", (b"ctorch\nFloatStorage\n", text("0"), number(-4)))]:
        bad(f"storage_{name}", tensor(from_storage=row(text("storage"), *id_[:2], text("cpu"), id_[2]) + PERSID), strange)
    bad("storage_missing", tensor(from_storage=storage("1")), "storage '1' does not exist in the archive")
    bad("storage_parent", tensor(from_storage=storage("../data.pkl", 4)), "storage '../data.pkl' does not exist in the archive")
    bad("storage_key_long", tensor(from_storage=storage("0" * 300)), "storage '" + "0" * 24 + "...' does not exist in the archive")
    for name, numbers in [("small", 3), ("large", 5), ("huge", 2**62), ("wraps", 2**62 + 4)]:
        bad(f"storage_{name}", tensor(from_storage=storage(numbers=numbers)),
            f"storage '0': expected {numbers} numbers of type F32, found 16 bytes")
    bad("storage_kind", tensor(from_storage=storage(kind="Half")), "storage '0': expected 4 numbers of type F16, found 16 bytes")
    sizes = "expected an offset, and a shape and strides of the same length"
    bad("offset_negative", tensor((1,), offset=-1), sizes)
    bad("offset_none", REBUILD + row(storage(), NONE, row(number(4)), row(number(1)), FALSE, NONE) + REDUCE, sizes)
    bad("shape_number", REBUILD + row(storage(), number(0), number(4), row(number(1)), FALSE, NONE) + REDUCE, sizes)
    bad("strides_none", REBUILD + row(storage(), number(0), row(number(4)), NONE, FALSE, NONE) + REDUCE, sizes)
    bad("strides_few", tensor((2, 2), [1]), sizes)
    bad("shape_negative", tensor((-4,), [1]), "expected a shape and strides of non-negative integers")
    bad("shape_of_strings", REBUILD + row(storage(), number(0), row(text("4")), row(number(1)), FALSE, NONE) + REDUCE,
        "expected a shape and strides of non-negative integers")
    bad("strides_negative", tensor((4,), [-1], 3), "expected a shape and strides of non-negative integers")
    bad("nine_axes", tensor((1,) * 9), "expected at most 8 axes, found 9")
    repeats = " repeats elements of a storage of 4 numbers; save it with .contiguous()"
    bad("expanded", tensor((4, 4), [0, 1]), "shape [4,4] with strides [0,1]" + repeats)
    bad("expanded_huge", tensor((2**40,), [0]), "shape [1099511627776] with strides [0]" + repeats)
    bad("overlapping_rows", tensor((2, 3), [1, 1]), "shape [2,3] with strides [1,1]" + repeats)
    bad("strides_beyond", tensor((2, 2), [1, 3]), "shape [2,2] at offset 0 exceeds its storage of 4 numbers")
    bad("strides_beyond_offset", tensor((2,), [2], 2), "shape [2] at offset 2 exceeds its storage of 4 numbers")
    bad("strides_wrap", tensor((2, 2), [2**63 - 1, 2**63 - 1]), "shape [2,2] at offset 0 exceeds its storage of 4 numbers")
    bad("strides_overflow", tensor((5, 2), [2**62, 2**62]), "shape [5,2] with strides [4611686018427387904,4611686018427387904] is too large")
    many = state_dict(*((f"t{i}", tensor((2, 2), [1, 2], from_storage=storage("0", 4000))) for i in range(2)),
                      *((f"u{i}", tensor((2, 1990), [1, 2], from_storage=storage("0", 4000))) for i in range(3)))
    case("tensor_copies.pth", checkpoint(many, bytes(16000)), "tensor 'u1': strides [1,2]: the copies of tensors that are not row-major would exceed the size of the file; save it with .contiguous()")
    bad("beyond_offset", tensor((4,), offset=1), "shape [4] at offset 1 exceeds its storage of 4 numbers")
    bad("beyond_shape", tensor((5,)), "shape [5] at offset 0 exceeds its storage of 4 numbers")
    bad("beyond_empty", tensor((0,), offset=5), "shape [0] at offset 5 exceeds its storage of 4 numbers")
    bad("beyond_offset_huge", tensor((1,), offset=2**63 - 1), "shape [1] at offset 9223372036854775807 exceeds its storage")
    bad("shape_overflow", tensor((2**33, 2**33), [2**33, 1]), "shape [8589934592,8589934592] is too large")
    bad("shape_wraps", tensor((2**32, 2**32), [1, 1], from_storage=storage(numbers=4)), "shape [4294967296,4294967296] is too large")
    bad("shape_long", tensor((10**18,) * 8, [1] * 8), "shape [1000000000000000000,1000000000000000000,")


shutil.rmtree(FOLDER, ignore_errors=True)
FOLDER.mkdir()
for group in (accepted, more_than_tensors, archives_rejected, pickles_rejected, tensors_rejected):
    group()
(FOLDER / "cases.tsv").write_text("".join(sorted(cases)))
