"""The format of a checkpoint follows from its content, never from its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hostile.corpus import INIT_KWARGS, own_file, state
from hostile.nvidia import nvidia_pickle

from latent_editor.checkpoints.formats import detect_format, read_checkpoint
from latent_editor.core.errors import BadModel

ROSINALITY = {"input.input": torch.zeros(1, 8, 4, 4), "conv1.conv.weight": torch.zeros(1, 8, 8, 3, 3)}


def write(folder: Path, content: Any, name: str = "misleading.png", **options: Any) -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path, **options)
    return path


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ({"g_ema": ROSINALITY, "d": {}, "args": None}, "rosinality"),
        ({"g": ROSINALITY}, "rosinality"),
        ({"params_ema": {f"module.{name}": value for name, value in ROSINALITY.items()}}, "rosinality"),
        (ROSINALITY, "rosinality"),
        ({"state_dict": {f"decoder.{name}": value for name, value in ROSINALITY.items()}, "opts": {}}, "psp"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["a.pkl", "a.safetensors", "a.jpg", "a"])
def test_torch_files(content: Any, wanted: str, zipped: bool, name: str, tmp_path: Path) -> None:
    assert detect_format(write(tmp_path, content, name, _use_new_zipfile_serialization=zipped)) == wanted


def test_own_and_nvidia_files(tmp_path: Path) -> None:
    assert detect_format(write(tmp_path, own_file(), "a.pkl")) == "latent-editor"
    assert detect_format(write(tmp_path, nvidia_pickle(state(), INIT_KWARGS, tmp_path / "canary"), "a.pt")) == "nvlabs"


def test_tensors_can_be_looked_at_without_memory_of_their_own(tmp_path: Path) -> None:
    path = write(tmp_path, nvidia_pickle(state(), INIT_KWARGS, tmp_path / "canary"))
    shared, owned = read_checkpoint(path, copy=False), read_checkpoint(path)
    for name, tensor in state().items():
        assert torch.equal(shared.state[name], tensor)
        assert torch.equal(owned.state[name], tensor)
        assert owned.state[name].untyped_storage().nbytes() == tensor.nbytes


def test_parts_in_our_own_files_come_back(tmp_path: Path) -> None:
    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors["extras/encoder/a.b"] = torch.ones(3)

    checkpoint = read_checkpoint(write(tmp_path, own_file(add, notes='["converted from a.pt"]')))
    assert checkpoint.notes == ("converted from a.pt",)
    assert set(checkpoint.extras) == {"encoder"}
    assert torch.equal(checkpoint.extras["encoder"]["a.b"], torch.ones(3))
    assert not any(name.startswith("extras") for name in checkpoint.state)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"a\.pkl cannot be opened"):
        detect_format(tmp_path / "a.pkl")
    with pytest.raises(BadModel, match="is a folder"):
        detect_format(tmp_path)
