"""Runtimes, models and sessions."""

import ctypes
import os
from typing import Any, Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple, Union

from . import _header as h
from . import _native as n
from ._generate import GenerateOptions, Generator, Prompt
from ._native import lib
from ._text import Sampler, SamplerOptions, Tokenizer


class Runtime(n.Object):
    """Threads and SIMD kernels. Models of one runtime take turns."""

    _noun = "runtime"

    def __init__(self, threads: int = 0, cpu: Optional[str] = None, math: str = "exact") -> None:
        """`threads` 0: one for each physical core. `cpu`: the fastest kernels that may be used, a
        name of cpus(). `math`: "exact", "fast" (AMX) or "blas" (OpenBLAS)."""
        options = n.fill(h.rwkv7_runtime_options(), threads=threads, cpu=n.text_of(cpu or "", "cpu"),
                         math=n.choice(math, ("exact", "fast", "blas"), "math"))
        self._handle = n.create(lib.rwkv7_runtime_create, lib.rwkv7_runtime_close, (), ctypes.byref(options))

    @property
    def threads(self) -> int:
        return int(lib.rwkv7_runtime_threads(self._use()))

    @property
    def cpu(self) -> str:
        """The kernels in use."""
        return n.string(lib.rwkv7_runtime_cpu(self._use()))


def cpus() -> List[str]:
    """The kernels that this machine supports, from slowest to fastest."""
    return n.string(lib.rwkv7_runtime_cpus()).split()


class ModelInfo(NamedTuple):
    path: str
    container: str  # "safetensors", "PyTorch", "GGUF", "memory"
    naming: str
    architecture: str  # "RWKV-7 (x070)"
    version: str  # "x070"
    vocab: int  # number of logits
    layers: int
    channels: int
    heads: int
    head_size: int
    ffn: int
    parameters: int
    weight_bytes: int
    step_bytes: int  # read to evaluate one token
    session_bytes: int
    rate_scale: float
    tuned_state: bool
    chat_template: Optional[str]


