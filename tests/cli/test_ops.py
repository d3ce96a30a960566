"""``latent-editor ops``: the state of the kernels, and building them ahead."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.compiled_ops import copy_of_the_library, failing_compilers

from latent_editor.cli import main


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache."""
    monkeypatch.setenv("LATENT_EDITOR_CACHE", str(tmp_path / "cache"))


def test_ops_shows_the_state(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["ops"]
    assert [row["device"] for row in rows] == ["cpu", "cuda"]
    assert main(["ops"]) == 0
    assert "reference (PyTorch)" in capsys.readouterr().out


def test_ops_build_builds_and_shows_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    copy_of_the_library()
    assert main(["ops", "build", "--device", "cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["builds"][0]["ok"]


def test_ops_build_fails_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", failing_compilers(tmp_path)["broken"][0])
    assert main(["ops", "build", "--device", "cpu"]) == 1
    said = capsys.readouterr()
    assert "it is broken" in said.out
