"""rwkv7/_header.py against include/rwkv7.h: sizes, offsets, constants, results and arguments."""

import ctypes
import os
import re
import subprocess
import tempfile
import unittest

from common import PACKAGE, ROOT
from rwkv7 import _header, _native, _version

HEADER = os.path.join(ROOT, "include", "rwkv7.h")


def c_lines():
    """Pairs of a C expression and the number that Python has for it."""
    for struct in _header.STRUCTS:
        name = f"struct {struct.__name__}"
        yield f"sizeof({name})", ctypes.sizeof(struct)
        for field in struct._fields_:
            descriptor = getattr(struct, field[0])
            yield f"offsetof({name}, {field[0]})", descriptor.offset
            yield f"sizeof((({name} *)0)->{field[0]})", descriptor.size
    yield from _header.CONSTANTS.items()
    yield "RWKV7_VERSION_NUMBER", _native.version_number(_version.__version__)
    yield "RWKV7_SOVERSION", _version.SOVERSION


def declarations():
    """{name: (result, [arguments])} of the header, without the names of parameters."""
    with open(HEADER, encoding="utf-8") as file:
        text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)
    found = {}
    for result, name, arguments in re.findall(r"RWKV7_API\s+([^;()]*?)(rwkv7_\w+)\(([^;()]*)\);", text):
        kinds = []
        for argument in arguments.split(","):
            if argument.strip() != "void":
                kinds.append(kind(re.sub(r"\w+\s*$", "", argument) if not argument.strip().endswith("*") else argument))
        found[name] = kind(result), kinds
    return found


def kind(text):
    """The ctypes type of a C type."""
    words = text.replace("const", " ").replace("struct", " ").replace("*", " * ").split()
    stars = words.count("*")
    base = words[0]
    if base == "enum":
        base, words = "int", words[1:]
    structs = {struct.__name__: struct for struct in _header.STRUCTS}
    plain = {"int": ctypes.c_int, "size_t": ctypes.c_size_t, "uint64_t": ctypes.c_uint64, "uint32_t": ctypes.c_uint32,
             "bool": ctypes.c_bool, "float": ctypes.c_float, "double": ctypes.c_double, "void": None}
    if base == "rwkv7_progress" and stars == 1:
        return _header.PROGRESS
    if base == "char" and stars:
        result = ctypes.c_char_p
        stars -= 1
    elif base in ("void", "uint8_t") and stars or base.startswith("rwkv7_") and base not in structs:
        result = ctypes.c_void_p  # a buffer or an object
        stars -= 1
    else:
        result = structs[base] if base in structs else plain[base]
    for _ in range(stars):
        result = ctypes.POINTER(result)
    return result


class HeaderTest(unittest.TestCase):
    def test_structs_and_constants(self):
        lines = list(c_lines())
        with tempfile.TemporaryDirectory() as folder:
            source, program = os.path.join(folder, "print.c"), os.path.join(folder, "print")
            with open(source, "w", encoding="utf-8") as file:
                file.write('#include "rwkv7.h"\n#include <stdio.h>\nint main(void)\n{\n')
                file.writelines(f'    printf("%lld\\n", (long long)({expression}));\n' for expression, _ in lines)
                file.write("    return 0;\n}\n")
            subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-I", os.path.dirname(HEADER), "-o", program, source],
                           check=True)
            output = subprocess.run([program], stdout=subprocess.PIPE, check=True).stdout.decode().split()
        self.assertEqual({expression: int(found) for (expression, _), found in zip(lines, output)}, dict(lines))

    def test_no_member_is_missing(self):
        # A struct that grew would still pass the comparison of the members above, but not that of the
        # size. Padding could hide a new small member, so their numbers are compared, too.
        with open(HEADER, encoding="utf-8") as file:
            text = re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.DOTALL)
        for struct in _header.STRUCTS:
            body = re.search(rf"struct {struct.__name__} {{(.*?)\n}};", text, re.DOTALL).group(1)
            body = re.sub(r"\(\*(\w+)\)\([^)]*\)", r"\1", body)  # pointers to functions
            names = [re.search(r"(\w+)(\[\w+\])?$", declarator.strip()).group(1)
                     for declaration in body.split(";") if declaration.strip() for declarator in declaration.split(",")]
            self.assertEqual(names, [field[0] for field in struct._fields_], struct.__name__)

    def test_functions(self):
        header = declarations()
        self.assertGreater(len(header), 90)
        exceptions = {  # where Python needs the address of a text that does not end with a NUL
            "rwkv7_builtin_vocab": "result", "rwkv7_tokenizer_open_memory": 0}
        for name, (result, arguments) in _header.FUNCTIONS.items():
            self.assertIn(name, header)
            expected_result, expected = header[name]
            if exceptions.get(name) == "result":
                expected_result = ctypes.c_void_p
            elif name in exceptions:
                expected[exceptions[name]] = ctypes.c_void_p
            self.assertIs(result, expected_result, name)
            self.assertEqual(arguments, expected, name)

    def test_every_function_is_called(self):
        source = ""
        for file in os.listdir(os.path.join(PACKAGE, "rwkv7")):
            if file.endswith(".py") and file != "_header.py":
                with open(os.path.join(PACKAGE, "rwkv7", file), encoding="utf-8") as opened:
                    source += opened.read()
        self.assertEqual([name for name in _header.FUNCTIONS if not re.search(rf"\b{name}\b", source)], [])


if __name__ == "__main__":
    unittest.main()
