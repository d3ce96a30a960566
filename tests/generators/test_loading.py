"""From a name, a folder or a file to a generator, and back to a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hostile.fuzz import whole_generators
from hostile.nvidia import nvidia_pickle

from latent_editor.checkpoints import zoo
from latent_editor.checkpoints.formats import read_checkpoint
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, UnknownModel
from latent_editor.generators import Generator, construction, load_generator, save_generator
from latent_editor.generators.loading import read_generator
from latent_editor.models.bundle import CACHE_VARIABLE, FOLDERS_VARIABLE, MODEL_FILE, Bundle

SMALL = {
    "z_dim": 16, "c_dim": 0, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "channel_base": 512,
    "channel_max": 32, "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "skip": ("stylegan2", SMALL),
    "resnet": ("stylegan2", {**SMALL, "architecture": "resnet", "img_channels": 4}),
    "classes": ("stylegan2", {**SMALL, "c_dim": 3, "img_channels": 1}),
    "stylegan3": ("stylegan3", {**SMALL, "num_layers": 4}),
}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def render(g: Generator) -> torch.Tensor:
    z = torch.randn(1, g.z_dim, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return g.synthesize(g.map(z, torch.eye(g.c_dim)[:1] if g.c_dim else None))


@pytest.mark.parametrize("name", KINDS)
def test_a_file_of_its_own_gives_identical_pictures(name: str, tmp_path: Path) -> None:
    g = construction.random(*KINDS[name])
    path = tmp_path / "model.safetensors"
    save_generator(g, path, dtype=torch.float32)
    loaded = load_generator(path)
    assert type(loaded) is type(g)
    assert torch.equal(render(loaded), render(g))
    assert loaded.fingerprint == g.fingerprint
    assert not loaded.training
    assert not any(p.requires_grad for p in loaded.parameters())


@pytest.mark.parametrize("name", KINDS)
def test_half_precision_keeps_what_needs_every_digit(name: str, tmp_path: Path) -> None:
    g = construction.random(*KINDS[name])
    path = tmp_path / "model.safetensors"
    save_generator(g, path)
    tensors, _ = tensor_files.read_tensors(path)
    assert any(t.dtype == torch.float16 for t in tensors.values())
    assert tensors["mapping.w_avg"].dtype == torch.float32
    assert (render(load_generator(path)) - render(g)).abs().max() < 0.02 * render(g).abs().max()


def test_what_half_precision_cannot_hold_stays(tmp_path: Path) -> None:
    g = construction.random(*KINDS["skip"])
    g.synthesis.b8.conv0.weight[0, 0, 0, 0] = 1e6
    path = tmp_path / "model.safetensors"
    save_generator(g, path)
    assert tensor_files.read_tensors(path)[0]["synthesis.b8.conv0.weight"].dtype == torch.float32
    load_generator(path)


def test_the_bundle_of_a_file(cache: Path, tmp_path: Path) -> None:
    g = construction.random(*KINDS["skip"])
    path = tmp_path / "my cats.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), SMALL, tmp_path / "canary"))
    loaded = load_generator(str(path))
    assert loaded.name == "my cats"
    assert loaded.bundle.folder == cache / "models" / f"my cats-{g.fingerprint}"
    assert loaded.bundle.about["format"] == "nvlabs"
    assert not cache.exists(), "nothing is written before there is something to write"


def test_what_was_found_out_about_a_file_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "cats.safetensors"
    save_generator(construction.random(*KINDS["skip"]), path)
    g = load_generator(path)
    assert g.bundle.save_facts(g.fingerprint, {"faces": False})
    again = load_generator(path)
    assert again.bundle.facts(again.fingerprint)["faces"] is False


def test_parts_beside_the_generator_survive(tmp_path: Path) -> None:
    g = construction.random(*KINDS["skip"])
    encoder = {"body.weight": torch.randn(80, 80), "steps": torch.tensor([1, 2])}
    g.bundle = Bundle("e4e", None, {"notes": ["left out: d"]}, {"encoder": encoder})
    path = tmp_path / "e4e.safetensors"
    save_generator(g, path, dtype=torch.float32)
    loaded = load_generator(path)
    assert set(loaded.bundle.extras["encoder"]) == set(encoder)
    assert torch.equal(loaded.bundle.extras["encoder"]["body.weight"], encoder["body.weight"])
    assert loaded.bundle.extras["encoder"]["steps"].dtype == torch.int64
    assert read_checkpoint(path).notes == ("left out: d",)


def test_folders_and_names_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g = construction.random(*KINDS["stylegan3"])
    folder = tmp_path / "weights" / "third"
    save_generator(g, folder / "generator.safetensors", dtype=torch.float32)
    (folder / MODEL_FILE).write_text(json.dumps({"name": "third"}), encoding="utf-8")
    monkeypatch.setenv(FOLDERS_VARIABLE, str(tmp_path / "weights"))
    for model in (folder, "third"):
        loaded = load_generator(model)
        assert loaded.name == "third"
        assert torch.equal(render(loaded), render(g))


def test_fetched_models_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    g = construction.random(*KINDS["skip"])
    entry = dataclasses.replace(zoo.entries()[0], name="cats-16", canonical_points={"nose": [0.5, 0.5]})
    monkeypatch.setattr(zoo, "entries", lambda: [entry])
    with pytest.raises(UnknownModel, match="latent-editor fetch cats-16"):
        load_generator("cats-16")
    path = zoo.zoo_folder() / entry.file_name
    path.parent.mkdir(parents=True)
    path.write_bytes(nvidia_pickle(g.state_dict(), SMALL, tmp_path / "canary"))
    loaded = load_generator("cats-16")
    assert loaded.name == "cats-16"
    assert loaded.bundle.about["licence"] == entry.license.name
    assert loaded.bundle.about["canonical_points"] == {"nose": [0.5, 0.5]}
    assert torch.equal(render(loaded), render(g))


@pytest.mark.parametrize("model", ["nothing/here.pkl", "x" * 5000, "a\0b", ""])
def test_what_is_not_there_is_named(model: str) -> None:
    with pytest.raises(UnknownModel, match="No model is called"):
        load_generator(model)


def test_a_file_that_contradicts_itself_is_named(tmp_path: Path) -> None:
    g = construction.random(*KINDS["skip"])
    path = tmp_path / "bad.pkl"
    path.write_bytes(nvidia_pickle(g.state_dict(), {**SMALL, "img_resolution": 32}, tmp_path / "canary"))
    with pytest.raises(BadModel, match=r"bad\.pkl do not match its arguments: .*b32"):
        read_generator(path)


def test_the_smallest_generators_are_read(tmp_path: Path) -> None:
    for number, content in enumerate(whole_generators()):
        path = tmp_path / f"{number}.safetensors"
        path.write_bytes(content)
        g = load_generator(path)
        assert g.size_px == 8
        assert torch.isfinite(render(g)).all()
