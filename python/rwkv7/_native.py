"""The shared library: finding it, calling it, its errors and the lifetime of its objects."""

import array
import ctypes
import functools
import operator
import os
import sys
import threading
from typing import Any, Callable, Generator, Iterable, List, Optional, Tuple, Type, TypeVar, Union

from . import _header as h
from ._version import SOVERSION, __version__

if sys.platform == "darwin":
    LIBRARY = f"librwkv7.{SOVERSION}.dylib"
else:
    LIBRARY = f"librwkv7.so.{SOVERSION}"

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


# ---------------------------------------------------------------------------------------- loading


def _load() -> Any:
    """The library beside this file, else that of RWKV7_LIBRARY, else the system's."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), LIBRARY)
    if not os.path.exists(path):
        path = os.environ.get("RWKV7_LIBRARY") or LIBRARY
    try:
        library = ctypes.CDLL(path)
        number = library.rwkv7_version_number()
    except (OSError, AttributeError) as error:
        raise ImportError(f"rwkv7: cannot load the library: {error}; install librwkv7, or name {LIBRARY} in the "
                          "environment variable RWKV7_LIBRARY") from None
    if number < version_number(__version__):
        raise ImportError(f"rwkv7: {path} has version {number // 1000000}.{number // 1000 % 1000}.{number % 1000}, "
                          f"this package needs {__version__} or newer")
    for name, (result, arguments) in h.FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library


def version_number(text: str) -> int:
    major, minor, patch = (int(part) for part in text.split("."))
    return major * 1000000 + minor * 1000 + patch


# ----------------------------------------------------------------------------------------- errors


class Error(Exception):
    """A call of the library failed. The text is the library's line; `kind` is its status: "model"."""

    kind = "unknown"


class FileError(Error, OSError):
    """A file could not be read or written."""

    kind = "io"


class OutOfMemoryError(Error, MemoryError):
    kind = "memory"


class NumericError(Error, ArithmeticError):
    """A NaN or an infinity where a finite number is needed."""

    kind = "numeric"


class UsageError(Error, ValueError):
    """An argument or option is invalid, or not available on this machine."""

    kind = "usage"


class ModelError(Error):
    """A model file was rejected."""

    kind = "model"


class VocabError(Error):
    """A vocabulary was rejected, or does not fit the model."""

    kind = "vocab"


class StateError(Error):
    """A saved state was rejected, or belongs to another model."""

    kind = "state"


class StoppedError(Error):
    """The call was cancelled."""

    kind = "stopped"


_BY_STATUS: List[Type[Error]] = [Error, FileError, OutOfMemoryError, NumericError, UsageError, ModelError, VocabError,
                                 StateError, StoppedError]


def error_of(record: h.rwkv7_error) -> Error:
    kind = _BY_STATUS[record.status] if 0 <= record.status < len(_BY_STATUS) else Error
    return kind(record.message.decode("utf-8", "replace"))


def call(function: Callable[..., int], *arguments: Any) -> None:
    """Calls a function that returns a status; its last argument, the error record, is added here."""
    record = h.rwkv7_error()
    if function(*arguments, ctypes.byref(record)) != 0:
        raise error_of(record)


# -------------------------------------------------------------------------------------- interrupts


def _listen(caught: List[BaseException]) -> Generator[bool, None, None]:
    while True:
        try:
            while True:
                yield not caught
        except GeneratorExit:
            raise
        except BaseException as error:  # raised by a handler of a signal
            # Without the frame of this generator, which traceback.clear_frames() would end.
            caught.append(error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None))


class Listener:
    """A progress callback that lets Python handle signals during a long call, and what they raised.

    An exception cannot pass through C. KeyboardInterrupt is raised where Python next runs code, so
    in a callback that is a function it would be raised before the first `try` of the function and
    be lost. A generator is resumed inside its `try`.
    """

    def __init__(self) -> None:
        self._caught: List[BaseException] = []
        loop = _listen(self._caught)
        next(loop)
        self.callback = h.PROGRESS(loop.__next__)

    def call(self, function: Callable[..., int], *arguments: Any) -> None:
        """As call(), for a function that was given `callback`."""
        try:
            call(function, *arguments)
        finally:
            if self._caught:
                error = self._caught[0]
                self._caught.clear()
                raise error


# ----------------------------------------------------------------------------------------- objects


class Handle:
    """Owns one object of the library, which is closed when nothing refers to the handle any more.

    Its owner, handles of objects that use it, and calls in progress refer to it. So objects are
    closed in the right order, and never during a call.
    """

    def __init__(self, pointer: Any, close: Callable[[Any], None], *uses: Any) -> None:
        self._as_parameter_ = pointer
        self._close = close
        self._uses = uses
        self.lock = threading.Lock()  # held during calls with an object that one thread may use at a time

    def __del__(self) -> None:
        self._close(self._as_parameter_)


