"""Generators: a text that is continued token by token."""

import ctypes
import dataclasses
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

from . import _header as h
from . import _native as n
from ._native import lib
from ._text import Grammar, SamplerOptions, Tokenizer

if TYPE_CHECKING:
    from ._model import Model, Session

Prompt = Union[None, str, bytes, Iterable[int]]

_ENDS = ("", "stop", "token", "length", "cancelled")


@dataclasses.dataclass(frozen=True)
class GenerateOptions(SamplerOptions):
    """What `rwkv7 run` has as options; the defaults are the same."""

    max_tokens: Optional[int] = 256  # None: until the text ends
    stops: Sequence[str] = ()  # the text ends before one of these
    logprobs: int = 0  # report this many of the most probable tokens in each step, at most 100
    bos: Optional[bool] = None  # begin with token 0; None: if it has no text
    ignore_end: bool = False  # never draw the end of text
    resumable: bool = False  # the text will be saved and continued, see Generator.save()
    reseed: bool = False  # after load(): start from `seed`, not from the saved random numbers
    speculate: Union[int, str] = 0  # guess up to this many tokens, or "auto"; with math="exact", the text is the same
    draft_model: "Optional[Model]" = None  # a smaller model that guesses
    grammar: Optional[Grammar] = None  # only texts of this grammar, or of one of the next five:
    schema: Union[None, str, bytes, bool, Mapping[str, Any]] = None
    any_json: bool = False
    regex: Optional[str] = None
    gbnf: Optional[str] = None
    choices: Optional[Sequence[str]] = None

    def _grammar(self, tokenizer: Tokenizer) -> Optional[Grammar]:
        given: Dict[str, Any] = {name: getattr(self, name) for name in ("grammar", "schema", "regex", "gbnf", "choices")}
        given = {name: value for name, value in given.items() if value is not None}
        if len(given) + self.any_json > 1:
            raise ValueError("only one of grammar, schema, any_json, regex, gbnf and choices may be given")
        if self.any_json:
            return Grammar.json(tokenizer)
        if not given or self.grammar is not None:
            return self.grammar
        (name, value), = given.items()
        made: Grammar = getattr(Grammar, name)(tokenizer, value)
        return made


class Step(NamedTuple):
    """One token of a generator."""

    text: str  # new text; may be empty, because incomplete characters and stop strings are held back
    token: Optional[int]  # None: none was drawn
    end: str  # "": the text continues; otherwise see Generator.end
    stop: Optional[int]  # index of the stop string that was found
    logprob: Optional[float]  # with the option logprobs
    top: List[Tuple[int, float]]  # the most probable tokens and their log probabilities


class Stats(NamedTuple):
    """As struct rwkv7_generator_stats."""

    seed: int
    prompt_tokens: int
    cached_tokens: int
    prompt_seconds: float
    tokens: int
    evaluated: int
    seconds: float
    steps: int
    drafted: int
    accepted: int


