"""Stand-ins for the globals of pickled NumPy arrays and plain containers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from latent_editor.checkpoints.unpickling.records import Attributes, NamespaceRecord, Record, Refused

_TYPE = re.compile(r"([<>=|]?)([biufcSU])(\d{1,4})")
_MAX_DIMENSIONS = 16


class DType(Record):
    """A NumPy dtype of numbers or text."""

    def __init__(self, text: Any, align: Any = 0, copy: Any = 1) -> None:
        if isinstance(text, (bytes, memoryview)):
            text = bytes(text).decode("ascii", "replace")
        match = _TYPE.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            what = "objects" if str(text).lstrip("|<>=").startswith("O") else repr(text)[:40]
            raise Refused(f"holds a NumPy array of {what}; expected numbers")
        self.dtype = np.dtype(text)

    def build(self, state: Any) -> None:
        order, *rest = state[1:]
        if rest[:3] != [None, None, None] or order not in ("<", ">", "|", "="):
            raise Refused("holds a NumPy array with a structured dtype; expected numbers")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)

    def finish(self, parts: tuple[Any, ...]) -> str:
        return str(self.dtype.str)


class Array(Record):
    """A NumPy array, empty until its state is set. It is a view of the file, so that repeated references are free."""

    def __init__(self, array: np.ndarray | None = None) -> None:
        self.array = array

    def build(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        self.array = array_from(data, dtype, shape, "F" if fortran else "C")

    def finish(self, parts: tuple[Any, ...]) -> np.ndarray:
        if self.array is None:
            raise Refused("holds a NumPy array without data")
        return self.array


def array_from(data: Any, dtype: Any, shape: Any, order: str) -> np.ndarray:
    """An array view of ``data``, whose length has to match shape and dtype."""
    if not isinstance(dtype, DType) or not isinstance(data, (bytes, memoryview, str)):
        raise Refused("holds a NumPy array without a dtype or data")
    if isinstance(data, str):  # Python 2, or a short text
        data = data.encode("latin-1")
    if isinstance(data, bytes):
        data = memoryview(bytearray(data))
    shape = checked_shape(shape)
    claimed = math.prod(shape) * dtype.dtype.itemsize
    if claimed != len(data):
        raise Refused(f"holds an array that claims {claimed:,} bytes for its shape {list(shape)} and has {len(data):,}")
    if not claimed:
        return np.zeros(shape, dtype.dtype)
    return np.frombuffer(data, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Validates a shape."""
    if isinstance(shape, int):
        shape = (shape,)
    if not isinstance(shape, (tuple, list)) or len(shape) > _MAX_DIMENSIONS:
        raise Refused("holds an array or tensor whose shape is not a short list of numbers")
    for n in shape:
        if isinstance(n, bool) or not isinstance(n, int) or not 0 <= n < 1 << 40:
            raise Refused("holds an array or tensor with an invalid length in its shape")
    return tuple(shape)


def scalar(dtype: Any, data: Any = b"") -> Any:
    """A NumPy scalar as a Python number."""
    return array_from(data, dtype, (), "C").item()


def from_buffer(data: Any, dtype: Any, shape: Any, order: Any = "C", axes: Any = None) -> Array:
    if axes is not None:
        raise Refused("holds a NumPy array with permuted axes")
    return Array(array_from(data, dtype, shape, order))


def not_callable(*_: Any) -> Any:
    raise Refused("calls a type that is only referenced in valid files")


def attributes(items: Any = ()) -> Attributes:
    """An OrderedDict or EasyDict."""
    pairs = items.items() if isinstance(items, dict) else items
    result = Attributes()
    for key, value in pairs:
        if not isinstance(key, (str, int, float, bytes)):
            raise Refused(f"has a {type(key).__name__} for a key; expected text or a number")
        result[key] = value
    return result


def encode(text: Any, encoding: Any = "latin1") -> bytes:
    """``_codecs.encode``: how protocol 2 stores bytes."""
    if encoding not in ("latin1", "latin-1") or not isinstance(text, str):
        raise Refused("encodes text in an encoding other than Latin-1")
    return text.encode("latin-1")


def flat(items: Any = ()) -> list[Any]:
    if not isinstance(items, (list, tuple)):
        raise Refused("makes a set of something other than a list")
    return [item for item in items if item is None or isinstance(item, (str, int, float, bytes))]


def path(*parts: Any) -> str:
    """A path, as text for display."""
    return "/".join(str(part)[:200] for part in parts[:50] if isinstance(part, str))


def array_names() -> dict[tuple[str, str], Callable[..., Any]]:
    """Stand-ins for the globals of NumPy arrays, numbers and plain containers."""
    names: dict[tuple[str, str], Callable[..., Any]] = {
        ("collections", "OrderedDict"): attributes,
        ("_codecs", "encode"): encode,
        ("numpy", "dtype"): DType,
        ("numpy", "ndarray"): not_callable,
        ("argparse", "Namespace"): NamespaceRecord,
        ("pathlib", "PosixPath"): path,
        ("pathlib", "WindowsPath"): path,
        ("pathlib", "PurePosixPath"): path,
    }
    for module in ("builtins", "__builtin__"):
        names[module, "set"] = lambda items=(): set(flat(items))
        names[module, "frozenset"] = lambda items=(): frozenset(flat(items))
        names[module, "bytes"] = lambda: b""  # how old protocols write empty bytes
        names[module, "bytearray"] = lambda data=b"", *_: data if isinstance(data, (bytes, memoryview)) else b""
    for core in ("numpy.core", "numpy._core"):
        names[f"{core}.multiarray", "_reconstruct"] = lambda *_: Array()
        names[f"{core}.multiarray", "scalar"] = scalar
        names[f"{core}.numeric", "_frombuffer"] = from_buffer
    names.update({("numpy.dtypes", f"{kind}DType"): _dtype_class(code) for kind, code in _DTYPE_CLASSES.items()})
    return names


_DTYPE_CLASSES = {"Float16": "f2", "Float32": "f4", "Float64": "f8", "Int32": "i4", "Int64": "i8", "Bool": "b1"}


def _dtype_class(code: str) -> Callable[..., DType]:
    return lambda *_: DType(code)
