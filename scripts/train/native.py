"""Compile the C source of this folder at first use and load it with ctypes.

The objects go to a cache folder (RWKV7_TRAIN_CACHE, else ~/.cache/rwkv7-train), named by a hash of source and flags.
"""
import ctypes
import hashlib
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def cache_folder():
    """The folder for compiled objects; made if it does not exist."""
    path = os.environ.get("RWKV7_TRAIN_CACHE") or os.path.join(os.path.expanduser("~"), ".cache", "rwkv7-train")
    os.makedirs(path, exist_ok=True)
    return path


def load(source, command):
    """Build `source` with `command` (a list without the file names) unless cached; return the ctypes library."""
    with open(os.path.join(HERE, source), "rb") as f:
        digest = hashlib.sha256(f.read() + " ".join(command).encode()).hexdigest()[:16]
    target = os.path.join(cache_folder(), "%s-%s.so" % (source.split(".")[0], digest))
    if not os.path.exists(target):
        scratch = "%s.%d" % (target, os.getpid())
        subprocess.run(command + ["-o", scratch, os.path.join(HERE, source)], check=True)
        os.replace(scratch, target)
    return ctypes.CDLL(target)


def cpu_library(real="float"):
    """The C library with numbers of type `real` ("float" or "double")."""
    relaxed = ["-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-fassociative-math"]   # sums as vectors
    return load("wkv_cpu.c", ["gcc", "-O3", "-march=native", *relaxed, "-fopenmp", "-shared", "-fPIC", "-DREAL=" + real])