class Model(n.Object):
    """The weights. Immutable; may be used by several threads at once."""

    _noun = "model"

    def __init__(self, path: Optional[n.Path] = None, *, vocab: Union[None, n.Path, Tokenizer] = None,
                 weights: str = "stored", sparse: str = "auto", rate_scale: float = 0.0, lock: bool = False,
                 runtime: Optional[Runtime] = None, threads: int = 0, cpu: Optional[str] = None,
                 math: str = "exact") -> None:
        """Opens a checkpoint: .safetensors, .st, .pth, .gguf, an index of shards or a folder.

        path      None: the model that is built into the library
        vocab     a vocabulary; None: the one in the checkpoint or beside it
        weights   "stored", "q8", "q6" or "q4": quantize while loading
        runtime   shared with other models; None: a new one, with `threads`, `cpu` and `math`
        """
        if runtime is None:
            runtime = Runtime(threads, cpu, math)
        elif threads or cpu or math != "exact":
            raise ValueError("threads, cpu and math belong to the runtime that was given")
        self.runtime = runtime
        self._path = None if path is None else os.fspath(path)
        self._vocab = vocab
        self._tokenizer: Optional[Tokenizer] = vocab if isinstance(vocab, Tokenizer) else None
        listener = n.Listener()
        options = n.fill(h.rwkv7_model_options(), rate_scale=rate_scale, lock=lock, progress=listener.callback,
                         weights=n.choice(weights, ("stored", "q8", "q4", "q6"), "weights"),
                         sparse=n.choice(sparse, ("auto", "on", "off"), "sparse"))
        used = runtime._use()
        close = lib.rwkv7_model_close
        if path is not None:
            self._handle = n.create(lib.rwkv7_model_open, close, (used,), used, n.path_of(path), ctypes.byref(options),
                                    listener=listener)
            return
        size = ctypes.c_size_t()
        image = lib.rwkv7_builtin_model(ctypes.byref(size))
        if not image:
            raise n.ModelError("the library has no built-in model")
        self._handle = n.create(lib.rwkv7_model_open_memory, close, (used,), used, image, size, b"(built in)",
                                ctypes.byref(options), listener=listener)

    @property
    def tokenizer(self) -> Tokenizer:
        """Opened when first used. VocabError: none was found, or it was rejected."""
        self._use()
        if self._tokenizer is None:
            if self._vocab is not None:
                self._tokenizer = Tokenizer(self._vocab)  # type: ignore[arg-type]
            else:
                self._tokenizer = Tokenizer() if self._path is None else Tokenizer.of_model(self._path)
        return self._tokenizer

    @property
    def info(self) -> ModelInfo:
        handle = self._use()
        info = lib.rwkv7_model_info(handle).contents
        shape = info.shape
        return ModelInfo(
            os.fsdecode(info.path or b""), n.string(info.container), n.string(info.naming), n.string(info.architecture),
            n.string(info.version), shape.vocab, shape.layers, shape.channels, shape.heads, shape.head_size, shape.ffn,
            info.parameters, info.weight_bytes, info.step_bytes, info.session_bytes, info.rate_scale, info.tuned_state,
            None if info.chat_template is None else n.string(info.chat_template))

    @property
    def metadata(self) -> Dict[str, str]:
        """The metadata of the file."""
        handle = self._use()
        pairs: Dict[str, str] = {}
        key, value = ctypes.c_char_p(), ctypes.c_char_p()
        while lib.rwkv7_model_metadata(handle, len(pairs), ctypes.byref(key), ctypes.byref(value)):
            pairs[n.string(key.value)] = n.string(value.value)
        return pairs

    @property
    def notes(self) -> List[str]:
        """Remarks about a file that was accepted: skipped tensors, rounded numbers."""
        handle = self._use()
        notes: List[str] = []
        while (note := lib.rwkv7_model_note(handle, len(notes))) is not None:
            notes.append(n.string(note))
        return notes

    def fingerprint(self) -> str:
        """32 hexadecimal digits that identify what the model computes."""
        result = h.rwkv7_fingerprint()
        n.call(lib.rwkv7_model_fingerprint, self._use(), ctypes.byref(result))
        return bytes(result.bytes).hex()

    def session(self) -> "Session":
        """A session at the start of a document."""
        return Session(self)

    def sampler(self, options: Optional[SamplerOptions] = None, **changes: Any) -> Sampler:
        """A sampler for this model's logits; `changes` are members of SamplerOptions."""
        return Sampler(self.info.vocab, self.tokenizer, options, **changes)

    def generate(self, prompt: Prompt, options: Optional[GenerateOptions] = None, **changes: Any) -> Generator:
        """Continues a text in a new session: an iterator of pieces of text. `changes` are members
        of GenerateOptions. The prompt is evaluated by this call."""
        return Generator(Session(self), prompt, options, **changes)


class StateArrays(NamedTuple):
    """A state as arrays of float32."""

    att_prev: Any  # [layers, channels]
    wkv: Any  # [layers, heads, value, key]; RWKV-4: aa, bb and pp, [layers, 3, channels]
    ffn_prev: Any  # [layers, channels]