class Generator(n.Object):
    """Continues the text of a session. Iterating gives pieces of text."""

    _noun = "generator"

    def __init__(self, session: "Session", prompt: Prompt = None, options: Optional[GenerateOptions] = None, *,
                 _sync: bool = False, **changes: Any) -> None:
        """`prompt`: a text or token ids; None: call feed() or load() before the first step."""
        options = dataclasses.replace(options or GenerateOptions(), **changes)
        if options.max_tokens is not None and options.max_tokens < 1:
            raise ValueError(f"max_tokens is out of range: {options.max_tokens}")
        if isinstance(options.stops, (str, bytes)):
            raise ValueError("stops is a list of strings")
        tokenizer = session.model.tokenizer
        grammar = options._grammar(tokenizer)
        listener = n.Listener()
        stops = (ctypes.c_char_p * len(options.stops))(*[n.text_of(stop, "stop string") for stop in options.stops])
        draft = options.draft_model._use() if options.draft_model is not None else None
        constraint = grammar._use() if grammar is not None else None
        speculate = h.CONSTANTS["RWKV7_SPECULATE_AUTO"] if options.speculate == "auto" else options.speculate
        struct = n.fill(
            h.rwkv7_generator_options(), sampling=ctypes.pointer(options._sampling()), stops=stops,
            stop_count=len(stops), max_tokens=options.max_tokens or 0, logprobs=options.logprobs,
            bos=0 if options.bos is None else 1 if options.bos else 2, ignore_end=options.ignore_end,
            resumable=options.resumable, reseed=options.reseed, progress=listener.callback, speculate=speculate,
            draft_model=draft._as_parameter_ if draft else None,
            grammar=constraint._as_parameter_ if constraint else None)
        used, vocabulary = session._use(), tokenizer._use()
        with used.lock:
            self._handle = n.create(lib.rwkv7_generator_create, lib.rwkv7_generator_close,
                                    (used, vocabulary, draft, constraint, listener), used, vocabulary,
                                    ctypes.byref(struct))
        self._handle.lock = used.lock  # a generator evaluates its session
        self._listener = listener
        self._sync = _sync
        self.session = session
        self.end = ""  # why the text ended: "stop", "token" (end of text), "length" or "cancelled"
        if prompt is not None:
            self.feed(prompt)

    def feed(self, prompt: Prompt) -> None:
        """Adds a text or token ids to the prompt and evaluates all but its end."""
        handle = self._use()
        if isinstance(prompt, str):
            prompt = prompt.encode("utf-8")
        if isinstance(prompt, (bytes, bytearray, memoryview)):
            with handle.lock:
                self._listener.call(lib.rwkv7_generator_feed, handle, *n.given(prompt))
        else:
            ids, count = n.ids_of(() if prompt is None else prompt)
            with handle.lock:
                self._listener.call(lib.rwkv7_generator_feed_tokens, handle, ids, count)

    def next(self) -> Step:
        """Draws one token. Call it until the step's `end` is not empty."""
        handle, pointer = self._use(), ctypes.POINTER(h.rwkv7_step)()
        with handle.lock:
            try:
                self._listener.call(lib.rwkv7_generator_next, handle, ctypes.byref(pointer))
            except n.Error:
                raise
            except BaseException:  # KeyboardInterrupt
                self.end = "cancelled"
                raise
            step = pointer.contents
            result = Step(
                ctypes.string_at(step.text, step.length).decode("utf-8") if step.length else "",
                step.id if step.drawn else None, _ENDS[step.end] if step.end < len(_ENDS) else "unknown",
                step.stop if step.stop >= 0 else None, step.logprob if step.top_count else None,
                [(entry.id, entry.logprob) for entry in step.top[:step.top_count]])
        self.end = result.end
        if self._sync and self.end and self.end != "cancelled":
            self.sync()
        return result

    def steps(self) -> Iterator[Step]:
        """The steps up to the end of the text."""
        while not self.end:
            yield self.next()

    def __iter__(self) -> "Generator":
        return self

    def __next__(self) -> str:
        for step in self.steps():
            if step.text:
                return step.text
        raise StopIteration

    def text(self) -> str:
        """The rest of the text."""
        return "".join(self)

    def sync(self) -> None:
        """Lets the session read what was drawn and is not evaluated yet, the last token."""
        handle = self._use()
        with handle.lock:
            self._listener.call(lib.rwkv7_generator_sync, handle)

    def cancel(self) -> None:
        """Ends the text before the next token. May be called by other threads."""
        lib.rwkv7_generator_cancel(self._use())

    def save(self, path: n.Path) -> None:
        """Saves all that is needed to continue the text, after sync()."""
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_generator_save, handle, n.path_of(path))

    def dump(self) -> bytes:
        """The bytes that save() would write."""
        handle, image = self._use(), h.rwkv7_bytes()
        with handle.lock:
            n.call(lib.rwkv7_generator_save_memory, handle, ctypes.byref(image))
        return n.take(image)

    def load(self, path: n.Path) -> None:
        """Loads what save() or `rwkv7 run --state-out` has saved, before anything is fed."""
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_generator_load, handle, n.path_of(path))

    def restore(self, image: bytes) -> None:
        """The same for the bytes of dump()."""
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_generator_load_memory, handle, *n.given(image))

    @property
    def stats(self) -> Stats:
        """Counts and times; `seed` reproduces the text."""
        handle = self._use()
        with handle.lock:
            stats = lib.rwkv7_generator_stats(handle).contents
            return Stats(*(getattr(stats, name) for name in Stats._fields))
