"""Reads pickles without executing them.

A pickle is a program. Every function here interprets it with a machine that can only build plain values
(:mod:`latent_editor.checkpoints.unpickling.machine`): nothing that a file references is imported, called or looked up,
and any global outside of a short allowlist is refused by name.

======================  ==================================================================================
:func:`read_arrays`     a pickle of NumPy arrays, numbers, text and containers
:func:`read_torch`      a file of ``torch.save`` in either container format: the same, and tensors
:func:`read_pickle`     a pickle with the caller's own allowlist; see :class:`Record` and :class:`Instance`
:func:`read_model_file` any of them, for the checkpoint readers
======================  ==================================================================================
"""

from __future__ import annotations

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from latent_editor.checkpoints.unpickling.archives import ZipFile
from latent_editor.checkpoints.unpickling.arrays import array_names, attributes
from latent_editor.checkpoints.unpickling.machine import Machine
from latent_editor.checkpoints.unpickling.records import (
    Attributes,
    Budget,
    Instance,
    InstanceRecord,
    Limits,
    Record,
    Refused,
    finish,
    shorten,
)
from latent_editor.checkpoints.unpickling.stack import Allowed
from latent_editor.checkpoints.unpickling.tensors import LegacyFile, nested_reader, tensor_names
from latent_editor.core.errors import BadModel, LatentEditorError

__all__ = [
    "Attributes",
    "Instance",
    "InstanceRecord",
    "Limits",
    "Record",
    "Refused",
    "array_names",
    "attributes",
    "is_legacy_torch",
    "is_zip",
    "open_bytes",
    "read_arrays",
    "read_model_file",
    "read_pickle",
    "read_torch",
    "shorten",
    "tensor_names",
]

#: Limits for checkpoints, and for files of arrays.
LIMITS, ARRAY_LIMITS = Limits(), Limits(max_bytes=1 << 30)

Source = str | Path | bytes | bytearray | BinaryIO
_ADVICE = "Nothing in it was run. Download the file again from its publisher."


def is_zip(head: bytes) -> bool:
    """Whether a file that starts with ``head`` is a zip file."""
    return head[:4] in (b"PK\3\4", b"PK\5\6")


def is_legacy_torch(head: bytes) -> bool:
    """Whether a file that starts with ``head`` has the torch.save format from before torch 1.6."""
    return head[:14] == b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"


def open_bytes(source: Source, *, max_bytes: int, mmap_: bool = False) -> tuple[memoryview, str]:
    """Opens a file.

    Args:
        source: A path, bytes, or an open binary file.
        max_bytes: Size limit.
        mmap_: Memory-map the file instead of reading it.

    Returns:
        Its bytes, and its name for messages.

    Raises:
        Refused: it is missing, empty, not a file, or too large.
    """
    if isinstance(source, (bytes, bytearray)):
        data, name = bytearray(source), "The data"
        size = len(data)
    elif isinstance(source, (str, Path)):
        return _open_path(Path(source), max_bytes, mmap_), Path(source).name
    else:
        data, name = bytearray(source.read(max_bytes + 1)), Path(str(getattr(source, "name", "The data"))).name
        size = len(data)
    if size > max_bytes:
        raise Refused(f"has {size:,} bytes or more; the limit is {max_bytes:,}")
    return memoryview(data), name


def _open_path(path: Path, max_bytes: int, mmap_: bool) -> memoryview:
    try:
        if not path.is_file():
            raise Refused("is a folder; expected a file" if path.is_dir() else "does not exist")
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            if not size:
                raise Refused("is empty")
            if size > max_bytes:
                raise Refused(f"has {size:,} bytes; the limit is {max_bytes:,}")
            if mmap_:
                # Copy-on-write: tensors over it are writable, as torch requires, but the file stays unchanged.
                return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
            data = bytearray(size)
            got = file.readinto(data)
            if got != size:
                raise Refused(f"ended after {got:,} of its {size:,} bytes")
            return memoryview(data)
    except (OSError, ValueError) as e:
        raise Refused(f"cannot be opened ({e})") from e


