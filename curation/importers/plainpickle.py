"""Pickles of plain data: bytes in, lists, dicts, numbers, texts and arrays out; nothing in them is ever run.

Names in a pickle stand for stand-ins of our own, never for what is installed, so there is no program to run: arrays and
NumPy numbers are rebuilt from their checked shape, kind and bytes. Opcodes that could reserve memory beyond the file's
size, reach registered extensions or make instances of classes are refused before they act.
"""

from __future__ import annotations

import io
import math
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Never

import numpy as np

from curation.errors import InputError

BYTES_MAX = 1 << 30  # a shard of 1,024 clips with all layers of both modalities takes about 25 MB
DIMS_MAX = 8
OPCODES_MAX = 4_000_000  # about 200 a clip with ten layers
TEXT_MAX = 65_536  # characters of a name; longer ones are no data of ours

_KIND = re.compile(r"(b1|[iu][1248]|f[248]|U\d{1,5}|S\d{1,5}|\?|bool|u?int(8|16|32|64)|float(16|32|64))")
_OUTLAWED = (pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.EXT1, pickle.EXT2, pickle.EXT4,
             pickle.PERSID, pickle.BINPERSID, pickle.NEXT_BUFFER, pickle.READONLY_BUFFER)  # fmt: skip


class RefusedPickleError(InputError):
    """The pickle holds more than plain data (code "forbidden"), is cut or damaged ("damaged"), or too large."""

    code = "forbidden"


@dataclass(slots=True)
class PlainArray:
    """A pickled array: read it with `numpy()`. Empty until its state was read."""

    dtype: np.dtype[Any] | None = None
    shape: tuple[int, ...] = ()
    fortran: bool = False
    data: bytes | bytearray = b""

    def numpy(self) -> np.ndarray:
        """The values, read-only, without a copy. Raises `RefusedPickleError` for an array that has none."""
        if self.dtype is None:
            raise RefusedPickleError("The pickle holds an array without values.", code="damaged")
        flat = np.frombuffer(self.data, self.dtype)
        flat.flags.writeable = False
        return flat.reshape(self.shape, order="F" if self.fortran else "C")

    def __setstate__(self, state: Any) -> None:
        if self.dtype is not None or not isinstance(state, tuple) or len(state) not in (4, 5):
            _refuse("an array of an unknown form")
        shape, dtype, fortran, data = state[-4:]
        if isinstance(data, str):  # Python 2 wrote its bytes as text
            data = data.encode("latin-1")
        if not isinstance(dtype, _Kind) or not isinstance(data, (bytes, bytearray)):
            _refuse("an array of objects")
        self._fill(shape, dtype.numpy(), bool(fortran), data)

    def _fill(self, shape: Any, dtype: np.dtype[Any], fortran: bool, data: bytes | bytearray) -> None:
        if not isinstance(shape, tuple) or len(shape) > DIMS_MAX or not all(type(n) is int and n >= 0 for n in shape):
            _refuse("an array of a shape that is none")
        if math.prod(shape) * dtype.itemsize != len(data):
            raise RefusedPickleError(
                f"The pickle holds an array of shape {shape} with {len(data)} bytes of values.", code="damaged"
            )
        self.dtype, self.shape, self.fortran, self.data = dtype, shape, fortran, data


def load_plain(data: bytes) -> Any:
    """The lists, dicts, tuples, numbers, texts, bytes, None and `PlainArray` in a pickle of protocol 0 to 5.

    Sets come as lists; dictionary keys are texts. Raises `RefusedPickleError`: code "forbidden" with the name that is
    not plain data, "damaged" for what is cut or malformed, "too_large" above `BYTES_MAX`.
    """
    if len(data) > BYTES_MAX:
        raise RefusedPickleError(f"The pickle has {len(data)} bytes; at most {BYTES_MAX} are read.", code="too_large")
    try:
        return _PlainUnpickler(data).load_counted()
    except RefusedPickleError:
        raise
    except Exception as error:  # whatever a malformed stream leads to; the reason is kept
        reason = f"{type(error).__name__}: {error}"[:200]
        raise RefusedPickleError(f"The pickle is cut or damaged ({reason}).", code="damaged") from error


def _refuse(what: str) -> Never:
    raise RefusedPickleError(
        f"The pickle holds {what[:200]}; only lists, dictionaries, numbers, texts and arrays of numbers are read.",
        hint="Save the arrays with numpy.save (.npy) and import those.",
    )


