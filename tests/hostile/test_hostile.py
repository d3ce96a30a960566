"""Hostile files: nothing in them is run, each is refused in words, and none takes long or much memory."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.environment import ROOT

from hostile.corpus import call, cases, raw_pickle, text, whole_files
from hostile.fuzz import SEEDS, read
from latent_editor.checkpoints.formats import read_checkpoint
from latent_editor.core.errors import BadModel
from latent_editor.generators.loading import build_checkpoint

MAX_MB = 2000


@pytest.fixture(scope="module")
def looked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every case of the corpus, seen by one process: what it said, and what that cost."""
    folder = tmp_path_factory.mktemp("hostile")
    canary, files, work = folder / "canary", folder / "files", folder / "work"
    files.mkdir()
    work.mkdir()
    found = {f"{i:04}": case for i, case in enumerate(cases(canary))}
    for number, case in found.items():
        (files / number).write_bytes(case.content)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE", "HOME": str(work)}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(Path(__file__).with_name("probe.py")), str(files)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(reports) == len(found)
    left = sorted(path.name for path in work.rglob("*") if path.is_file())
    return {"reports": [(found[r["file"]], r) for r in reports], "canary": canary, "left": left}


def test_the_canary_would_sing(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.loads(raw_pickle(call("os", "system", text(f"touch {canary}"))))
    assert canary.exists()


def test_nothing_was_executed(looked: dict[str, Any]) -> None:
    assert not looked["canary"].exists()
    assert looked["left"] == []


def test_each_is_refused_in_words(looked: dict[str, Any]) -> None:
    wrong = []
    for case, report in looked["reports"]:
        message = report["err"].strip().removeprefix("latent-editor: ")
        good = report["code"] == 2 and "Traceback" not in message and report["error"] == f"BadModel: {message}"
        if not (good and re.search(case.says, message, re.DOTALL) and len(message) < 700):
            wrong.append((case.name, case.says, report["code"], message[:300], report["error"][:100]))
    assert not wrong, "\n".join(map(str, wrong))


def test_none_takes_much_memory(looked: dict[str, Any]) -> None:
    peaks = [report["peak_mb"] for _, report in looked["reports"]]
    assert peaks[-1] < MAX_MB


@pytest.mark.parametrize("kind", ["nvidia", "own", "zip", "legacy"])
def test_files_cut_short_at_every_percent(kind: str, tmp_path: Path) -> None:
    whole = whole_files(tmp_path / "canary")[kind]
    path = tmp_path / "cut"
    for percent in range(100):
        path.write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(BadModel, match="cut"):
            build_checkpoint(read_checkpoint(path), path.name)
    path.write_bytes(whole[:-1])
    with pytest.raises(BadModel, match="cut"):
        build_checkpoint(read_checkpoint(path), path.name)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("seed", sorted(SEEDS.iterdir()), ids=lambda path: path.name)
def test_what_the_fuzzer_found_is_refused(seed: Path, tmp_path: Path) -> None:
    read(seed.read_bytes(), tmp_path / "fuzzed")
    assert [path.name for path in tmp_path.iterdir()] == ["fuzzed"]