class Session(n.Object):
    """The recurrent state of one text. Threads that share a session take turns."""

    _noun = "session"

    def __init__(self, model: Model) -> None:
        self.model = model
        used = model._use()
        self._own(n.create(lib.rwkv7_session_create, lib.rwkv7_session_close, (used,), used))

    def _own(self, handle: n.Handle) -> None:
        self._handle = handle
        self._listener = n.Listener()
        lib.rwkv7_session_set_progress(handle, self._listener.callback, None)
        handle._uses += (self._listener,)  # the library keeps the callback

    @property
    def tokens(self) -> int:
        """Number of tokens evaluated since the start of the document."""
        handle = self._use()
        with handle.lock:
            return int(lib.rwkv7_session_tokens(handle))

    def eval(self, tokens: Iterable[int], logits: str = "last") -> Any:
        """Evaluates token ids and updates the state.

        logits   "last": returns the logits after the last token, an array [vocab] of float32;
                 "all": after every token, [count, vocab]; "none": returns None

        KeyboardInterrupt ends the call after at most 512 tokens; the state is then the one after
        `self.tokens` tokens.
        """
        which = n.choice(logits, ("none", "last", "all"), "logits")
        ids, count = n.ids_of(tokens)
        handle = self._use()
        result, address = None, None
        if logits != "none":
            vocab = _shape(handle).vocab
            result, address = n.new_floats(*((vocab,) if logits == "last" else (count, vocab)))
        with handle.lock:
            self._listener.call(lib.rwkv7_session_eval, handle, ids, count, which, address)
        return result

    def reset(self) -> None:
        """Back to the start of a document."""
        handle = self._use()
        with handle.lock:
            lib.rwkv7_session_reset(handle)

    def copy(self) -> "Session":
        """A new session with the same state, which costs a few megabytes and no evaluation."""
        handle = self._use()
        with handle.lock:
            pointer = n.create(lib.rwkv7_session_clone, lib.rwkv7_session_close, (handle._uses[0],), handle)
        session = Session.__new__(Session)
        session.model = self.model
        session._own(pointer)
        return session

    __copy__ = copy

    def copy_from(self, other: "Session") -> None:
        """Takes the state of another session of the same model."""
        to, source = self._use(), other._use()
        if to._uses[0] is not source._uses[0]:
            raise ValueError("the sessions belong to different models")
        if to is source:
            return
        first, second = sorted((to, source), key=id)
        with first.lock, second.lock:
            lib.rwkv7_session_copy(to, source)

    def save(self, path: n.Path, note: bytes = b"") -> None:
        """Saves the state, and data of the program with it, as `rwkv7 run --state-out` does."""
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_session_save, handle, n.path_of(path), _note(note))

    def load(self, path: n.Path) -> bytes:
        """Replaces the state by a saved one; returns its note."""
        handle, note = self._use(), h.rwkv7_bytes()
        with handle.lock:
            n.call(lib.rwkv7_session_load, handle, n.path_of(path), ctypes.byref(note))
        return n.take(note)

    def dump(self, note: bytes = b"") -> bytes:
        """The bytes that save() would write."""
        handle, image = self._use(), h.rwkv7_bytes()
        with handle.lock:
            n.call(lib.rwkv7_session_save_memory, handle, _note(note), ctypes.byref(image))
        return n.take(image)

    def restore(self, image: bytes) -> bytes:
        """Replaces the state by one of dump() or of a file; returns its note."""
        handle, note = self._use(), h.rwkv7_bytes()
        with handle.lock:
            n.call(lib.rwkv7_session_load_memory, handle, *n.given(image), ctypes.byref(note))
        return n.take(note)

    def arrays(self) -> StateArrays:
        """The state as arrays, copied."""
        handle = self._use()
        floats = [n.new_floats(*shape) for shape in _state_shapes(handle)]
        with handle.lock:
            lib.rwkv7_session_get_state(handle, *(address for _, address in floats))
        return StateArrays(*(array for array, _ in floats))

    def set_arrays(self, att_prev: Any = None, wkv: Any = None, ffn_prev: Any = None) -> None:
        """Sets the state, or a part of it, from arrays of float32 as arrays() returns them."""
        handle = self._use()
        given = []
        for name, values, shape in zip(StateArrays._fields, (att_prev, wkv, ffn_prev), _state_shapes(handle)):
            given.append(None if values is None else n.floats_of(values, n.product(shape), name))
        with handle.lock:
            lib.rwkv7_session_set_state(handle, *given)

    def load_tuned(self, path: n.Path, order: str = "stated") -> None:
        """Starts from a tuned state. `order`: "stated", "value-key" or "key-value"."""
        number = n.choice(order, ("stated", "value-key", "key-value"), "order")
        handle = self._use()
        with handle.lock:
            n.call(lib.rwkv7_session_load_tuned, handle, n.path_of(path), number)

    def generate(self, prompt: Prompt = None, options: Optional[GenerateOptions] = None, **changes: Any) -> Generator:
        """Continues the text of this session: an iterator of pieces of text. `changes` are members
        of GenerateOptions. After the last piece the session has read all of the text; call the
        generator's sync() if you leave the loop earlier."""
        return Generator(self, prompt, options, _sync=True, **changes)


