"""Partially downloaded files: kept next to their target, with metadata about the version that they belong to."""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from latent_editor.core import tensor_files
from latent_editor.core.errors import FetchFailed


@dataclass(frozen=True)
class ResumePoint:
    """Where to resume a download.

    Attributes:
        offset: Bytes received so far.
        version: Strong ETag or Last-Modified date of the file, if known.
        total: Size of the whole file in bytes, if known.
    """

    offset: int
    version: str | None
    total: int | None

    def continues(self, etag: str | None, total: str) -> bool:
        """Whether a response with this ETag and total is for the same file (some servers ignore If-Range)."""
        same_version = None in (etag, self.version) or not str(self.version).startswith('"') or etag == self.version
        return same_version and (total == "*" or self.total is None or int(total) == self.total)


class PartialFile:
    """The bytes of ``target`` received so far.

    Attributes:
        path: The partial file.
        metadata: JSON file next to it: address, version (ETag or date) and total size.
    """

    def __init__(self, target: Path, address: str) -> None:
        self.target, self.address = target, address
        self.path = target.with_name(f"{target.name}.part")
        self.metadata = target.with_name(f"{target.name}.part.json")

    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)
        self.metadata.unlink(missing_ok=True)

    def start(self, headers: http.client.HTTPMessage, total: int | None) -> None:
        """Starts from zero, with the version in the response ``headers``."""
        etag = headers.get("ETag", "")
        # Weak ETags do not guarantee identical bytes (RFC 9110, 13.1.5).
        version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        metadata = {"address": self.address, "version": version, "size_bytes": total}
        tensor_files.write_bytes(self.metadata, json.dumps(metadata).encode())
        self.path.write_bytes(b"")

    def resume_point(self, *, hash_known: bool) -> ResumePoint:
        """Where to resume. Discards a partial file that may belong to another file.

        Args:
            hash_known: Whether a hash will verify the whole file, so that an unknown version does no harm.
        """
        try:
            metadata = json.loads(self.metadata.read_bytes())
            version, total, size = metadata["version"], metadata["size_bytes"], self.size_bytes()
            if metadata["address"] == self.address and (version or hash_known) and (total is None or size <= total):
                return ResumePoint(size, version, total)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.discard()
        return ResumePoint(0, None, None)

    def finish(self) -> None:
        """Moves the complete file to its target, atomically."""
        os.replace(self.path, self.target)
        self.metadata.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@contextmanager
def exclusive_lock(path: Path) -> Iterator[None]:
    """Locks a file against other processes. The operating system releases the lock of a process that dies."""
    with path.with_name(f".{path.name}.lock").open("a+b") as handle:
        try:
            if sys.platform == "win32":
                import msvcrt

                msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
            else:
                import fcntl

                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as e:
            if e.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise FetchFailed(f"Another process is downloading {path.name}. Wait until it has finished.") from e
            # This file system does not support locks: continue without one.
        yield
