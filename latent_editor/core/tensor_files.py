"""Reading and writing files of tensors. Nothing here ever unpickles; every write is atomic."""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from latent_editor.core.errors import BadModel, LatentEditorError

#: A thousand tensors need a hundred thousand bytes; the reader's own limit lets a file ask for a gigabyte of memory.
MAX_HEADER_BYTES = 16 << 20


def read_tensors(
    path: str | Path, *, error: type[LatentEditorError] = BadModel, max_bytes: int = 8 << 30
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file.

    Args:
        path: The file.
        error: Which error to raise for a bad one.
        max_bytes: Refuse larger files before reading them.

    Returns:
        The tensors by name, and the file's metadata.

    Raises:
        error: missing, too large, or not safetensors.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise error(f"{path.name} has {size:,} bytes; at most {max_bytes:,} are read. Is it the right file?")
        with path.open("rb") as file:
            (header,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if header > MAX_HEADER_BYTES:
            raise ValueError(f"its header claims {header:,} bytes; at most {MAX_HEADER_BYTES:,} are read")
        with safetensors.safe_open(str(path), "pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, dict(f.metadata() or {})  # noqa: SIM118 (no mapping)
    except (OSError, safetensors.SafetensorError, UnicodeDecodeError, ValueError) as e:
        if isinstance(e, LatentEditorError):
            raise
        reason = "does not exist" if not path.exists() else f"is not a readable safetensors file ({e})"
        raise error(f"{path.name} {reason}. Choose another file, or make it again.") from e


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file atomically: the old one stays whole until the new one is."""
    data = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_bytes(path, safetensors.torch.save(data, dict(metadata or {})))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes a file atomically, through a temporary file in the same folder."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as f:
            f.write(data)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
