"""RWKV language models on a CPU, by librwkv7.

    import rwkv7

    with rwkv7.Model("model.safetensors") as model:
        for piece in model.generate("Once upon a time", max_tokens=40):
            print(piece, end="", flush=True)

The guide is docs/PYTHON.md.
"""

from typing import List

from ._generate import GenerateOptions, Generator, Stats, Step
from ._model import Batch, Model, ModelInfo, Runtime, Session, StateArrays, convert, cpus
from ._native import (Error, FileError, ModelError, NumericError, OutOfMemoryError, StateError, StoppedError,
                      UsageError, VocabError, lib, string)
from ._text import END_OF_TEXT, Grammar, Matcher, Sampler, SamplerOptions, Tokenizer
from ._version import __version__

__all__ = ["Batch", "END_OF_TEXT", "Error", "FileError", "GenerateOptions", "Generator", "Grammar", "Matcher", "Model",
           "ModelError", "ModelInfo", "NumericError", "OutOfMemoryError", "Runtime", "Sampler", "SamplerOptions",
           "Session", "StateArrays", "StateError", "Stats", "Step", "StoppedError", "Tokenizer", "UsageError", "VocabError",
           "__version__", "build_info", "convert", "cpus", "library_version", "memory_peak"]


def library_version() -> str:
    """The version of the library, which may be newer than that of the package."""
    return string(lib.rwkv7_version())


def build_info() -> List[str]:
    """The facts about the build that `rwkv7 --version` prints."""
    lines: List[str] = []
    while (line := lib.rwkv7_build_info(len(lines))) is not None:
        lines.append(string(line))
    return lines


def memory_peak() -> int:
    """Peak resident memory of this process in bytes; 0 if unknown."""
    return int(lib.rwkv7_memory_peak())


for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__  # for messages: rwkv7.FileError
del _name
