"""The zip format of torch.save: uncompressed members, one pickle and one member for each storage.

Python's zipfile is not used: it reads directories of any length, and decompresses. torch never compresses, so a
compressed member is either a zip bomb or not a checkpoint.
"""

from __future__ import annotations

import itertools
import struct
from typing import Any

from latent_editor.checkpoints.unpickling.machine import Machine
from latent_editor.checkpoints.unpickling.records import Budget, Refused, shorten
from latent_editor.checkpoints.unpickling.stack import Allowed
from latent_editor.checkpoints.unpickling.tensors import Storage, storage_of

_END, _END64, _LOCATOR, _ENTRY, _LOCAL = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2", b"PK\3\4"
_MAX_MEMBERS = 20_000


def zip_members(data: memoryview) -> dict[str, memoryview]:
    """The members of an uncompressed zip file, by name, as views.

    Raises:
        Refused: it is damaged, or has members that are compressed, encrypted, overlapping or out of bounds.
    """
    count, position, end = _directory(data)
    if count > _MAX_MEMBERS:
        raise Refused(f"is a zip file of {count:,} members; the limit is {_MAX_MEMBERS:,}")
    members: dict[str, memoryview] = {}
    spans: list[tuple[int, int, str]] = []
    for _ in range(count):
        entry = _slice(data, position, 46, end)
        if entry[:4] != _ENTRY:
            raise Refused("is a zip file with a damaged directory")
        flags, method = struct.unpack_from("<HH", entry, 8)
        packed, unpacked, name_length, extra_length, comment_length = struct.unpack_from("<IIHHH", entry, 20)
        (offset,) = struct.unpack_from("<I", entry, 42)
        name = bytes(_slice(data, position + 46, name_length, end)).decode("utf-8", "replace")
        extra = bytes(_slice(data, position + 46 + name_length, extra_length, end))
        packed, unpacked, offset = _zip64_values(extra, packed, unpacked, offset)
        if method != 0 or packed != unpacked or flags & 1:
            raise Refused(
                f"is a zip file whose member {shorten(name)} is compressed or encrypted ({unpacked:,} bytes from "
                f"{packed:,}), which torch.save never does"
            )
        start, body = _member_data(data, offset, unpacked, name)
        if name in members:
            raise Refused(f"is a zip file with two members called {shorten(name)}")
        members[name] = body
        spans.append((offset, start + unpacked, name))
        position += 46 + name_length + extra_length + comment_length
    spans.sort()
    for (_, stop, first), (start, _, second) in itertools.pairwise(spans):
        if start < stop:
            raise Refused(f"is a zip file whose members {shorten(first)} and {shorten(second)} overlap")
    return members


def _slice(data: memoryview, position: int, count: int, end: int | None = None) -> memoryview:
    if position < 0 or position + count > (len(data) if end is None else end):
        raise Refused("is a truncated or damaged zip file")
    return data[position : position + count]


def _directory(data: memoryview) -> tuple[int, int, int]:
    """The number of members, and start and end of the central directory."""
    tail_start = max(0, len(data) - 65557)
    found = bytes(data[tail_start:]).rfind(_END)
    if found < 0:
        raise Refused("is a truncated zip file: the directory at its end is missing")
    end = tail_start + found
    count, length, offset = struct.unpack_from("<HII", _slice(data, end, 22), 10)
    if end >= 20 and bytes(data[end - 20 : end - 16]) == _LOCATOR:
        (end64,) = struct.unpack_from("<Q", data, end - 12)
        record = _slice(data, end64, 56)
        if record[:4] != _END64:
            raise Refused("is a zip file with a damaged directory")
        count, length, offset = struct.unpack_from("<QQQ", record, 32)
    _slice(data, offset, length, end)
    return int(count), int(offset), int(offset + length)


def _zip64_values(extra: bytes, packed: int, unpacked: int, offset: int) -> tuple[int, int, int]:
    """Replaces overflowed 32-bit values by the 64-bit ones of the ZIP64 extra field."""
    position = 0
    values: list[int] = []
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        if kind == 1:
            body = extra[position + 4 : position + 4 + length]
            values = list(struct.unpack(f"<{len(body) // 8}Q", body[: len(body) // 8 * 8]))
        position += 4 + length
    result = []
    for value in (unpacked, packed, offset):
        if value == 0xFFFFFFFF:
            if not values:
                raise Refused("is a zip file with a damaged directory")
            value = values.pop(0)
        result.append(value)
    return result[1], result[0], result[2]


def _member_data(data: memoryview, offset: int, length: int, name: str) -> tuple[int, memoryview]:
    local = _slice(data, offset, 30)
    if local[:4] != _LOCAL:
        raise Refused(f"is a zip file whose member {shorten(name)} is not where the directory says")
    name_length, extra_length = struct.unpack_from("<HH", local, 26)
    start = offset + 30 + name_length + extra_length
    return start, _slice(data, start, length)


class ZipFile:
    """The torch.save format of torch 1.6 and later."""

    def __init__(self, data: memoryview, budget: Budget, allowed: Allowed) -> None:
        self.budget, self.allowed = budget, allowed
        self.members = zip_members(data)
        roots = [name for name in self.members if name.endswith("data.pkl") and name.count("/") <= 1]
        if len(roots) != 1:
            names = ", ".join(shorten(name, 40) for name in sorted(self.members)[:6])
            raise Refused(f"is a zip file with {names or 'nothing'} in it, not written by torch.save")
        self.prefix = roots[0].removesuffix("data.pkl")
        if f"{self.prefix}constants.pkl" in self.members:
            raise Refused("is a TorchScript program, which would have to be executed")
        order = self.members.get(f"{self.prefix}byteorder")
        if order is not None and bytes(order[:16]) != b"little":
            raise Refused("has big-endian numbers")
        self.storages: dict[str, Storage] = {}

    def read(self) -> Any:
        """Reads the root object, as records.

        Raises:
            Refused: with the reason.
        """
        data = self.members[f"{self.prefix}data.pkl"]
        return Machine(data, self.allowed, self.budget, persistent=self._persistent_load).run()

    def _persistent_load(self, reference: Any) -> Storage:
        key, storage = storage_of(reference)
        known = self.storages.get(key)
        if known is None:
            member = self.members.get(f"{self.prefix}data/{key}")
            if member is None:
                raise Refused(f"refers to the storage {shorten(key)}, which is missing")
            storage.fill(member)
            known = self.storages[key] = storage
        if known.dtype != storage.dtype or known.numel != storage.numel:
            raise Refused("gives one storage two dtypes or sizes")
        return known