class _Kind:
    """Stand-in of a pickled dtype: a number or text kind, its byte order, the size of one value."""

    __slots__ = ("_code", "_order", "_size")

    def __init__(self, code: str) -> None:
        self._code, self._order, self._size = code, "=", 0

    def __setstate__(self, state: Any) -> None:
        order, subtype, names, fields, size = state[1:6]
        if subtype is not None or names is not None or fields is not None or order not in ("<", ">", "|", "="):
            _refuse("an array of records")
        self._order = order
        self._size = size if self._code[0] in "US" else 0

    def numpy(self) -> np.dtype[Any]:
        found = np.dtype(self._code)
        if self._size and found.itemsize == 0 and type(self._size) is int and 0 < self._size <= 4 * TEXT_MAX:
            # Python 2 and old NumPy wrote U0 / S0 with the size in the state.
            found = np.dtype(f"{self._code[0]}{self._size // (4 if self._code[0] == 'U' else 1)}")
        return found if self._order in ("=", "|") else found.newbyteorder("<" if self._order == "<" else ">")


class _StandIn:
    """What a name in a pickle stands for: called with plain values, without anything that a pickle could change."""

    __slots__ = ("_act",)
    _act: Callable[..., Any]

    def __init__(self, act: Callable[..., Any]) -> None:
        object.__setattr__(self, "_act", act)

    def __call__(self, *values: Any) -> Any:
        return self._act(*values)

    def __setattr__(self, name: str, value: Any) -> Never:
        _refuse("changes to a function")

    def __setstate__(self, state: Any) -> Never:
        _refuse("changes to a function")


def _dtype(code: Any, *flags: Any) -> _Kind:
    if isinstance(code, bytes):
        code = code.decode("latin-1")
    if not isinstance(code, str) or not _KIND.fullmatch(code):
        _refuse("an array of objects" if str(code).startswith("O") else f"an array of kind {str(code)!r}")
    return _Kind(code)


def _reconstruct(kind: Any, shape: Any, code: Any) -> PlainArray:
    return PlainArray()


def _from_buffer(data: Any, dtype: Any, shape: Any, order: Any) -> PlainArray:
    if not isinstance(dtype, _Kind) or not isinstance(data, (bytes, bytearray)):
        _refuse("an array of objects")
    found = PlainArray()
    found._fill(shape, dtype.numpy(), order == "F", data)
    return found


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if isinstance(data, str):
        data = data.encode("latin-1")
    found = _from_buffer(data, dtype, (), "C")
    return found.numpy().item()


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        _refuse("a text of an unknown encoding")
    return text.encode("latin-1")


def _bytes(*values: Any) -> bytes:
    if not values:
        return b""
    if isinstance(values[0], str):
        return _encoded(*values)
    if isinstance(values[0], (bytes, bytearray)) and len(values) == 1:
        return bytes(values[0])
    _refuse("bytes made of something else")


def _listed(values: Any = ()) -> list[Any]:
    if not isinstance(values, (list, tuple)):
        _refuse("a set made of something else")
    return list(values)


def _mapping(values: Any = ()) -> dict[str, Any]:
    pairs = _listed(values)
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 for pair in pairs):
        _refuse("a dictionary made of something else")
    return _with_text_keys([part for pair in pairs for part in pair])


def _with_text_keys(items: list[Any]) -> dict[str, Any]:
    """Of keys and values in turn."""
    # Looked at before they are hashed: hashing a tuple of tuples a hundred thousand deep ends the process. Texts are
    # hashed with a key of the process, so that no file can make all of its keys collide.
    if not all(type(key) is str and len(key) <= TEXT_MAX for key in items[::2]):
        _refuse("a dictionary with keys that are no texts")
    return dict(zip(items[::2], items[1::2], strict=True))


_ARRAYS = {"_reconstruct": _StandIn(_reconstruct), "scalar": _StandIn(_scalar)}
_BUILTINS = {"bytes": _StandIn(_bytes), "bytearray": _StandIn(_bytes), "set": _StandIn(_listed),
             "frozenset": _StandIn(_listed)}  # fmt: skip
