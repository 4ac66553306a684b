"""Tokenizers, samplers, and grammars with their matchers."""

import ctypes
import dataclasses
import json
import os
import secrets
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from . import _header as h
from . import _native as n
from ._native import lib

END_OF_TEXT = 0  # the document separator, unless the vocabulary gives id 0 a text


class Tokenizer(n.Object):
    """Converts between text and token ids. May be used by several threads at once."""

    _noun = "tokenizer"

    def __init__(self, path: Optional[n.Path] = None) -> None:
        """Reads a World vocabulary or a tokenizer.json of GPT-NeoX; None: that of the built-in model."""
        if path is not None:
            self._handle = n.create(lib.rwkv7_tokenizer_open, lib.rwkv7_tokenizer_close, (), n.path_of(path))
            return
        size = ctypes.c_size_t()
        text = lib.rwkv7_builtin_vocab(ctypes.byref(size))
        if not text:
            raise n.VocabError("the library has no built-in vocabulary")
        self._handle = n.create(lib.rwkv7_tokenizer_open_memory, lib.rwkv7_tokenizer_close, (), text, size, b"(built in)")

    @classmethod
    def of_model(cls, path: n.Path) -> "Tokenizer":
        """The vocabulary of a checkpoint: inside its file, or beside it, where `rwkv7 run` searches."""
        handle = n.create(lib.rwkv7_tokenizer_open_model, lib.rwkv7_tokenizer_close, (), n.path_of(path))
        if not handle._as_parameter_:
            return cls(_vocab_beside(os.fsdecode(path)))
        tokenizer = cls.__new__(cls)
        tokenizer._handle = handle
        return tokenizer

    @property
    def size(self) -> int:
        """The largest id + 1."""
        return int(lib.rwkv7_tokenizer_size(self._use()))

    @property
    def has_end_of_text(self) -> bool:
        """Id 0 has no text and separates documents."""
        return bool(lib.rwkv7_tokenizer_has_end_of_text(self._use()))

    def encode(self, text: Union[str, bytes]) -> List[int]:
        data = text.encode("utf-8") if isinstance(text, str) else bytes(text)
        start = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p)
        room = min(3 * len(data), 1 << 20) + 4096
        ids, result = (ctypes.c_uint32 * room)(), []
        count, covered, done = ctypes.c_size_t(), ctypes.c_size_t(), 0
        handle = self._use()
        while done < len(data):
            n.call(lib.rwkv7_tokenizer_encode, handle, (start.value or 0) + done, len(data) - done, True, ids, room,
                   ctypes.byref(count), ctypes.byref(covered))
            result += ids[:count.value]
            done += covered.value
        return result

    def token_bytes(self, token: int) -> bytes:
        """The bytes of one token; b"" if the id has no text."""
        size = ctypes.c_size_t()
        handle = self._use()
        address = lib.rwkv7_tokenizer_bytes(handle, n.id_of(token), ctypes.byref(size))
        return ctypes.string_at(address, size.value) if size.value else b""

    def decode_bytes(self, tokens: Iterable[int]) -> bytes:
        return b"".join(map(self.token_bytes, tokens))

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; what is not UTF-8 becomes U+FFFD."""
        return self.decode_bytes(tokens).decode("utf-8", "replace")


def _vocab_beside(model: str) -> str:
    """As src/cli/io/lookup.c searches beside the model."""
    if os.path.isdir(model):
        folder = model
    else:
        folder = os.path.dirname(model) or "."
        path = os.path.splitext(model)[0] + ".vocab.txt"
        if os.path.exists(path):
            return path
    names = os.listdir(folder)
    vocabularies = [name for name in names if "vocab" in name and name.endswith(".txt") and not name.startswith(".")]
    known = "rwkv_vocab_v20230424.txt"
    if known not in names and len(vocabularies) > 1:
        raise n.VocabError(f"{folder} holds several vocabularies; choose one with vocab=")
    for name in [known] + vocabularies + ["20B_tokenizer.json", "tokenizer.json"]:
        if name in names:
            return os.path.join(folder, name)
    raise n.VocabError(f"no vocabulary found for {model}; name one with vocab=")


# ---------------------------------------------------------------------------------------- sampler


@dataclasses.dataclass(frozen=True)
class SamplerOptions:
    """How tokens are drawn. Applied in this order: bias and penalties, top-p, top-k and min-p at
    temperature 1, temperature."""

    temperature: float = 1.0  # 0: always the most probable token
    top_p: float = 0.85
    top_k: int = 0  # 0: all
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_decay: float = 0.996
    seed: Optional[int] = None  # None: random
    bias: Mapping[int, float] = dataclasses.field(default_factory=dict)  # -inf bans a token
    any_id: bool = False  # also draw ids that have no text

    def _sampling(self) -> h.rwkv7_sampler_options:
        values: Dict[str, Any] = {}
        for name in ("temperature", "top_p", "penalty_decay"):
            value = float(getattr(self, name))
            if value < 0:
                raise ValueError(f"{name} is negative: {value}")
            values[name] = value or h.CONSTANTS["RWKV7_ZERO"]
        biases = (h.rwkv7_token_bias * len(self.bias))()
        for entry, (token, bias) in zip(biases, self.bias.items()):
            entry.id, entry.bias = n.id_of(token), bias
        seed = secrets.randbits(64) if self.seed is None else self.seed
        struct = h.rwkv7_sampler_options()
        n.fill(struct, top_k=self.top_k, min_p=self.min_p, presence_penalty=self.presence_penalty,
               frequency_penalty=self.frequency_penalty, any_id=self.any_id, seed=seed, biases=biases,
               bias_count=len(biases), **values)
        return struct


class Sampler(n.Object):
    """Chooses token ids from logits."""

    _noun = "sampler"

    def __init__(self, vocab: int, tokenizer: Optional[Tokenizer] = None, options: Optional[SamplerOptions] = None,
                 **changes: Any) -> None:
        """A sampler for `vocab` logits. `changes` are members of SamplerOptions. With a tokenizer,
        ids without text are never drawn."""
        options = dataclasses.replace(options or SamplerOptions(), **changes)
        sampling = options._sampling()
        self.vocab = vocab
        if not 0 < vocab < 1 << 31:
            raise ValueError(f"vocab is out of range: {vocab}")
        self._handle = n.create(lib.rwkv7_sampler_create, lib.rwkv7_sampler_close, (), ctypes.byref(sampling), vocab,
                                tokenizer._use() if tokenizer is not None else None)

    def next(self, logits: Any, mask: Optional[bytes] = None) -> int:
        """Draws a token from logits (an array of float32, or any floats) and counts it for the
        penalties. `mask`: only these tokens, as Matcher.mask() returns them."""
        handle = self._use()
        floats = n.floats_of(logits, self.vocab, "logits")
        token = ctypes.c_uint32()
        with handle.lock:
            if mask is None:
                n.call(lib.rwkv7_sampler_next, handle, floats, ctypes.byref(token))
            else:
                words = (ctypes.c_uint64 * (len(mask) // 8)).from_buffer_copy(mask)
                n.call(lib.rwkv7_sampler_next_masked, handle, floats, words, 64 * len(words), ctypes.byref(token))
        return token.value

    def dump(self) -> bytes:
        """The counts and the position in the random numbers."""
        handle, image = self._use(), h.rwkv7_bytes()
        with handle.lock:
            n.call(lib.rwkv7_sampler_save_memory, handle, ctypes.byref(image))
        return n.take(image)

    def restore(self, image: bytes) -> None:
        """What dump() of a sampler with the same options returned."""
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_sampler_load_memory, handle, *n.given(image))


# ------------------------------------------------------------------------------ grammar and matcher


class Grammar(n.Object):
    """A set of texts. Make one with json(), schema(), regex(), gbnf() or choices().

    May be used by several threads at once.
    """

    _noun = "grammar"

    def __init__(self, tokenizer: Tokenizer, kind: str, text: Optional[Union[str, bytes]] = None,
                 choices: Sequence[str] = (), *, strict: bool = False, compact: bool = False,
                 in_order: bool = True) -> None:
        """`kind` is "json", "schema", "gbnf", "regex" or "choices". The other options are for JSON:

        strict    additionalProperties is false unless the schema says otherwise
        compact   no white space between the parts
        in_order  members come in the order of the schema, as in the program
        """
        number = n.choice(kind, ("json", "schema", "gbnf", "regex", "choices"), "kind")
        data = text.encode("utf-8") if isinstance(text, str) else text
        strings = (ctypes.c_char_p * len(choices))(*[n.text_of(choice, "choice") for choice in choices])
        options = n.fill(h.rwkv7_grammar_options(), kind=number, strict=strict, compact=compact, in_order=in_order,
                         text=data, size=len(data) if data is not None else 0, choices=strings,
                         choice_count=len(strings))
        used = tokenizer._use()
        self._handle = n.create(lib.rwkv7_grammar_create, lib.rwkv7_grammar_close, (used,), ctypes.byref(options), used)

    @classmethod
    def json(cls, tokenizer: Tokenizer, *, compact: bool = False) -> "Grammar":
        """Any JSON object or array."""
        return cls(tokenizer, "json", compact=compact)

    @classmethod
    def schema(cls, tokenizer: Tokenizer, schema: Union[str, bytes, Mapping[str, Any], bool], *, strict: bool = False,
               compact: bool = False, in_order: bool = True) -> "Grammar":
        """JSON of a JSON Schema, a text or what json.loads() makes of it."""
        text = schema if isinstance(schema, (str, bytes)) else json.dumps(schema)
        return cls(tokenizer, "schema", text, strict=strict, compact=compact, in_order=in_order)

    @classmethod
    def regex(cls, tokenizer: Tokenizer, pattern: str) -> "Grammar":
        """Texts that the regular expression matches as a whole."""
        return cls(tokenizer, "regex", pattern)

    @classmethod
    def gbnf(cls, tokenizer: Tokenizer, text: str) -> "Grammar":
        """A grammar in the notation of llama.cpp."""
        return cls(tokenizer, "gbnf", text)

    @classmethod
    def choices(cls, tokenizer: Tokenizer, choices: Sequence[str]) -> "Grammar":
        """One of these strings."""
        return cls(tokenizer, "choices", None, choices)


class Matcher(n.Object):
    """A position in a text of a grammar: which tokens may come next."""

    _noun = "matcher"

    def __init__(self, grammar: Grammar) -> None:
        used = grammar._use()
        self._size = int(lib.rwkv7_tokenizer_size(used._uses[0]))
        self._handle = n.create(lib.rwkv7_matcher_create, lib.rwkv7_matcher_close, (used,), used)

    def reset(self) -> None:
        """Back to the start of the text."""
        handle = self._use()
        with handle.lock:
            lib.rwkv7_matcher_reset(handle)

    def advance(self, token: int) -> None:
        """Adds a token. UsageError: it is not allowed here."""
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_matcher_advance, handle, n.id_of(token))

    def undo(self, count: int = 1) -> None:
        """Removes the last tokens."""
        if count < 0:
            raise ValueError(f"count is negative: {count}")
        handle = self._use()
        with handle.lock:
            lib.rwkv7_matcher_undo(handle, min(count, lib.rwkv7_matcher_tokens(handle)))

    @property
    def tokens(self) -> int:
        """The number of tokens since the start, without the end of text."""
        handle = self._use()
        with handle.lock:
            return int(lib.rwkv7_matcher_tokens(handle))

    @property
    def accepting(self) -> bool:
        """Whether the text may end here."""
        handle = self._use()
        with handle.lock:
            return bool(lib.rwkv7_matcher_is_accepting(handle))

    def mask(self) -> bytes:
        """The tokens that may come next, one bit for each id, for Sampler.next(): bit i % 8 of
        byte i / 8. END_OF_TEXT is one of them if the text may end."""
        handle = self._use()
        mask, allowed = ctypes.POINTER(ctypes.c_uint64)(), ctypes.c_size_t()
        with handle.lock:
            n.call(lib.rwkv7_matcher_mask, handle, ctypes.byref(mask), ctypes.byref(allowed))
            return ctypes.string_at(mask, (self._size + 63) // 64 * 8)

    def allowed(self) -> List[int]:
        """The same as a list of ids."""
        mask = self.mask()
        return [i for i in range(self._size) if mask[i // 8] >> i % 8 & 1]
