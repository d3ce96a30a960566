"""Downloads a file with retries until it is complete, and verifies it."""

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

from latent_editor.checkpoints.downloads.connection import RetryableError, TransferPolicy, check_address, open_url
from latent_editor.checkpoints.downloads.partial_file import (
    PartialFile,
    ResumePoint,
    exclusive_lock,
    file_sha256,
    megabytes,
)
from latent_editor.core.errors import FetchFailed, Stopped
from latent_editor.core.values import OnStep, Step

CHUNK_BYTES = 256 << 10
#: HTTP statuses that may be temporary.
RETRYABLE_STATUS = {408, 425, 429, 500, 502, 503, 504}
#: Attempts for a server that has never responded: usually there is no network.
UNREACHABLE_ATTEMPTS = 3
_DOWNLOAD_MANUALLY = "Download the file in a browser and pass its path: --model FILE."


def download(
    address: str,
    target: str | Path,
    *,
    size_bytes: int | None = None,
    sha256: str | None = None,
    on_step: OnStep | None = None,
    policy: TransferPolicy | None = None,
) -> str:
    """Downloads a file. Received bytes are kept next to it as ``.part``; the next call resumes there.

    A download is resumed only if the server still has the same version of the file (RFC 9110, If-Range), or if
    ``sha256`` can verify the result.

    Args:
        address: https URL; http only on the local host.
        target: Path of the file; its folder is created.
        size_bytes, sha256: Expected size and hash, if known.
        on_step: Called while the download runs; returning True stops it and keeps the partial file.
        policy: Timeouts, retries and limits; None for the defaults.

    Returns:
        The SHA-256 of the file, as 64 hex digits.

    Raises:
        FetchFailed: the server refuses, the file is not the expected one, the disk is full, or another process is
            downloading it.
        Stopped: ``on_step`` returned True.
    """
    check_address(address)
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with exclusive_lock(path):
        return _Download(address, path, size_bytes, sha256, on_step, policy or TransferPolicy()).run()


