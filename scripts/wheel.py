#!/usr/bin/env python3
"""Builds a wheel of python/ with the shared library inside.

    wheel.py LIBRARY FOLDER     LIBRARY is the build's librwkv7.so.0; prints the path of the wheel

The wheel works with every Python from 3.9 on Linux with a C library at least as new as that of this
machine. Libraries that LIBRARY needs (cJSON, utf8proc) are put beside it with their licences; it
finds them there, because the build links it with the run path $ORIGIN. OpenBLAS is opened when
`math="blas"` asks for it, as in the program. The same files give the same bytes.
"""

import base64
import hashlib
import os
import platform
import re
import subprocess
import sys
import time
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SYSTEM = re.compile(r"(lib(c|m|dl|pthread|rt)|ld-linux[-\w]*)\.so\.\d+$")  # every Linux with glibc has them


def output(*command):
    environment = {**os.environ, "LC_ALL": "C"}
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=True, env=environment).stdout.decode()


def needed(library):
    return re.findall(r"\(NEEDED\).*\[(.*)\]", output("readelf", "-d", library))


def bundled(library):
    """{name: path} of the libraries that go into the wheel."""
    paths = dict(re.findall(r"^\s*(\S+) => (/\S.*) \(0x", output("ldd", library), re.MULTILINE))
    files = {}
    for name in needed(library):
        if SYSTEM.match(name):
            continue
        files[name] = paths[name]
        others = [other for other in needed(paths[name]) if not SYSTEM.match(other)]
        if others:
            raise SystemExit(f"{name} needs {', '.join(others)}, which the wheel would not contain")
    if files and "[$ORIGIN]" not in output("readelf", "-d", library):
        raise SystemExit(f"{library} would not find {', '.join(files)}: it has no run path $ORIGIN")
    return files


def glibc(paths):
    """The oldest version of the C library that has all symbols, (2, 34)."""
    versions = [re.findall(r"GLIBC_(\d+)\.(\d+)", output("readelf", "-W", "--version-info", path)) for path in paths]
    return max((int(major), int(minor)) for found in versions for major, minor in found)


def licence(path):
    """The copyright file of the Debian package that owns a library."""
    names = [path, os.path.realpath(path)]
    for name in names + [re.sub("^/usr", "", name) for name in names]:
        try:
            package = output("dpkg-query", "-S", name).split(":")[0]
        except (OSError, subprocess.CalledProcessError):
            continue
        with open(f"/usr/share/doc/{package}/copyright", "rb") as file:
            return package, file.read()
    raise SystemExit(f"no Debian package owns {path}, so its licence is unknown")


def setting(text, name):
    return re.search(rf'^{name} = "(.*)"$', text, re.MULTILINE).group(1)


def read(*path):
    with open(os.path.join(ROOT, *path), "rb") as file:
        return file.read()


def contents(library):
    """(name of the wheel, {path in it: bytes})"""
    project = read("python", "pyproject.toml").decode()
    version = setting(read("python", "rwkv7", "_version.py").decode(), "__version__")
    soname = re.search(r"\(SONAME\).*\[(.*)\]", output("readelf", "-d", library)).group(1)
    others = bundled(library)
    major, minor = glibc([library, *others.values()])
    tag = f"py3-none-manylinux_{major}_{minor}_{platform.machine()}"
    info = f"rwkv7-{version}.dist-info"
    files = {f"rwkv7/{name}": read("python", "rwkv7", name) for name in os.listdir(os.path.join(ROOT, "python", "rwkv7"))
             if name.endswith((".py", ".typed"))}
    for name, path in [(soname, library), *others.items()]:
        files[f"rwkv7/{name}"] = read(path)
    files[f"{info}/licenses/LICENSE"] = read("LICENSE")
    for path in others.values():
        package, text = licence(path)
        files[f"{info}/licenses/{package}"] = text
    files[f"{info}/WHEEL"] = (f"Wheel-Version: 1.0\nGenerator: rwkv7 {version}\nRoot-Is-Purelib: false\n"
                              f"Tag: {tag}\n").encode()
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: rwkv7\nVersion: {version}\nSummary: {setting(project, 'description')}\n"
        f"License: Apache-2.0\nRequires-Python: {setting(project, 'requires-python')}\nProvides-Extra: numpy\n"
        "Requires-Dist: numpy; extra == \"numpy\"\nDescription-Content-Type: text/markdown\n\n").encode()
    files[f"{info}/METADATA"] += read("python", "README.md")
    record = ""
    for name, data in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record += f"{name},sha256={digest},{len(data)}\n"
    files[f"{info}/RECORD"] = (record + f"{info}/RECORD,,\n").encode()
    return f"rwkv7-{version}-{tag}.whl", files


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    library, folder = sys.argv[1:]
    name, files = contents(os.path.abspath(library))
    path = os.path.join(folder, name)
    date = time.gmtime(max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), 315532800))[:6]  # zip begins in 1980
    with zipfile.ZipFile(path + ".tmp", "w", zipfile.ZIP_DEFLATED) as archive:
        for entry, data in sorted(files.items()):
            member = zipfile.ZipInfo(entry, date)
            member.external_attr = (0o100755 if ".so." in entry else 0o100644) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, data)
    os.replace(path + ".tmp", path)
    print(path)


if __name__ == "__main__":
    main()
