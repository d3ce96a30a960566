"""Stand-ins for the globals of pickled tensors, and the two formats of torch.save.

``torch.load(weights_only=True)`` was rejected: it fails on the ``argparse.Namespace`` in many public checkpoints, had a
remote code execution bug (CVE-2025-32434), and allocates before it knows how many bytes there are. Here a tensor is a
view of the file; the tests compare with ``weights_only=True``.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from latent_editor.checkpoints.unpickling.arrays import array_names, checked_shape, not_callable
from latent_editor.checkpoints.unpickling.machine import Machine
from latent_editor.checkpoints.unpickling.records import Budget, GlobalRef, Record, Refused, shorten
from latent_editor.checkpoints.unpickling.stack import Allowed

#: Header of the old torch.save format (before version 1.6, and in nested pickles).
LEGACY_MAGIC, LEGACY_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_MAX_STORAGES = 20_000
#: Limit of tensors in a bare pickle: NVIDIA's files with three networks have about 1,500.
_MAX_NESTED = 5_000

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


class Storage(Record):
    """The storage of tensors: bytes of the file, located after the pickle was read."""

    def __init__(self, dtype: torch.dtype, numel: int, data: memoryview | None = None) -> None:
        self.dtype = dtype
        self.numel = numel
        self.data = data
        self._flat: Tensor | None = None

    @property
    def nbytes(self) -> int:
        return self.numel * self.dtype.itemsize

    def fill(self, data: memoryview) -> None:
        if len(data) != self.nbytes:
            raise Refused(f"has a storage that claims {self.nbytes:,} bytes but has {len(data):,}")
        self.data = data

    def flat(self) -> Tensor:
        """The whole storage as a tensor [numel], a view of the file."""
        if self._flat is None:
            if self.data is None:
                raise Refused("has a storage without data")
            empty = torch.empty(0, dtype=self.dtype)
            self._flat = torch.frombuffer(self.data, dtype=self.dtype) if self.numel else empty
        return self._flat

    def finish(self, parts: tuple[Any, ...]) -> Tensor:
        return self.flat()


class TensorRecord(Record):
    """A view of a storage."""

    def __init__(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> None:
        if not isinstance(storage, Storage):
            raise Refused(f"makes a tensor from a {type(storage).__name__} instead of a storage")
        self.storage = storage
        self.size, self.stride = checked_shape(size), checked_shape(stride)
        (self.offset,) = checked_shape(offset)
        if len(self.size) != len(self.stride):
            raise Refused("has a tensor whose size and stride differ in length")
        numel = math.prod(self.size)
        last = sum((n - 1) * s for n, s in zip(self.size, self.stride, strict=True))
        if numel and (numel > storage.numel or self.offset + last >= storage.numel):
            raise Refused(
                f"has a tensor that claims {numel:,} numbers for its shape {list(self.size)}; "
                f"there are {storage.numel:,}"
            )

    def finish(self, parts: tuple[Any, ...]) -> Tensor:
        if not math.prod(self.size):
            return torch.empty(self.size, dtype=self.storage.dtype) if sum(self.size) < 1 << 20 else torch.empty(0)
        return self.storage.flat().as_strided(self.size, self.stride, self.offset)


def parameter(data: Any = None, *_: Any) -> Any:
    """A parameter, as its tensor."""
    if not isinstance(data, TensorRecord):
        raise Refused(f"makes a parameter from a {type(data).__name__} instead of a tensor")
    return data


def size(values: Any = ()) -> tuple[int, ...]:
    return checked_shape(values)


def tensor_names() -> dict[tuple[str, str], Callable[..., Any]]:
    """Stand-ins for the globals of tensors in torch.save files, and those of :func:`array_names`."""
    names = array_names()
    names.update({("torch", name): not_callable for name in (*_STORAGES, *_DTYPES)})
    names.update({("torch.cuda", name): not_callable for name in _STORAGES})
    names["torch.storage", "UntypedStorage"] = not_callable
    names["torch._utils", "_rebuild_tensor_v2"] = TensorRecord
    names["torch._utils", "_rebuild_tensor"] = TensorRecord
    names["torch._utils", "_rebuild_parameter"] = parameter
    names["torch.nn.parameter", "Parameter"] = parameter
    names["torch", "Size"] = size
    names["torch", "device"] = lambda *words: ":".join(str(w)[:20] for w in words[:2])
    return names


def storage_of(reference: Any) -> tuple[str, Storage]:
    """Parses a persistent id ("storage", type, key, device, numel, …) to a key and a storage without data."""
    if not isinstance(reference, tuple) or len(reference) < 5 or reference[0] != "storage":
        raise Refused("has a persistent id that is not a numeric storage")
    _, kind, key, _, numel = reference[:5]
    if not isinstance(kind, GlobalRef) or not isinstance(key, (str, int)):
        raise Refused("refers to a storage without a type or key")
    dtype = torch.uint8 if kind.name == "UntypedStorage" else _STORAGES.get(kind.name)
    if dtype is None:
        raise Refused(f"refers to a storage of {shorten(str(kind))}; expected a numeric type")
    if len(reference) > 5 and reference[5] is not None:
        raise Refused("refers to a view of a storage, which is only used in very old files")
    (count,) = checked_shape(numel)
    return str(key), Storage(dtype, count)


class LegacyFile:
    """The torch.save format before torch 1.6: five pickles, then the storages."""

    def __init__(self, data: memoryview, budget: Budget, allowed: Allowed) -> None:
        self.data, self.budget, self.allowed = data, budget, allowed
        self.storages: dict[str, Storage] = {}

    def read(self) -> Any:
        """Reads the root object, as records.

        Raises:
            Refused: with the reason.
        """
        plain = {("collections", "OrderedDict"): not_callable}
        magic, position = self._pickle(0, plain)
        protocol, position = self._pickle(position, plain)
        if magic != LEGACY_MAGIC or protocol != LEGACY_PROTOCOL:
            raise Refused("has a torch.save format version other than 1001")
        system, position = self._pickle(position, plain)
        if not isinstance(system, dict) or system.get("little_endian") is not True or sys.byteorder != "little":
            raise Refused("has big-endian numbers")
        root, position = self._pickle(position, self.allowed, self._persistent_load)
        keys, position = self._pickle(position, plain)
        if not isinstance(keys, list) or set(map(str, keys)) != set(self.storages) or len(keys) != len(self.storages):
            raise Refused("lists other storages than it uses")
        for key in keys:
            storage = self.storages[str(key)]
            count = int.from_bytes(self._take(position, 8), "little")
            if count != storage.numel:
                raise Refused(f"has a storage that claims both {storage.numel:,} and {count:,} numbers")
            storage.fill(self._take(position + 8, storage.nbytes))
            position += 8 + storage.nbytes
        return root

    def _pickle(
        self, position: int, allowed: Allowed, persistent: Callable[[Any], Any] | None = None
    ) -> tuple[Any, int]:
        machine = Machine(self.data, allowed, self.budget, persistent=persistent, position=position)
        return machine.run(), machine.position

    def _take(self, position: int, count: int) -> memoryview:
        left = len(self.data) - position
        if count > left:
            raise Refused(f"is truncated: a storage at byte {position:,} needs {count:,} bytes and {left:,} are left")
        return self.data[position : position + count]

    def _persistent_load(self, reference: Any) -> Storage:
        key, storage = storage_of(reference)
        known = self.storages.setdefault(key, storage)
        if known.dtype != storage.dtype or known.numel != storage.numel:
            raise Refused("gives one storage two dtypes or sizes")
        if len(self.storages) > _MAX_STORAGES or storage.nbytes > len(self.data):
            raise Refused(f"has a storage that claims {storage.nbytes:,} bytes in a file of {len(self.data):,}")
        return known


def nested_reader(budget: Budget) -> Callable[..., Any]:
    """Stand-in for ``torch.storage._load_from_bytes``: reads a single storage in the old format."""
    names = {("torch", name): not_callable for name in _STORAGES} | {
        ("torch.cuda", name): not_callable for name in _STORAGES
    }
    names["torch.storage", "UntypedStorage"] = not_callable

    count = itertools.count(1)

    def read(data: Any) -> Storage:
        if next(count) > _MAX_NESTED:
            raise Refused(f"loads more than {_MAX_NESTED:,} tensors from bytes")
        if isinstance(data, bytes):
            data = memoryview(bytearray(data))
        if not isinstance(data, memoryview):
            raise Refused(f"loads a tensor from a {type(data).__name__}; expected bytes")
        try:
            storage = LegacyFile(data, budget, names).read()
        except Refused as e:
            raise Refused(f"has a nested tensor that {e}") from e
        if not isinstance(storage, Storage):
            raise Refused(f"has a nested {type(storage).__name__} instead of a numeric storage")
        return storage

    return read
