"""A model of one's own in the shell: its preparation is shown once, can be interrupted, and can be asked about."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from support.environment import ROOT

from latent_editor.cli import main
from latent_editor.directions import budget
from latent_editor.generators import construction, load_generator, save_generator
from latent_editor.models.bundle import CACHE_VARIABLE
from latent_editor.networks import faces
from latent_editor.preparation import phases

SMALL = {"z_dim": 16, "c_dim": 4, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "channel_base": 128}

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a tiny conditional model, of which little has to be rendered."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    least = budget.Budget(64, {"structure": 3, "color": 2}, styles=4, trials=2, calibration_faces=1, layered=False)
    monkeypatch.setattr(budget, "CHOICES", ((least, 64),))
    monkeypatch.setattr(faces, "MAX_SAMPLES", 8)
    path = tmp_path / "cats.safetensors"
    save_generator(construction.random("stylegan2", SMALL), path, dtype=torch.float32)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: object) -> tuple[int, str, str]:
        code = main([str(word) for word in words])
        return code, *capsys.readouterr()

    return run


def as_json(answer: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = answer
    assert code == 0, err
    found: dict[str, Any] = json.loads(out.splitlines()[-1])
    return found


def test_the_first_use_shows_its_progress_and_the_second_none(run: Run, model: Path) -> None:
    code, first, err = run("directions", "--model", model)
    assert code == 0
    assert "Looking for faces" in err
    assert "Finding sliders" in err
    assert "100 %" in err.splitlines()[-1]
    assert "sefa" in first
    assert run("directions", "--model", model) == (0, first, "")


def test_an_edit_prepares_what_it_needs(run: Run, model: Path, tmp_path: Path) -> None:
    latent, picture = tmp_path / "a.latent", tmp_path / "a.png"
    _, _, err = run("random", "--seed", 1, "--model", model, "-o", latent)
    assert err == ""
    _, _, err = run("edit", latent, "-o", picture, "--model", model)
    assert err == ""  # nothing to edit, nothing to find
    code, _, err = run("edit", latent, "-o", picture, "--model", model, "--prompt", "a beard=1")
    assert code == 1
    assert "Looking for faces" in err
    assert "Finding sliders" not in err
    assert "this model shows none" in err
    name = as_json(run("directions", "--model", model, "--json"))["directions"][0]["name"]
    data = as_json(run("edit", latent, "-o", picture, "--model", model, "--set", f"{name}=1", "--json"))
    assert data["edits"][0]["name"] == name


def test_photos_are_looked_at_by_what_was_found(run: Run, model: Path, tmp_path: Path) -> None:
    photo = tmp_path / "cat.png"
    assert run("random", "--seed", 3, "--model", model, "-o", photo)[0] == 0
    code, _, err = run("invert", photo, "-o", tmp_path / "cat.latent", "--model", model, "--seconds", 1)
    assert code == 0
    assert err.index("Looking for faces") < err.index(" dB")
    assert "Finding" not in err


def test_prepare_does_it_beforehand(run: Run, model: Path) -> None:
    told = as_json(run("prepare", "--model", model, "--json"))
    assert told["fresh"] is True
    assert told["faces"] is False
    assert told["sliders"] >= 4
    assert Path(told["folder"]).is_dir()
    code, out, err = run("prepare", "--model", model)
    assert (code, err) == (0, "")
    assert out.startswith("cats: already prepared; ")
    assert "shows no faces" in out
    assert run("directions", "--model", model)[2] == ""


def test_doctor_tells_of_a_file(run: Run, model: Path) -> None:
    found = as_json(run("doctor", "--model", model, "--json"))
    assert found["findings"]["prepared"].startswith("no; left: looking for faces, ")
    assert any(f"`latent-editor prepare --model {model}`" in problem for problem in found["problems"])
    assert found["findings"]["cache"].endswith("(not there yet)")
    assert not Path(os.environ[CACHE_VARIABLE]).exists()
    run("prepare", "--model", model)
    found = as_json(run("doctor", "--model", model, "--json"))
    assert found["findings"]["prepared"] == "yes"
    assert Path(found["findings"]["cache"]).is_dir()


def test_an_interrupt_keeps_what_is_finished(model: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "latent_editor", "prepare", "--model", str(model)]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Finding sliders"):
                break
        process.send_signal(signal.SIGINT)
        assert "Stopped." in process.stderr.read()
        assert process.wait(60) == 130
    assert [phase.name for phase in phases(load_generator(model))] == ["sliders"]


# Classes.


def test_a_class_is_chosen(run: Run, model: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    words = ("random", "--seed", 6, "--model", model, "-o", path)
    assert as_json(run(*words, "--class", 3, "--json"))["class"] == 3
    third = path.read_bytes()
    assert as_json(run(*words, "--json"))["class"] == 2  # each seed has a class of its own
    assert path.read_bytes() != third
    assert run(*words, "--class", 3)[1].endswith("class 3 of 4\n")
    assert path.read_bytes() == third


def test_a_class_that_is_not_there_is_refused(run: Run, model: Path, tmp_path: Path) -> None:
    words = ("random", "--seed", 6, "-o", tmp_path / "a.png", "--class")
    code, _, err = run(*words, 4, "--model", model)
    assert code == 2
    assert "Got the class 4; the model 'cats' has the classes 0 to 3." in err
    code, _, err = run(*words, 0)
    assert code == 2
    assert "'portraits' has no classes" in err
    assert run(*words, -1, "--model", model)[0] == 2
