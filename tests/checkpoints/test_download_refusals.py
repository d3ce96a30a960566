"""Downloads that are refused: responses that are not the file, redirects, a full disk, a second process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.downloads import DATA, QUICK, visible
from support.file_server import FileServer, Handler, say, serve

from latent_editor.checkpoints.downloads import TransferPolicy, check_address, download
from latent_editor.core.errors import FetchFailed

# Responses that are not the file.


@pytest.mark.parametrize(
    ("code", "words"), [(404, "no longer exists"), (410, "no longer exists"), (403, "login"), (400, "400")]
)
def test_a_refusal_is_final(code: int, words: str, server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [say(code)] * 3
    with pytest.raises(FetchFailed, match=words):
        get()
    assert len(server.requests) == 1


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_server_is_retried(code: int, server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [serve(only=1000), say(code, Retry_After="0"), say(code)]
    assert get() == DATA
    server.answers = [say(code)] * 9
    with pytest.raises(FetchFailed, match=f": {code} "):
        get()


def test_a_web_page_is_no_model(server: FileServer, get: Callable[..., bytes], tmp_path: Path) -> None:
    page = b"\n<!DOCTYPE html><p>Quota exceeded"
    server.answers = [say(200, page, Content_Type="text/html; charset=utf-8"), say(200, page)]
    for _ in range(2):
        with pytest.raises(FetchFailed, match="responded with a web page; expected model.pkl"):
            get()
    assert "model.pkl" not in visible(tmp_path)


def test_encoded_responses_are_refused(server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [serve(headers={"Content-Encoding": "gzip"})]
    with pytest.raises(FetchFailed, match="encoded as 'gzip'"):
        get()


def test_endless_files_are_refused(server: FileServer, get: Callable[..., bytes]) -> None:
    small = TransferPolicy(max_bytes=500_000)
    with pytest.raises(FetchFailed, match="more than the 500,000"):
        get(policy=small)

    def endless(handler: Handler) -> None:
        handler.begin(200, {"Transfer-Encoding": "chunked"})
        try:
            while True:
                handler.give(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        except OSError:
            pass

    server.answers = [endless]
    with pytest.raises(FetchFailed, match="more than the 500,000"):
        get(policy=small)


# Redirects.


def test_a_redirect_is_followed_with_the_range(server: FileServer, get: Callable[..., bytes]) -> None:
    move = say(302, Location="/elsewhere")
    server.answers = [move, serve(only=1000), move]
    assert get() == DATA
    assert [r["path"] for r in server.requests] == ["/model.pkl", "/elsewhere"] * 2
    assert server.requests[3]["Range"] == "bytes=1000-"


def test_a_circle_of_redirects_ends(server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [say(302, Location="/model.pkl")] * 50
    with pytest.raises(FetchFailed, match="redirects too often"):
        get()
    server.requests.clear()
    server.answers = [say(302, Location=f"/{i}") for i in range(50)]
    with pytest.raises(FetchFailed, match="redirects too often"):
        get()
    assert len(server.requests) == QUICK.max_redirects + 1


@pytest.mark.parametrize("to", ["http://example.com/a", "file:///etc/passwd", "ftp://example.com/a", "//example.com/a"])
def test_a_redirect_to_an_open_line_is_refused(to: str, server: FileServer, get: Callable[..., bytes]) -> None:
    server.answers = [say(302, Location=to)]
    with pytest.raises(FetchFailed, match="expected https|redirects too often"):
        get()
    assert len(server.requests) == 1


def test_only_https_is_trusted() -> None:
    check_address("https://example.com/a")
    check_address("https://b.example.com/a", redirected_from="https://example.com/a")
    check_address("http://localhost:80/a")
    for address in (
        "http://example.com/a",
        "ftp://localhost/a",
        "https:///a",
        "/etc/passwd",
        "http://localhost.evil.com/",
    ):
        with pytest.raises(FetchFailed, match="expected https"):
            check_address(address)
    with pytest.raises(FetchFailed, match="redirects to 'http://127.0.0.1/a'"):
        check_address("http://127.0.0.1/a", redirected_from="https://example.com/a")


# The local machine.


def test_a_full_disk_is_noticed_first(
    server: FileServer, get: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1_000_000))
    with pytest.raises(FetchFailed, match=r"needs 1.0 MB in .*, which has 1.0 MB free"):
        get()
    assert server.sent == 0 or len(server.requests) == 1


def test_concurrent_downloads_exclude_each_other(server: FileServer, tmp_path: Path) -> None:
    started, may_end = threading.Event(), threading.Event()

    def slow(step: Any) -> None:
        started.set()
        may_end.wait(10)

    target = tmp_path / "model.pkl"
    first = threading.Thread(target=lambda: download(server.address, target, on_step=slow, policy=QUICK))
    first.start()
    assert started.wait(10)
    with pytest.raises(FetchFailed, match=r"Another process is downloading model.pkl"):
        download(server.address, target, policy=QUICK)
    may_end.set()
    first.join()
    assert target.read_bytes() == DATA