def read_pickle(
    data: Source, allowed: Allowed, *, limits: Limits = LIMITS, error: type[LatentEditorError] = BadModel
) -> Any:
    """Reads a pickle with an allowlist of globals.

    Args:
        data: The pickle, or its file.
        allowed: For each allowed global (module, name), a stand-in function without side effects that takes the
            arguments in the file and returns a plain value or a :class:`Record`.
        limits: Resource limits.
        error: Exception type to raise.

    Returns:
        Dicts, lists, tuples, sets, numbers, text, and the results of :meth:`Record.finish`.

    Raises:
        error: names the refused global, or the position in the file.
    """
    return _guarded(data, limits, error, False, lambda view, budget: Machine(view, allowed, budget).run())


def read_arrays(path: Source, *, limits: Limits = ARRAY_LIMITS, error: type[LatentEditorError] = BadModel) -> Any:
    """Reads a pickle of numeric NumPy arrays, numbers, text, and containers of these.

    Raises:
        error: it holds or references anything else, or is damaged.
    """
    return read_pickle(path, array_names(), limits=limits, error=error)


def read_torch(
    source: Source, *, mmap: bool = False, limits: Limits = LIMITS, error: type[LatentEditorError] = BadModel
) -> Any:
    """Reads a file of ``torch.save``: tensors, NumPy arrays, numbers, text, and containers of these.

    Args:
        source: The file.
        mmap: Memory-map the file; the tensors are views of it.
        limits, error: As in :func:`read_pickle`.

    Raises:
        error: it holds or references anything else, or is damaged.
    """

    def read(view: memoryview, budget: Budget) -> Any:
        head = bytes(view[:16])
        if is_zip(head):
            return ZipFile(view, budget, tensor_names()).read()
        if is_legacy_torch(head):
            return LegacyFile(view, budget, tensor_names()).read()
        raise Refused("was not written by torch.save")

    return _guarded(source, limits, error, mmap, read)


def read_model_file(
    source: Source,
    names: Mapping[tuple[str, str], Callable[..., Any]],
    *,
    limits: Limits = LIMITS,
    error: type[LatentEditorError] = BadModel,
    select: Callable[[Any], Any] = lambda root: root,
) -> Any:
    """Reads a checkpoint in any container: either torch.save format, or a bare pickle with nested tensors.

    Args:
        source: The file; tensors are views of it.
        names: Allowed globals besides those of tensors and arrays.
        limits, error: As in :func:`read_pickle`.
        select: Picks the needed part of the parsed records before they are converted.

    Raises:
        error: names the refused global, or the position in the file.
    """

    def read(view: memoryview, budget: Budget) -> Any:
        head = bytes(view[:16])
        allowed = {**tensor_names(), ("torch.storage", "_load_from_bytes"): nested_reader(budget), **names}
        if is_zip(head):
            return select(ZipFile(view, budget, allowed).read())
        if is_legacy_torch(head):
            return select(LegacyFile(view, budget, allowed).read())
        return select(Machine(view, allowed, budget).run())

    return _guarded(source, limits, error, True, read)


def _guarded(
    source: Source,
    limits: Limits,
    error: type[LatentEditorError],
    mmap_: bool,
    read: Callable[[memoryview, Budget], Any],
) -> Any:
    name = Path(source).name if isinstance(source, (str, Path)) else "The data"
    try:
        view, name = open_bytes(source, max_bytes=limits.max_bytes, mmap_=mmap_)
        return finish(read(view, Budget(limits)), limits)
    except Refused as e:
        raise error(f"{name} {e}. {_ADVICE}") from e
    except (MemoryError, RecursionError, RuntimeError) as e:
        raise error(f"{name} cannot be read ({type(e).__name__}: {shorten(str(e))}). {_ADVICE}") from e
