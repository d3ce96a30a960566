"""A web server on this machine that gives out one file, and misbehaves as a test wishes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FileServer:
    """Gives out ``data`` with ranges and an ETag; ``answers`` are used up first, one for each request.

    Attributes:
        data, etag: The file and its version; None sends no ETag.
        requests: The headers of the requests so far, with "path".
        sent: Bytes of content sent so far.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.etag = data, '"1"'
        self.ranges, self.heeds_if_range = True, True
        self.answers: list[Callable[[Handler], None]] = []
        self.requests: list[dict[str, str]] = []
        self.sent = 0
        handler = type("BoundHandler", (Handler,), {"files": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/model.pkl"

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    files: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        files = self.files
        files.requests.append({**dict(self.headers), "path": self.path})
        answer = files.answers.pop(0) if files.answers else serve()
        self.close_connection = True
        answer(self)

    def begin(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def give(self, content: bytes) -> None:
        self.files.sent += len(content)
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *_: Any) -> None:
        pass


def serve(
    *, only: int | None = None, headers: dict[str, str] | None = None, then: Callable[[], object] | None = None
) -> Callable[[Handler], None]:
    """An honest answer, but with other ``headers``, broken off after ``only`` bytes; does ``then`` before it ends."""

    def answer(handler: Handler) -> None:
        files = handler.files
        start, wished = 0, re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        same = not files.heeds_if_range or handler.headers.get("If-Range", files.etag) == files.etag
        if wished and files.ranges and same:
            start = int(wished[1])
        size, sent = len(files.data), {} if files.etag is None else {"ETag": files.etag}
        if start >= size > 0:
            handler.begin(416, {**sent, "Content-Range": f"bytes */{size}", "Content-Length": "0"})
            return
        sent |= {"Content-Length": str(size - start), "Content-Type": "application/octet-stream"}
        if start:
            sent["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        handler.begin(206 if start else 200, {k: v for k, v in {**sent, **(headers or {})}.items() if v})
        handler.give(files.data[start:][:only])
        if then is not None:
            then()

    return answer


def say(status: int, body: bytes = b"", **headers: str) -> Callable[[Handler], None]:
    """An answer that is no file. Underscores in header names become hyphens."""

    def answer(handler: Handler) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        handler.begin(status, {"Content-Length": str(len(body)), **named})
        handler.give(body)

    return answer


def write_manifest(folder: Path, address: str, **row: Any) -> None:
    """A manifest with one model at ``address``."""
    license_ = {"name": "Test License-NC", "statement": "Only for tests.", "link": "https://example.com/license"}
    entry = {
        "name": "tiny-cats", "title": "tiny cats", "address": address, "page": "https://example.com", "licence": "test",
        "kind": "stylegan2", "size_px": 32, **row,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"licences": {"test": license_}, "models": [entry]}))
