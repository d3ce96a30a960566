"""Reads and writes safetensors files. Never unpickles; all writes are atomic."""

from __future__ import annotations

import contextlib
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from latent_editor.core.errors import BadModel, LatentEditorError

#: A thousand tensors need about 100 kB; without this limit a file could allocate a gigabyte.
MAX_HEADER_BYTES = 16 << 20


def read_tensors(
    path: str | Path, *, error: type[LatentEditorError] = BadModel, max_bytes: int = 8 << 30
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Reads a safetensors file.

    Args:
        path: The file.
        error: Exception type to raise.
        max_bytes: Size limit.

    Returns:
        The tensors by name, and the metadata.

    Raises:
        error: missing, too large, or not safetensors.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > max_bytes:
            raise error(f"{path.name} has {size:,} bytes; the limit is {max_bytes:,}. Is it the right file?")
        with path.open("rb") as file:
            (header,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if header > MAX_HEADER_BYTES:
            raise ValueError(f"its header claims {header:,} bytes; the limit is {MAX_HEADER_BYTES:,}")
        with safetensors.safe_open(str(path), "pt") as f:
            return {k: f.get_tensor(k) for k in f.keys()}, dict(f.metadata() or {})  # noqa: SIM118 (not a mapping)
    except (OSError, safetensors.SafetensorError, UnicodeDecodeError, ValueError) as e:
        if isinstance(e, LatentEditorError):
            raise
        reason = "does not exist" if not path.exists() else f"is not a readable safetensors file ({e})"
        raise error(f"{path.name} {reason}. Choose another file, or create it again.") from e


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """Writes a safetensors file atomically."""
    data = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    write_bytes(path, safetensors.torch.save(data, dict(metadata or {})))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Writes a file atomically, through a temporary file in the same folder."""
    with replacing(Path(path)) as temporary:
        temporary.write_bytes(data)


@contextlib.contextmanager
def replacing(path: Path, *, suffix: str = "") -> Iterator[Path]:
    """An empty temporary file in the folder of ``path``, whose place it takes atomically if the block succeeds.

    Args:
        path: The final path; its folder is created.
        suffix: The temporary file's, for programs that choose a format by it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
