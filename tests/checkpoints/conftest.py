"""Fixtures of the download tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.downloads import DATA, QUICK, visible
from support.file_server import FileServer

from latent_editor.checkpoints.downloads import download


@pytest.fixture
def server() -> Iterator[FileServer]:
    server = FileServer(DATA)
    yield server
    server.close()


@pytest.fixture
def get(server: FileServer, tmp_path: Path) -> Callable[..., bytes]:
    """Downloads and returns the content; checks that there are no other files."""

    def get(**options: Any) -> bytes:
        target = tmp_path / "model.pkl"
        digest = download(server.address, target, **{"policy": QUICK, **options})
        assert visible(tmp_path) == ["model.pkl"]
        content = target.read_bytes()
        assert digest == hashlib.sha256(content).hexdigest()
        return content

    return get
