#!/usr/bin/env python3
"""Reference tokenizer for 20B_tokenizer.json (own code, standard library only).

    neox_tokenizer.py TOKENIZER.json encode < text      prints ids
    neox_tokenizer.py TOKENIZER.json decode 12092 1533  writes bytes
    neox_tokenizer.py TOKENIZER.json check CASES.jsonl

Byte-level BPE as in GPT-2/GPT-NeoX; see docs/FORMATS.md.
"""
import json
import sys
import unicodedata


def byte_letters():
    """The 256 printable code points that stand for bytes in the file."""
    keep = list(range(0x21, 0x7F)) + list(range(0xA1, 0xAD)) + list(range(0xAE, 0x100))
    table, n = {}, 0
    for b in range(256):
        if b in keep:
            table[b] = chr(b)
        else:
            table[b] = chr(0x100 + n)
            n += 1
    return table


SPACES = set([*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])


def kind(c):
    if ord(c) in SPACES:
        return "s"
    k = unicodedata.category(c)[0]
    return k if k in "LN" else "o"


def split(text):
    """The GPT-2 pattern, by hand: contractions, [space]letters, [space]numbers, [space]others, spaces."""
    at, n, out = 0, len(text), []
    kinds = [kind(c) for c in text]
    while at < n:
        start = at
        if text[at] == "'":
            for tail in ("s", "t", "re", "ve", "m", "ll", "d"):
                if text.startswith(tail, at + 1):
                    at += 1 + len(tail)
                    break
            if at > start:
                out.append(text[start:at])
                continue
        body = at + 1 if text[at] == " " else at
        if body < n and kinds[body] != "s":
            k = kinds[body]
            at = body
            while at < n and kinds[at] == k:
                at += 1
        else:                                        # white space: the last one is for the next word
            while at < n and kinds[at] == "s":
                at += 1
            if at < n and at - start > 1:
                at -= 1
        out.append(text[start:at])
    return out


class NeoX:
    def __init__(self, path):
        with open(path, encoding="utf-8") as f:
            d = json.load(f)
        model = d["model"]
        pairs = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
        self.rank = {p: i for i, p in enumerate(pairs)}
        self.vocab = model["vocab"]
        self.letter = byte_letters()
        byte = {c: b for b, c in self.letter.items()}
        self.bytes_of = {i: bytes(byte[c] for c in s) if all(c in byte for c in s) else s.encode("utf-8")
                         for s, i in self.vocab.items()}
        self.special, self.added = {}, {}
        for a in d["added_tokens"]:
            (self.added if a["normalized"] else self.special)[a["content"]] = a["id"]
            self.bytes_of[a["id"]] = a["content"].encode("utf-8")
        self.skip = {a["id"] for a in d["added_tokens"] if a["special"]}
        self.nfc = (d.get("normalizer") or {}).get("type") == "NFC"

    @staticmethod
    def cut(text, table):
        """Leftmost-longest occurrences of the table's strings; yields (text, id or None)."""
        out, at, start = [], 0, 0
        by_first = {}
        for s in table:
            by_first.setdefault(s[0], []).append(s)
        for v in by_first.values():
            v.sort(key=len, reverse=True)
        while at < len(text):
            hit = next((s for s in by_first.get(text[at], ()) if text.startswith(s, at)), None)
            if hit is None:
                at += 1
                continue
            if at > start:
                out.append((text[start:at], None))
            out.append((hit, table[hit]))
            at += len(hit)
            start = at
        if at > start:
            out.append((text[start:at], None))
        return out

    def bpe(self, word):
        parts = [self.letter[b] for b in word.encode("utf-8")]
        while len(parts) > 1:
            best = min(range(len(parts) - 1), key=lambda i: self.rank.get((parts[i], parts[i + 1]), 1 << 30))
            if (parts[best], parts[best + 1]) not in self.rank:
                break
            parts[best:best + 2] = [parts[best] + parts[best + 1]]
        return [self.vocab[p] for p in parts if p in self.vocab]

    def encode(self, text, specials=True):
        ids = []
        for piece, token in self.cut(text, self.special if specials else {}):
            if token is not None:
                ids.append(token)
                continue
            if self.nfc:
                piece = unicodedata.normalize("NFC", piece)
            for part, token in self.cut(piece, self.added):
                if token is not None:
                    ids.append(token)
                else:
                    for word in split(part):
                        ids += self.bpe(word)
        return ids

    def decode(self, ids, skip_special=True):
        return b"".join(self.bytes_of.get(i, b"") for i in ids if not (skip_special and i in self.skip))


def main(argv):
    t = NeoX(argv[1])
    if argv[2] == "encode":
        print(" ".join(map(str, t.encode(sys.stdin.buffer.read().decode("utf-8", "replace")))))
    elif argv[2] == "decode":
        sys.stdout.buffer.write(t.decode(map(int, argv[3:])))
    elif argv[2] == "check":
        total = bad = 0
        with open(argv[3], encoding="utf-8") as f:
            for line in f:
                case = json.loads(line)
                text = bytes.fromhex(case["utf8_hex"]).decode("utf-8")
                total += 1
                ok = t.encode(text) == case["ids"] and t.decode(case["ids"]).hex() == case["decoded_hex"]
                if not ok:
                    bad += 1
                    print(case["name"], ascii(text[:60]), t.encode(text)[:12], case["ids"][:12])
        print("%d cases, %d failed" % (total, bad))
        return 1 if bad else 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
