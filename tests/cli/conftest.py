"""What the tests of the shell command share."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from support.shell import Shell

import latent_editor as le
from latent_editor.generators.loading import GENERATOR_FILE
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import MODEL_FILE


@pytest.fixture
def tiny(tiny_generator: StyleGAN2, tmp_path: Path) -> str:
    """The path of a tiny model's folder."""
    folder = tmp_path / "models" / "tiny"
    le.save_generator(tiny_generator, folder / GENERATOR_FILE, dtype=torch.float32)
    (folder / MODEL_FILE).write_text(json.dumps({"name": "tiny"}), encoding="utf-8")
    return str(folder)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)