class _Download:
    """The download of one file: its partial file and the attempts to complete it."""

    def __init__(
        self,
        address: str,
        target: Path,
        size_bytes: int | None,
        sha256: str | None,
        on_step: OnStep | None,
        policy: TransferPolicy,
    ) -> None:
        self.address, self.target = address, target
        self.size_bytes, self.sha256 = size_bytes, sha256
        self.on_step, self.policy = on_step, policy
        self.part = PartialFile(target, address)
        self.began = time.monotonic()
        self.fraction = 0.0
        self.answered = False

    # The attempts.

    def run(self) -> str:
        stalled, failed, received = 0, 0, self.part.size_bytes()
        while True:
            resumed = self.part.size_bytes() > 0
            try:
                self._attempt()
                digest = self._verify(retry=resumed)
                self.part.finish()
                return digest
            except RetryableError as e:
                failed += 1
                stalled = 0 if self.part.size_bytes() > received else stalled + 1
                received = max(received, self.part.size_bytes())
                limit = self.policy.max_stalled_attempts
                limit = limit if self.answered else min(UNREACHABLE_ATTEMPTS, limit)
                if stalled >= limit or failed >= self.policy.max_attempts:
                    self._give_up(e)
                wait = self.policy.initial_delay_s * 2 ** min(stalled, 16) if e.after_s is None else e.after_s
                self._pause(min(wait, self.policy.max_delay_s), f"{self.target.name}: {e}; retrying")

    def _attempt(self) -> None:
        """Requests the missing bytes and appends them to the partial file."""
        resume = self.part.resume_point(hash_known=self.sha256 is not None)
        if self.size_bytes is not None and resume.offset == self.size_bytes:
            return
        headers = {}
        if resume.offset:
            headers["Range"] = f"bytes={resume.offset}-"
            if resume.version:
                headers["If-Range"] = resume.version
        try:
            response = open_url(self.address, headers, self.policy)
        except urllib.error.HTTPError as e:
            self.answered = True
            with e:
                self._handle_http_error(e)
            return
        self.answered = True
        with response:
            offset, total = self._check_response(response, resume)
            self._receive(response, offset, total)

    def _handle_http_error(self, e: urllib.error.HTTPError) -> None:
        """Raises the matching error; returns only if the partial file turns out to be complete."""
        status = f"{e.code} {e.reason}"
        if e.code == 416:  # the partial file is complete, or longer than the file
            if e.headers.get("Content-Range", "") == f"bytes */{self.part.size_bytes()}":
                return
            self.part.discard()
            raise RetryableError("the file became shorter")
        if e.code in RETRYABLE_STATUS:
            after = e.headers.get("Retry-After", "")
            raise RetryableError(status, float(after) if re.fullmatch(r"\d{1,6}", after) else None)
        if 300 <= e.code < 400:
            raise FetchFailed(f"{self.address} redirects too often. Please report it to the project.")
        if e.code in (401, 403):
            raise FetchFailed(
                f"{self.address} denies access ({status}): it may require a login or a click on a web page. "
                f"{_DOWNLOAD_MANUALLY}"
            )
        if e.code in (404, 410):
            raise FetchFailed(
                f"{self.address} no longer exists ({status}). Look for a copy and pass its path: --model FILE."
            )
        raise FetchFailed(f"{self.address} responded with {status}; expected the file. Try again later.")

    def _check_response(self, response: http.client.HTTPResponse, resume: ResumePoint) -> tuple[int, int | None]:
        """Checks the headers of a response.

        Returns:
            The offset at which the body starts, and the size of the whole file if the server states it.

        Raises:
            FetchFailed: the body is not the file.
        """
        headers = response.headers
        if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
            self._fail_unexpected("a web page")
        if headers.get("Content-Encoding", "identity") != "identity":
            self._fail_unexpected(f"a file encoded as {headers['Content-Encoding']!r}")
        if response.status == 206:
            found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", "").strip())
            if found is None or int(found[1]) != resume.offset or not resume.continues(headers.get("ETag"), found[2]):
                self.part.discard()
                raise RetryableError("the server sent a part of another file")
            offset, total = resume.offset, resume.total if found[2] == "*" else int(found[2])
        elif response.status == 200:  # from the start: first request, changed file, or no range support
            length = headers.get("Content-Length", "")
            offset, total = 0, int(length) if re.fullmatch(r"\d{1,18}", length) else None
        else:
            self._fail_unexpected(f"the status {response.status}")
        self._check_length(total, end_marked=response.chunked)
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
                    raise RetryableError(f"connection lost after {megabytes(offset)} ({e or type(e).__name__})") from e
                if not chunk:
                    break
                if offset == 0 and chunk.lstrip()[:1] == b"<":
                    self.part.discard()
                    self._fail_unexpected("a web page")
                self._write(f, chunk)
                offset += len(chunk)
                if offset > self.policy.max_bytes:
                    self._check_length(offset, end_marked=True)
                self._report(offset / end if end else 0.0, offset, end)
            os.fsync(f.fileno())
        if end is not None and offset < end:
            raise RetryableError(f"connection lost after {megabytes(offset)} of {megabytes(end)}")

    def _write(self, f: IO[bytes], chunk: bytes) -> None:
        try:
            f.write(chunk)
        except OSError as e:
            if e.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            raise FetchFailed(f"The disk of {str(self.target.parent)!r} is full. Free some space and try again.") from e

    def _verify(self, *, retry: bool) -> str:
        """Checks size and hash of the complete file and returns its hash."""
        size, digest = self.part.size_bytes(), file_sha256(self.part.path)
        right_size = self.size_bytes in (None, size)
        if right_size and self.sha256 in (None, digest):
            return digest
        self.part.discard()
        if retry:
            raise RetryableError("the resumed file is not the expected one")
        got = f"the SHA-256 {digest}" if right_size else f"{size:,} bytes"
        expected = self.sha256 if right_size else f"{self.size_bytes:,}"
        raise FetchFailed(
            f"{self.address} sent a file with {got}; expected {expected}. It was deleted. "
            "The file was replaced, or a proxy modifies it: check the address in a browser."
        )

    # Errors.

    def _check_length(self, total: int | None, *, end_marked: bool) -> None:
        if total is None:
            if end_marked or self.size_bytes is not None or self.sha256 is not None:
                return
            self._fail_unexpected("a file of unknown length")
        if total > self.policy.max_bytes:
            self._fail_unexpected(
                f"at least {total:,} bytes, more than the {self.policy.max_bytes:,} that are accepted"
            )
        if self.size_bytes is not None and total != self.size_bytes:
            self._fail_unexpected(f"a file of {total:,} bytes instead of {self.size_bytes:,}")

    def _check_space(self, missing: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if free < missing + self.policy.min_free_bytes:
            raise FetchFailed(
                f"{self.target.name} needs {megabytes(missing)} in {str(self.target.parent)!r}, which has "
                f"{megabytes(free)} free. Free some space, or choose another --folder."
            )

    def _fail_unexpected(self, instead: str) -> NoReturn:
        raise FetchFailed(f"{self.address} responded with {instead}; expected {self.target.name}. {_DOWNLOAD_MANUALLY}")

    def _give_up(self, e: RetryableError) -> NoReturn:
        received = self.part.size_bytes()
        then = f"{megabytes(received)} are kept; the same command resumes there" if received else "Try again later"
        raise FetchFailed(f"{self.target.name} could not be downloaded from {self.address}: {e}. {then}.") from e

    # Progress.

    def _report(self, fraction: float, done: int, end: int | None, label: str = "") -> None:
        if self.on_step is None:
            return
        self.fraction = fraction
        seconds = time.monotonic() - self.began
        step = Step(round(done / 1e6), round((end or done) / 1e6), seconds, fraction, label=label)
        if self.on_step(step):
            raise Stopped(f"{self.target.name}: stopped. {megabytes(done)} are kept; the same command resumes there.")

    def _pause(self, seconds: float, label: str) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._report(self.fraction, self.part.size_bytes(), None, label)
            time.sleep(min(0.1, left))
