"""Attempt after attempt, until the file is whole and the expected one."""

from __future__ import annotations

import errno
import http.client
import os
import re
import shutil
import time
import urllib.error
from pathlib import Path
from typing import IO, NoReturn

from latent_editor.checkpoints.downloads.lines import TransferPolicy, TryAgainError, ask, check_address
from latent_editor.checkpoints.downloads.parts import Part, ResumePoint, alone, file_sha256, megabytes
from latent_editor.core.errors import FetchFailed, Stopped
from latent_editor.core.values import OnStep, Step

CHUNK_BYTES = 256 << 10
#: Answers that may be another one in a while.
PASSING = {408, 425, 429, 500, 502, 503, 504}
#: As often a server is asked that has not answered at all: mostly there is no network.
FIRST_ATTEMPTS = 3
ELSEWHERE = "Download the file in a browser, and name it: --model FILE."


def download(
    address: str,
    target: str | Path,
    *,
    size_bytes: int | None = None,
    sha256: str | None = None,
    on_step: OnStep | None = None,
    manners: TransferPolicy | None = None,
) -> str:
    """Downloads a file. What is received is kept beside it as ``.part`` until it is whole; the next call continues it.

    A part is continued only where the server names the same version of the file as before (RFC 9110, If-Range), or
    where ``sha256`` tells afterwards.

    Args:
        address: https; http only on this machine.
        target: Where to put the file; the folder is made.
        size_bytes, sha256: Of the file, where known.
        on_step: Called while it runs; a true answer stops it and keeps the part.

    Returns:
        The SHA-256 of the file, as 64 hex digits.

    Raises:
        FetchFailed: the server does not give the file, it is not the expected one, the disk is full, or another
            process is at it.
        Stopped: ``on_step`` said so.
    """
    check_address(address)
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path):
        return _Download(address, path, size_bytes, sha256, on_step, manners or TransferPolicy()).run()