def _shape(handle: n.Handle) -> Any:
    """The shape of the model of a session or batch."""
    return lib.rwkv7_model_info(handle._uses[0]).contents.shape


def _state_shapes(handle: n.Handle) -> Tuple[Tuple[int, ...], ...]:
    """The shapes of the arrays of StateArrays."""
    shape = _shape(handle)
    layers, channels, size = shape.layers, shape.channels, shape.head_size
    matrices = (layers, shape.heads, size, size) if shape.heads else (layers, 3, channels)
    return (layers, channels), matrices, (layers, channels)


def _note(note: bytes) -> Optional[h.rwkv7_bytes]:
    if not note:
        return None
    data = bytes(note)
    return h.rwkv7_bytes(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))


class Batch(n.Object):
    """Evaluates several sessions of one model together, at nearly the cost of one."""

    _noun = "batch"

    def __init__(self, model: Model) -> None:
        used = model._use()
        self._handle = n.create(lib.rwkv7_batch_create, lib.rwkv7_batch_close, (used,), used)

    def eval(self, feeds: Sequence[Tuple[Session, Sequence[int]]]) -> Any:
        """Evaluates pairs of a session and its tokens, at most 512 tokens in all. Returns the
        logits after the last token of each, an array [len(feeds), vocab] of float32."""
        handle = self._use()
        sessions = [session._use() for session, _ in feeds]
        if len(set(map(id, sessions))) != len(sessions):
            raise ValueError("a session may be in a batch only once")
        if any(session._uses[0] is not handle._uses[0] for session in sessions):
            raise ValueError("a session belongs to another model")
        array = (h.rwkv7_feed * len(feeds))()
        tokens = [n.ids_of(tokens) for _, tokens in feeds]
        for feed, session, (ids, count) in zip(array, sessions, tokens):
            feed.session, feed.tokens, feed.count, feed.logits = session._as_parameter_, ids, count, True
        result, address = n.new_floats(len(feeds), _shape(handle).vocab)
        locks = [used.lock for used in sorted(sessions, key=id)]
        taken: List[Any] = []
        try:
            for lock in [handle.lock] + locks:
                lock.acquire()
                taken.append(lock)
            n.call(lib.rwkv7_batch_eval, handle, array, len(array), address)
        finally:
            for lock in taken:
                lock.release()
        for feed in array:
            if feed.err.status:
                raise n.error_of(feed.err)
        return result


def convert(source: n.Path, to: n.Path, *, type: Optional[str] = None, vocab: Optional[bytes] = None,
            lora: Optional[n.Path] = None, lora_init: Optional[n.Path] = None, lora_alpha: float = 0.0,
            rate_scale: float = 0.0, runtime: Optional[Runtime] = None) -> None:
    """Converts a checkpoint into one safetensors file, as `rwkv7 convert` does.

    type        "f32", "f16", "bf16", "q8", "q6" or "q4"; None: as stored
    vocab       the bytes of a World vocabulary to store in the file
    lora        a LoRA file or PEFT folder to merge
    """
    listener = n.Listener()
    options = n.fill(h.rwkv7_convert_options(), type=None if type is None else n.text_of(type, "type"), vocab=vocab,
                     vocab_size=0 if vocab is None else len(vocab), lora=None if lora is None else n.path_of(lora),
                     lora_init=None if lora_init is None else n.path_of(lora_init), lora_alpha=lora_alpha,
                     rate_scale=rate_scale, progress=listener.callback)
    used = (runtime or Runtime())._use()
    listener.call(lib.rwkv7_convert, used, n.path_of(source), n.path_of(to), ctypes.byref(options))
