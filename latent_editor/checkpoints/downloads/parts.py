"""The part of a file that is there already: kept beside its place, with a note of which version it is of."""

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
    """How far a part reaches.

    Attributes:
        offset: Where to go on.
        version: The strong ETag or the date of the file that it is a part of, where known.
        total: Size of that file, where known.
    """

    offset: int
    version: str | None
    total: int | None

    def continues(self, etag: str | None, total: str) -> bool:
        """Whether an answer with this ETag and this total is of the same file: not all servers heed If-Range."""
        same_version = None in (etag, self.version) or not str(self.version).startswith('"') or etag == self.version
        return same_version and (total == "*" or self.total is None or int(total) == self.total)


class Part:
    """What of ``target`` was received so far.

    Attributes:
        path: The part.
        note: JSON beside it: the address, the version of the file (its ETag or date), and its whole size.
    """

    def __init__(self, target: Path, address: str) -> None:
        self.target, self.address = target, address
        self.path = target.with_name(f"{target.name}.part")
        self.note = target.with_name(f"{target.name}.part.json")

    def size_bytes(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def drop(self) -> None:
        self.path.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)

    def start(self, headers: http.client.HTTPMessage, total: int | None) -> None:
        """Begins a new part, of the version that ``headers`` tell."""
        etag = headers.get("ETag", "")
        # A weak ETag names a meaning, not bytes (RFC 9110, 13.1.5).
        version = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")
        note = {"address": self.address, "version": version, "size_bytes": total}
        tensor_files.write_bytes(self.note, json.dumps(note).encode())
        self.path.write_bytes(b"")

    def continuation(self, *, checked_later: bool) -> ResumePoint:
        """What can be continued. A part of unknown origin is dropped.

        Args:
            checked_later: Whether a hash will tell, so that an unknown version does no harm.
        """
        try:
            note = json.loads(self.note.read_bytes())
            version, total, size = note["version"], note["size_bytes"], self.size_bytes()
            if note["address"] == self.address and (version or checked_later) and (total is None or size <= total):
                return ResumePoint(size, version, total)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.drop()
        return ResumePoint(0, None, None)

    def finish(self) -> None:
        """Puts the part into its place, at once."""
        os.replace(self.path, self.target)
        self.note.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keeps other processes from the same file. The system itself frees the lock of a process that ends."""
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
                raise FetchFailed(f"Another process is fetching {path.name}. Wait for it; it is not done twice.") from e
            # a file system without locks: then without
        yield
