"""The containers that numbers come in: numpy, torch, pickled arrays, JSON, safetensors. Nothing in them is run."""

from __future__ import annotations

import ast
import json
import math
import re
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from latent_editor.checkpoints import unpickling
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadDirection

MAX_BYTES = 256 << 20
#: More arrays than this in one file are something else than directions: a network, a set of latents.
MOST = 1024
LONGEST_HEADER = 10_000
WANTED = "Expected numbers of the shape [w_dim] or [num_ws, w_dim], as .npy, .pt, .pkl, .safetensors or JSON."


def read_container(path: Path) -> tuple[Any, dict[str, str]]:
    """Reads a file of arrays, whatever its container. Nothing in it is run.

    Returns:
        Its content as arrays, tensors, numbers and containers of them; and what its header says (safetensors only).

    Raises:
        BadDirection: it cannot be read, or is of another kind.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as f:
            head = f.read(64)
    except OSError as e:
        raise BadDirection(f"{path.name} cannot be read: {e.strerror}. Choose another file.") from e
    if size > MAX_BYTES:
        raise BadDirection(f"{path.name} has {size:,} bytes; a file of directions has at most {MAX_BYTES:,}.")
    if head.startswith(b"\x93NUMPY"):
        return _numpy(path.read_bytes(), path.name), {}
    if unpickling.is_zip(head):
        return _zip(path), {}
    if unpickling.is_legacy_torch(head):
        return unpickling.read_torch(path, error=BadDirection), {}
    if len(head) > 8 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") < size:
        return tensor_files.read_tensors(path, error=BadDirection, max_bytes=MAX_BYTES)
    if head[:1] == b"\x80":
        return unpickling.read_arrays(path, error=BadDirection), {}
    if head.lstrip()[:1] in (b"[", b"{"):
        return _json(path), {}
    what = "a web page" if head.lstrip()[:1] == b"<" else "empty" if size == 0 else f"begins with {head[:8]!r}"
    raise BadDirection(f"{path.name} is not a file of directions: {what}. {WANTED}")


def _numpy(data: bytes, name: str) -> np.ndarray:
    """Reads .npy (NEP 1): numbers only. The header is held against the length first: a lie costs nothing."""
    try:
        start = 10 if data[6] == 1 else 12
        end = start + int.from_bytes(data[8:start], "little")
        if not data.startswith(b"\x93NUMPY") or end - start > LONGEST_HEADER:
            raise ValueError("not a header of numpy")
        header = ast.literal_eval(data[start:end].decode("utf-8").strip())
        kind, shape, columns = str(header["descr"]), tuple(header["shape"]), bool(header["fortran_order"])
        if not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f"the shape {shape}")
    except (ValueError, LookupError, TypeError, SyntaxError, RecursionError, MemoryError) as e:
        raise BadDirection(f"{name} has a damaged numpy header ({e}). Get the file again.") from e
    if not re.fullmatch(r"[<>|=]?[fiu][1248]", kind):
        raise BadDirection(f"{name} holds {kind[:80]!r} where numbers were expected; objects are never unpickled.")
    dtype = np.dtype(kind)
    if math.prod(shape) * dtype.itemsize != len(data) - end:
        raise BadDirection(
            f"{name} declares {list(shape)} of {dtype}, and holds {len(data) - end:,} bytes. Get the file again."
        )
    values: np.ndarray = np.frombuffer(data, dtype, offset=end)
    return values.reshape(shape, order="F" if columns else "C")


def _zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as z:
            members = z.infolist()
            if not all(m.filename.endswith(".npy") for m in members):
                return unpickling.read_torch(path, error=BadDirection)
            if sum(m.file_size for m in members) > MAX_BYTES or len(members) > MOST:
                raise BadDirection(f"{path.name} unpacks to more than {MAX_BYTES:,} bytes or {MOST} arrays.")
            arrays = {}
            for member in members:
                with z.open(member) as f:
                    arrays[member.filename.removesuffix(".npy")] = _numpy(f.read(MAX_BYTES), member.filename)
            return arrays
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError, ValueError) as e:
        if isinstance(e, BadDirection):
            raise
        raise BadDirection(f"{path.name} is a damaged archive ({e}). Get the file again.") from e


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as e:
        raise BadDirection(f"{path.name} is not readable as JSON ({e}). Get the file again.") from e