class _Download:
    """One file: its part on the disk, and the attempts to complete it."""

    def __init__(
        self,
        address: str,
        target: Path,
        size_bytes: int | None,
        sha256: str | None,
        on_step: OnStep | None,
        manners: TransferPolicy,
    ) -> None:
        self.address, self.target = address, target
        self.size_bytes, self.sha256 = size_bytes, sha256
        self.on_step, self.manners = on_step, manners
        self.part = Part(target, address)
        self.began = time.monotonic()
        self.fraction = 0.0
        self.answered = False

    # The attempts.

    def run(self) -> str:
        in_vain, tried, furthest = 0, 0, self.part.size_bytes()
        while True:
            continued = self.part.size_bytes() > 0
            try:
                self._attempt()
                digest = self._checked(once_more=continued)
                self.part.finish()
                return digest
            except TryAgainError as e:
                tried += 1
                in_vain = 0 if self.part.size_bytes() > furthest else in_vain + 1
                furthest = max(furthest, self.part.size_bytes())
                patience = self.manners.attempts if self.answered else min(FIRST_ATTEMPTS, self.manners.attempts)
                if in_vain >= patience or tried >= self.manners.attempts_in_all:
                    self._give_up(e)
                wait = self.manners.first_wait_s * 2 ** min(in_vain, 16) if e.after_s is None else e.after_s
                self._pause(min(wait, self.manners.longest_wait_s), f"{self.target.name}: {e}; trying again")

    def _attempt(self) -> None:
        """Asks for what is missing and appends it to the part."""
        kept = self.part.continuation(checked_later=self.sha256 is not None)
        if self.size_bytes is not None and kept.offset == self.size_bytes:
            return
        headers = {}
        if kept.offset:
            headers["Range"] = f"bytes={kept.offset}-"
            if kept.version:
                headers["If-Range"] = kept.version
        try:
            response = ask(self.address, headers, self.manners)
        except urllib.error.HTTPError as e:
            self.answered = True
            with e:
                self._refused(e)
            return
        self.answered = True
        with response:
            offset, total = self._agreed(response, kept)
            self._receive(response, offset, total)

    def _refused(self, e: urllib.error.HTTPError) -> None:
        """Reads an answer that is no file. Returns only where the part turns out to be whole."""
        what = f"{e.code} {e.reason}"
        if e.code == 416:  # the part reaches to the end, or beyond
            if e.headers.get("Content-Range", "") == f"bytes */{self.part.size_bytes()}":
                return
            self.part.drop()
            raise TryAgainError("the file became shorter")
        if e.code in PASSING:
            after = e.headers.get("Retry-After", "")
            raise TryAgainError(what, float(after) if re.fullmatch(r"\d{1,6}", after) else None)
        if 300 <= e.code < 400:
            raise FetchFailed(f"{self.address} redirects too often, or in a circle. Report it to the project.")
        if e.code in (401, 403):
            raise FetchFailed(
                f"{self.address} is not given to everybody ({what}): it may want a login, or a page to be read first. "
                f"{ELSEWHERE}"
            )
        if e.code in (404, 410):
            raise FetchFailed(
                f"{self.address} is not there any more ({what}). Search for a copy, and name it: --model FILE."
            )
        raise FetchFailed(f"{self.address} was answered with {what}; expected the file. Try again later.")

    def _agreed(self, response: http.client.HTTPResponse, kept: ResumePoint) -> tuple[int, int | None]:
        """What the server is about to send: from which byte on, and how long the whole file is, where it says so.

        Raises:
            FetchFailed: it is not the file.
        """
        headers = response.headers
        if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            self._no_file("a web page")
        if headers.get("Content-Encoding", "identity") != "identity":
            self._no_file(f"a file packed as {headers['Content-Encoding']!r}")
        if response.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
            if found is None or int(found[1]) != kept.offset or not kept.continues(headers.get("ETag"), found[2]):
                self.part.drop()
                raise TryAgainError("the rest that came is not of the file that was begun")
            offset, total = kept.offset, kept.total if found[2] == "*" else int(found[2])
        elif response.status == 200:  # from the beginning: the first time, a changed file, or a server without ranges
            length = headers.get("Content-Length", "")
            offset, total = 0, int(length) if re.fullmatch(r"\d{1,18}", length) else None
        else:
            self._no_file(f"the status {response.status}")
        self._check_length(total, certain_end=response.chunked)
        self._check_space((total or self.size_bytes or 0) - offset)
        if offset == 0:
            self.part.start(headers, total)
        return offset, total

    def _receive(self, response: http.client.HTTPResponse, offset: int, total: int | None) -> None:
        end = total if total is not None else self.size_bytes
        with self.part.path.open("r+b") as f:
            f.seek(offset)
            f.truncate()
            while end is None or offset < end:
                wanted = CHUNK_BYTES if end is None else min(CHUNK_BYTES, end - offset)
                try:
                    chunk = response.read1(wanted)
                except (OSError, http.client.HTTPException) as e:
                    raise TryAgainError(f"the line broke after {megabytes(offset)} ({e or type(e).__name__})") from e
                if not chunk:
                    break
                if offset == 0 and chunk.lstrip()[:1] == b"<":
                    self.part.drop()
                    self._no_file("a web page")
                self._write(f, chunk)
                offset += len(chunk)
                if offset > self.manners.max_bytes:
                    self._check_length(offset, certain_end=True)
                self._report(offset / end if end else 0.0, offset, end)
            os.fsync(f.fileno())
        if end is not None and offset < end:
            raise TryAgainError(f"the line broke after {megabytes(offset)} of {megabytes(end)}")

    def _write(self, f: IO[bytes], chunk: bytes) -> None:
        try:
            f.write(chunk)
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise FetchFailed(f"The disk of {str(self.target.parent)!r} is full. Free some, and fetch again.") from e

    def _checked(self, *, once_more: bool) -> str:
        """The hash of the whole file, compared with what is known about it."""
        kept, digest = self.part.size_bytes(), file_sha256(self.part.path)
        right_size = self.size_bytes in (None, kept)
        if right_size and self.sha256 in (None, digest):
            return digest
        self.part.drop()
        if once_more:
            raise TryAgainError("the continued file is not the expected one")
        got = f"the SHA-256 {digest}" if right_size else f"{kept:,} bytes"
        expected = self.sha256 if right_size else f"{self.size_bytes:,}"
        raise FetchFailed(
            f"{self.address} gave a file with {got}; expected {expected}. It was thrown away. "
            "Somebody replaced the file, or something on the way changes it: look at the address in a browser."
        )

    # What is refused.

    def _check_length(self, total: int | None, *, certain_end: bool) -> None:
        if total is None:
            if certain_end or self.size_bytes is not None or self.sha256 is not None:
                return
            self._no_file("a file of unknown length")
        if total > self.manners.max_bytes:
            self._no_file(f"at least {total:,} bytes, more than the {self.manners.max_bytes:,} that are accepted")
        if self.size_bytes is not None and total != self.size_bytes:
            self._no_file(f"a file of {total:,} bytes instead of {self.size_bytes:,}")

    def _check_space(self, missing: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if free < missing + self.manners.spare_bytes:
            raise FetchFailed(
                f"{self.target.name} needs {megabytes(missing)} more in {str(self.target.parent)!r}, where "
                f"{megabytes(free)} are free. Free some, or choose another --folder."
            )

    def _no_file(self, instead: str) -> NoReturn:
        raise FetchFailed(f"{self.address} was answered with {instead}; expected {self.target.name}. {ELSEWHERE}")

    def _give_up(self, e: TryAgainError) -> NoReturn:
        kept = self.part.size_bytes()
        then = f"{megabytes(kept)} are kept; the same command continues there" if kept else "Try again later"
        raise FetchFailed(f"{self.target.name} could not be fetched from {self.address}: {e}. {then}.") from e

    # The one who waits.

    def _report(self, fraction: float, done: int, end: int | None, label: str = "") -> None:
        if self.on_step is None:
            return
        self.fraction = fraction
        seconds = time.monotonic() - self.began
        step = Step(round(done / 1e6), round((end or done) / 1e6), seconds, fraction, label=label)
        if self.on_step(step):
            raise Stopped(f"{self.target.name}: stopped. {megabytes(done)} are kept; the same command continues there.")

    def _pause(self, seconds: float, label: str) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._report(self.fraction, self.part.size_bytes(), None, label)
            time.sleep(min(0.1, left))