def create(function: Callable[..., int], close: Callable[[Any], None], uses: Tuple[Any, ...], *arguments: Any,
           listener: Optional[Listener] = None) -> Handle:
    """Calls a function whose last arguments are the object's address and the error record."""
    pointer = ctypes.c_void_p()
    (listener.call if listener else call)(function, *arguments, ctypes.byref(pointer))
    return Handle(pointer, close, *uses)


SelfObject = TypeVar("SelfObject", bound="Object")


class Object:
    """Base of the public classes: close(), `with`, and an error for use after close."""

    _handle: Optional[Handle] = None
    _noun = "object"

    def _use(self) -> Handle:
        handle = self._handle
        if handle is None:
            raise ValueError(f"this {self._noun} is closed")
        return handle

    @property
    def closed(self) -> bool:
        return self._handle is None

    def close(self) -> None:
        """Frees what the object holds, as soon as no other object uses it. May be called twice."""
        self._handle = None

    def __enter__(self: SelfObject) -> SelfObject:
        self._use()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce_ex__(self, _: Any) -> Any:
        raise TypeError(f"cannot pickle or copy a {self._noun}")


# ------------------------------------------------------------------------------------------ values


def text_of(value: str, what: str) -> bytes:
    """A string for a function that takes one that ends with a NUL."""
    data = value.encode("utf-8")
    if b"\0" in data:
        raise ValueError(f"a NUL character in the {what}")
    return data


def path_of(path: Path) -> bytes:
    data = os.fsencode(path)
    if b"\0" in data:
        raise ValueError("a NUL character in a path")
    return data


def choice(value: str, names: Tuple[str, ...], what: str) -> int:
    """The number of a name of an enumeration."""
    if value not in names:
        raise ValueError(f"{what} is {value!r}; expected one of {', '.join(names)}")
    return names.index(value)


def fill(struct: Any, **values: Any) -> Any:
    """Sets members of a struct of options. ctypes would truncate an integer that does not fit."""
    kinds = {name: kind for name, kind, *_ in struct._fields_}
    struct.struct_size = ctypes.sizeof(struct)
    for name, value in values.items():
        kind = kinds[name]
        if kind in (ctypes.c_int, ctypes.c_int64, ctypes.c_uint64, ctypes.c_size_t):
            value = operator.index(value)
            if kind(value).value != value:
                raise ValueError(f"{name} is out of range: {value}")
        setattr(struct, name, value)
    return struct


def ids_of(tokens: Iterable[int]) -> Tuple[Any, int]:
    """Token ids as a C array, and their number."""
    try:
        ids = array.array("I", list(tokens))
    except OverflowError:
        raise ValueError("a token id is negative or too large") from None
    return (ctypes.c_uint32 * len(ids)).from_buffer(ids) if ids else (ctypes.c_uint32 * 1)(), len(ids)


def id_of(token: int) -> int:
    value = operator.index(token)
    if not 0 <= value < 1 << 32:
        raise ValueError("a token id is negative or too large")
    return value


def product(sizes: Tuple[int, ...]) -> int:
    return functools.reduce(operator.mul, sizes, 1)


def new_floats(*shape: int) -> Tuple[Any, Any]:
    """Floats of this shape, and their address: an array of NumPy, or without NumPy a memoryview."""
    numpy = _numpy()
    if numpy is not None:
        floats = numpy.empty(shape, numpy.float32)
        return floats, ctypes.cast(floats.ctypes.data, ctypes.POINTER(ctypes.c_float))
    count = product(shape)
    data = bytearray(4 * count)
    address = (ctypes.c_float * count).from_buffer(data)
    view = memoryview(data)
    return view.cast("f", shape) if count else view.cast("f"), address


@functools.lru_cache(maxsize=None)
def _numpy() -> Any:
    """NumPy if it is installed; imported when first needed, because it is large."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy


def floats_of(values: Any, count: int, what: str) -> Any:
    """`count` floats as a C array; not copied if they are a writable array of float32."""
    try:
        view = memoryview(values)
    except TypeError:
        view = memoryview(b"")
    if view.format != "f" or not view.c_contiguous:
        view = memoryview(array.array("f", list(values)))
    if view.nbytes != 4 * count:
        raise ValueError(f"{what}: expected {count} floats, found {view.nbytes // 4}")
    kind = ctypes.c_float * count
    return kind.from_buffer_copy(view) if view.readonly else kind.from_buffer(view)


def take(image: h.rwkv7_bytes) -> bytes:
    """The bytes that the library returned; frees the library's copy."""
    try:
        return ctypes.string_at(image.data, image.size) if image.size else b""
    finally:
        lib.rwkv7_bytes_clear(ctypes.byref(image))


def given(data: Any) -> Tuple[bytes, int]:
    """The bytes of any object with a buffer, and their number, for a call that reads them."""
    image = data if isinstance(data, bytes) else bytes(memoryview(data))
    return image, len(image)


def string(data: Optional[bytes]) -> str:
    """A text of the library; b"" and NULL are ""."""
    return (data or b"").decode("utf-8", "replace")


lib = _load()
