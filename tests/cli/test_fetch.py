"""``latent-editor fetch``: the list, the license, the progress bar, and Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.environment import ROOT
from support.file_server import FileServer, say, serve, write_manifest

from latent_editor.cli import main
from latent_editor.models.bundle import CACHE_VARIABLE, FOLDERS_VARIABLE

DATA = b"\x80\x04" + bytes(range(256)) * 1000


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    server = FileServer(DATA)
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "mine"))
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    write_manifest(tmp_path / "mine", server.address)
    yield server
    server.close()


def test_models_are_listed(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch"]) == 0
    out = capsys.readouterr().out
    for words in ("tiny-cats", "Test License-NC", "ffhq-1024", "382 MB", "unknown", "NVIDIA Source Code License"):
        assert words in out
    assert main(["fetch", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["models"]}
    assert rows["tiny-cats"]["path"] is None
    assert rows["ffhq-1024"]["size_bytes"] == 381_624_121
    assert server.requests == []


def test_the_license_comes_first(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "tiny-cats"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for words in ("Test License-NC", "Only for tests.", "https://example.com/license", "--accept"):
        assert words in err
    assert main(["fetch", "tiny-cats", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"] == "LicenseNotAccepted"
    assert server.requests == []


def test_a_model_is_fetched(server: FileServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    server.answers = [serve(only=1000)]
    assert main(["fetch", "tiny-cats", "--accept"]) == 0
    out, err = capsys.readouterr()
    assert "Fetching tiny-cats" in err
    assert " 100 %" in err
    for words in ("tiny-cats.pkl: 0.3 MB", "SHA-256 ", "recorded", "Test License-NC", "--model tiny-cats"):
        assert words in out
    assert main(["fetch", "tiny-cats", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert Path(told["path"]).read_bytes() == DATA
    assert len(told["sha256"]) == 64
    assert main(["fetch"]) == 0
    assert "tiny-cats                   yes" in capsys.readouterr().out
    assert main(["fetch", "tiny-cats", "--accept", "--folder", str(tmp_path / "here"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == str(tmp_path / "here" / "tiny-cats.pkl")


def test_failures_are_told(server: FileServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.answers = [say(404)]
    assert main(["fetch", "tiny-cats", "--accept"]) == 1
    assert "no longer exists (404" in capsys.readouterr().err
    assert main(["fetch", "dogs", "--accept"]) == 2
    assert "called 'dogs'" in capsys.readouterr().err


def test_an_interrupt_keeps_the_part(server: FileServer, tmp_path: Path) -> None:
    interrupted = threading.Event()
    server.answers = [serve(only=100_000, then=lambda: interrupted.wait(60)), *[serve(only=0)] * 20]
    command = [sys.executable, "-m", "latent_editor", "fetch", "tiny-cats", "--accept"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "Fetching" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        interrupted.set()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "MB are kept; the same command resumes there." in err
    kept = (tmp_path / "cache" / "zoo" / "tiny-cats.pkl.part").stat().st_size
    assert 0 < kept <= 100_000
    server.answers = []
    assert main(["fetch", "tiny-cats", "--accept"]) == 0
    assert server.requests[-1]["Range"] == f"bytes={kept}-"


def test_help_needs_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "latent_editor", "fetch", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "--accept" in done.stdout