_NAMES: dict[str, dict[str, _StandIn]] = {
    "numpy": {"dtype": _StandIn(_dtype), "ndarray": _StandIn(lambda *_: _refuse("an array of an unknown form"))},
    "numpy.core.multiarray": _ARRAYS,
    "numpy._core.multiarray": _ARRAYS,
    "numpy.core.numeric": {"_frombuffer": _StandIn(_from_buffer)},
    "numpy._core.numeric": {"_frombuffer": _StandIn(_from_buffer)},
    "_codecs": {"encode": _StandIn(_encoded)},
    "collections": {"OrderedDict": _StandIn(_mapping)},
    "builtins": _BUILTINS,
    "__builtin__": _BUILTINS,
}


class _PlainUnpickler(pickle._Unpickler):
    """The standard library's machine in Python (its memo is a dictionary), with what is not plain data taken out."""

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)
    stack: list[Any]
    metastack: list[list[Any]]
    read: Callable[[int], bytes]
    append: Callable[[Any], None]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, data: bytes) -> None:
        self._size, self._copied = len(data), 0
        super().__init__(io.BytesIO(data), fix_imports=False, encoding="latin-1")

    def load_counted(self) -> Any:
        """As `load`, with a bound on the opcodes, and so on the objects that a small file can make."""
        frames = pickle._Unframer(self._file_read, self._file_readline)  # type: ignore[attr-defined]
        self._unframer, self.read, self.readinto, self.readline = frames, frames.read, frames.readinto, frames.readline
        self.metastack, self.stack, self.proto = [], [], 0
        self.append = self.stack.append
        for _ in range(OPCODES_MAX):
            code = self.read(1)
            if not code:
                raise EOFError("it ends too early")
            if code == pickle.STOP:
                return self.stack.pop()
            self.dispatch[code[0]](self)
        raise RefusedPickleError(f"The pickle has more than {OPCODES_MAX} steps.", code="too_large")

    def find_class(self, module: Any, name: Any) -> Any:
        found = _NAMES.get(module, {}).get(name)
        return found if found is not None else _refuse(f"{str(module)!r}.{str(name)!r}")

    def load_reduce(self) -> None:
        stack = self.stack
        values, act = stack.pop(), stack[-1]
        if not isinstance(act, _StandIn) or not isinstance(values, tuple):
            _refuse("a call of something unknown")
        stack[-1] = made = act(*values)
        if isinstance(made, (list, dict, bytes)):
            # Each value that a call copies was in the file once: more of them are copies of copies
            self._copied += len(made)
            if self._copied > self._size:
                raise RefusedPickleError("The pickle copies its values over and over.", code="too_large")

    def load_build(self) -> None:
        state = self.stack.pop()
        if not isinstance(self.stack[-1], (PlainArray, _Kind)):
            _refuse("an object with a state")
        self.stack[-1].__setstate__(state)

    def load_bytearray8(self) -> None:
        size = int.from_bytes(self.read(8), "little")
        if size > self._size:  # the standard one reserves this much first
            raise RefusedPickleError("The pickle is cut or damaged (a length beyond its end).", code="damaged")
        self.append(bytes(self.read(size)))

    def load_dict(self) -> None:
        items = self.pop_mark()  # (which puts another stack in place to append to)
        self.append(_with_text_keys(items))

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not dict:
            _refuse("values set in something that is no dictionary")
        target.update(_with_text_keys(items))

    def load_append(self) -> None:
        self._extend([self.stack.pop()])

    def load_appends(self) -> None:
        self._extend(self.pop_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            _refuse("values added to something that is no list")
        self.stack[-1].extend(items)

    def load_empty_set(self) -> None:
        self.append([])

    def load_frozenset(self) -> None:
        items = self.pop_mark()
        self.append(items)

    def load_outlawed(self) -> None:
        _refuse("an instance of a class, or something outside the file")

    for _code in _OUTLAWED:
        dispatch[_code[0]] = load_outlawed
    for _code, _load in (
        (pickle.REDUCE, load_reduce), (pickle.BUILD, load_build), (pickle.BYTEARRAY8, load_bytearray8),
        (pickle.DICT, load_dict), (pickle.SETITEM, load_setitem), (pickle.SETITEMS, load_setitems),
        (pickle.APPEND, load_append), (pickle.APPENDS, load_appends), (pickle.EMPTY_SET, load_empty_set),
        (pickle.ADDITEMS, load_appends), (pickle.FROZENSET, load_frozenset),
    ):  # fmt: skip
        dispatch[_code[0]] = _load
