"""``inspect`` and ``convert``, through the real entry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile.corpus import INIT_KWARGS, call, raw_pickle, state, text
from hostile.nvidia import nvidia_pickle

from latent_editor.cli import main
from latent_editor.generators import construction, load_generator, random_latent
from latent_editor.models.bundle import CACHE_VARIABLE

STYLEGAN3 = {**INIT_KWARGS, "num_layers": 4, "c_dim": 5, "img_channels": 4}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))


@pytest.fixture
def nvidia(tmp_path: Path) -> Path:
    path = tmp_path / "network.pkl"
    path.write_bytes(nvidia_pickle(state(), INIT_KWARGS, tmp_path / "canary"))
    return path


def as_json(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    assert main([*map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out.splitlines()[-1])
    return found


def test_inspect_tells_what_a_file_is(nvidia: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = as_json(capsys, "inspect", nvidia)
    wanted = {"format": "nvlabs", "kind": "stylegan2", "size_px": 16, "channels": 3, "classes": 0, "num_ws": 6}
    assert wanted.items() <= data.items()
    assert data["architecture"] == "skip"
    assert data["parameters"] == sum(p.numel() for p in load_generator(nvidia).parameters())
    assert data["bytes"] == nvidia.stat().st_size
    assert any("neither compiled nor run" in note for note in data["notes"])
    assert main(["inspect", str(nvidia)]) == 0
    out = capsys.readouterr().out
    for words in ("NVIDIA", "stylegan2, skip", "16 × 16 pixels, 3 channels (RGB)", "6 ws of 8", "left out: D, G"):
        assert words in out
    assert not (tmp_path / "canary").exists()
    assert not (tmp_path / "cache").exists()


def test_inspect_tells_of_classes_and_alpha(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    g = construction.random("stylegan3", STYLEGAN3)
    path = tmp_path / "network.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), STYLEGAN3, tmp_path / "canary"))
    assert main(["inspect", str(path)]) == 0
    out = capsys.readouterr().out
    for words in ("stylegan3", "4 channels (RGBA)", "5 classes"):
        assert words in out


def test_inspect_explains_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "network.pkl"
    path.write_bytes(raw_pickle(call("os", "system", text(f"touch {tmp_path / 'canary'}"))))
    data = as_json(capsys, "inspect", path, code=2)
    assert data["error"] == "BadModel"
    assert "names os.system" in data["message"]
    assert "Nothing in it was run" in data["message"]
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("dtype", ["fp16", "fp32"])
def test_convert_keeps_the_pictures(
    dtype: str, nvidia: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.safetensors"
    data = as_json(capsys, "convert", nvidia, out, "--dtype", dtype)
    assert (data["kind"], data["dtype"], data["bytes"]) == ("stylegan2", dtype, out.stat().st_size)
    before, after = load_generator(nvidia), load_generator(out)
    ws = random_latent(before, 1).ws[None]
    difference = (after.synthesize(ws) - before.synthesize(ws)).abs().max()
    assert difference == 0 if dtype == "fp32" else difference < 0.02
    again = as_json(capsys, "inspect", out)
    assert again["format"] == "latent-editor"
    assert "converted from network.pkl (nvlabs)" in again["notes"]


def test_convert_refuses_what_it_cannot_write(nvidia: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must end in .safetensors" in as_json(capsys, "convert", nvidia, "a.pt", code=2)["message"]
    own = nvidia.with_suffix(".safetensors")
    as_json(capsys, "convert", nvidia, own)
    assert "the input itself" in as_json(capsys, "convert", own, own, code=2)["message"]
    before = own.read_bytes()
    nvidia.write_bytes(nvidia.read_bytes()[:1000])
    assert "truncated" in as_json(capsys, "convert", nvidia, own, code=2)["message"]
    assert own.read_bytes() == before


def test_a_model_of_ones_own_is_rendered(nvidia: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    with torch.no_grad():
        assert main(["random", "--seed", "1", "-o", str(out), "--model", str(nvidia)]) == 0
    assert out.stat().st_size > 100
