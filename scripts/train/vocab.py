"""The demo's vocabulary in the World format: made from the generators' text, read, written, and used to encode.

    python3 vocab.py OUT.vocab.txt

All 256 bytes come first (byte b has id b + 1), then frequent pieces, ordered by length and then by their bytes. Digits are
never joined, so numbers are read digit by digit; a word is one piece with the space before it.
"""
import collections
import ctypes
import random
import re
import sys

import numpy as np

import native
from lexicon import SYLLABLES, WORDS

PIECE = re.compile(r" ?[A-Za-z]+|\nQ:|\nA:")
LETTERS = [" " + c for c in "abcdefghijklmnopqrstuvwxyz"]
DIGITS = [" %d" % d for d in range(10)]
ALWAYS = (["\nQ:", "\nA:"] + DIGITS + LETTERS + SYLLABLES + [" " + s.capitalize() for s in SYLLABLES]
          + [" " + w for w in WORDS])


def build(texts, least=8):
    """Pieces (bytes) for the given texts: the fixed ones and every word that occurs at least `least` times."""
    known = set(ALWAYS)
    counts = collections.Counter()
    for text in texts:
        counts.update(PIECE.findall(text))
    pieces = known | {piece for piece, n in counts.items() if n >= least and len(piece) > 1 and not _invented(piece)}
    encoded = sorted((p.encode() for p in pieces), key=lambda b: (len(b), b))
    return [bytes([b]) for b in range(256)] + [p for p in encoded if len(p) > 1]


def _invented(piece):
    """Whether a piece is one of the invented two-syllable names, which stay two pieces."""
    word = piece.strip().lower()
    return len(word) == 4 and word[:2] in SYLLABLES and word[2:] in SYLLABLES and piece not in ALWAYS


def literal(piece):
    """The piece as Python's repr prints it: str if it is UTF-8 by itself, else bytes."""
    try:
        return repr(piece.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(piece)


def write(path, pieces):
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        for n, piece in enumerate(pieces, 1):
            f.write("%d %s %d\n" % (n, literal(piece), len(piece)))


def read(path):
    """The pieces of a World vocabulary file whose ids run 1, 2, 3, .. without a gap."""
    import ast
    pieces = []
    with open(path, encoding="utf-8") as f:
        for line in f:
            number, rest = line.rstrip("\n").split(" ", 1)
            text, length = rest.rsplit(" ", 1)
            value = ast.literal_eval(text)
            piece = value.encode("utf-8") if isinstance(value, str) else value
            assert int(number) == len(pieces) + 1 and int(length) == len(piece), line
            pieces.append(piece)
    return pieces


class Tokenizer:
    """Greedy longest match over a trie held in two arrays, walked by C."""

    def __init__(self, pieces):
        self.pieces = [b""] + list(pieces)
        nexts, ids = [np.zeros(256, np.int32)], [0]
        for number, piece in enumerate(pieces, 1):
            node = 0
            for byte in piece:
                if not nexts[node][byte]:
                    nexts[node][byte] = len(nexts)
                    nexts.append(np.zeros(256, np.int32))
                    ids.append(0)
                node = nexts[node][byte]
            ids[node] = number
        self.next, self.id = np.concatenate(nexts), np.array(ids, np.int32)
        self.library = native.cpu_library()
        self.first = {}

    def encode_ends(self, text):
        """(tokens, end offsets) of a bytes object, as int32 arrays."""
        tokens, ends = np.empty(len(text), np.int32), np.empty(len(text), np.int32)
        pointer = ctypes.c_void_p
        count = self.library.encode(text, len(text), pointer(self.next.ctypes.data), pointer(self.id.ctypes.data),
                                    pointer(tokens.ctypes.data), pointer(ends.ctypes.data))
        return tokens[:count], ends[:count]

    def encode(self, text):
        return self.encode_ends(text.encode())[0].tolist()

    def first_token(self, text):
        """The token that `text` starts with (0 for the end of a document)."""
        if text not in self.first:
            self.first[text] = 0 if text is None else self.encode(text)[0]
        return self.first[text]

    def decode(self, tokens):
        return b"".join(self.pieces[t] if t < len(self.pieces) else b"" for t in tokens)


def rows(pieces):
    """Rows of the embedding: one for id 0, one per piece, up to a multiple of 8."""
    return -(-(len(pieces) + 1) // 8) * 8


def main():
    from mixture import sample_texts
    pieces = build(sample_texts(random.Random("vocabulary"), 6000))
    write(sys.argv[1], pieces)
    print("%d pieces, %d rows" % (len(pieces), rows(pieces)))


if __name__ == "__main__":
    main()
