"""Generators as files and as values: round trips, fingerprints, damage, random faces."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest
import torch

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadLatent, BadModel, MissingPart, UnknownModel
from latent_editor.generators import Generator, load_generator, random_latent, save_generator
from latent_editor.generators.base import random_ws
from latent_editor.generators.loading import GENERATOR_FILE
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.models.bundle import MODEL_FILE


@pytest.fixture
def folder(tiny_generator: StyleGAN2, tmp_path: Path) -> Path:
    """A model's folder with the tiny generator in it."""
    folder = tmp_path / "tiny"
    save_generator(tiny_generator, folder / GENERATOR_FILE, dtype=torch.float32)
    (folder / MODEL_FILE).write_text(json.dumps({"name": "tiny"}), encoding="utf-8")
    return folder


def test_a_generator_survives_its_file(tiny_generator: StyleGAN2, folder: Path) -> None:
    g = load_generator(folder)
    z = torch.randn(1, 32)
    assert torch.equal(g(z), tiny_generator(z))
    assert g.fingerprint == tiny_generator.fingerprint
    assert g.name == "tiny"
    assert not g.training
    assert not any(p.requires_grad for p in g.parameters())


def test_half_precision_files_stay_close(tiny_generator: StyleGAN2, folder: Path) -> None:
    save_generator(tiny_generator, folder / GENERATOR_FILE)
    g, z = load_generator(folder), torch.randn(1, 32)
    assert next(g.parameters()).dtype == torch.float32
    assert (g(z) - tiny_generator(z)).abs().max() < 0.01 * tiny_generator(z).abs().max()


def test_the_fingerprint_follows_every_weight(tiny_generator: StyleGAN2) -> None:
    first = tiny_generator.fingerprint
    assert len(first) == 12
    assert int(first, 16) >= 0
    for name in ("mapping.w_avg", "synthesis.b8.conv0.noise_const", "synthesis.b32.torgb.bias"):
        g = copy.deepcopy(tiny_generator)
        assert g.fingerprint == first
        g = copy.deepcopy(tiny_generator)
        g.state_dict()[name].view(-1)[0] += 1e-3
        assert g.fingerprint != first, name


def test_a_latent_belongs_to_its_generator(tiny_generator: StyleGAN2) -> None:
    latent = tiny_generator.latent(torch.zeros(8, 32, dtype=torch.float64), method="w", psnr_db=20.0)
    assert latent.ws.dtype == torch.float32
    assert (latent.model, latent.fingerprint) == ("tiny", tiny_generator.fingerprint)
    tiny_generator.check(latent)
    torch.manual_seed(1)
    other = StyleGAN2(StyleGAN2Config(z_dim=32, w_dim=32, img_resolution=16, channel_base=256, channel_max=16))
    other.bundle.name = "other"
    for message in ("'tiny'", "'other'", r"\[6, 32\]", "invert the photo again"):
        with pytest.raises(BadLatent, match=message):
            other.check(latent)
    same_shape = copy.deepcopy(tiny_generator)
    same_shape.mapping.w_avg += 1
    with pytest.raises(BadLatent, match=tiny_generator.fingerprint):
        same_shape.check(latent)


def test_random_faces_follow_their_seeds(tiny_generator: StyleGAN2) -> None:
    torch.manual_seed(5)
    one = random_latent(tiny_generator, 7)
    torch.manual_seed(6)
    again, other = random_latent(tiny_generator, 7), random_latent(tiny_generator, 8)
    assert torch.equal(one.ws, again.ws)
    assert not torch.equal(one.ws, other.ws)
    assert one.method == "random"
    together = random_ws(tiny_generator, [8, 7])
    assert torch.allclose(together[1], one.ws, atol=1e-6)
    mean = random_latent(tiny_generator, 7, truncation_psi=0)
    assert torch.allclose(mean.ws, tiny_generator.w_avg.expand(8, 32), atol=1e-6)


def test_random_faces_of_a_conditional_generator_have_a_class() -> None:
    g = StyleGAN2(StyleGAN2Config(z_dim=8, c_dim=3, w_dim=8, img_resolution=8, channel_base=64, channel_max=8)).eval()
    assert random_ws(g, [0, 1, 5]).shape == (3, 4, 8)


def test_the_embedded_model_follows_its_description(portraits: Generator) -> None:
    assert portraits.size_px == portraits.bundle.about["size_px"] >= 128
    assert portraits.channels == 3
    with torch.no_grad():
        image = portraits.synthesize(random_ws(portraits, [0]))
    assert image.shape == (1, 3, portraits.size_px, portraits.size_px)
    assert image.std() > 0.1


# Damage.


def test_missing_models_are_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(UnknownModel, match="nothing here"):
        load_generator(tmp_path / "nothing here")
    (folder / GENERATOR_FILE).unlink()
    with pytest.raises(MissingPart, match="has no generator.safetensors"):
        load_generator(folder)


@pytest.mark.parametrize("keep", [0, 100, 5000])
def test_a_truncated_generator_is_refused(keep: int, folder: Path) -> None:
    path = folder / GENERATOR_FILE
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(BadModel, match=GENERATOR_FILE):
        load_generator(folder)


def _rewritten(folder: Path, **metadata: str) -> None:
    tensors, old = tensor_files.read_tensors(folder / GENERATOR_FILE)
    tensor_files.write_tensors(folder / GENERATOR_FILE, tensors, {**old, **metadata})


def test_another_kind_is_refused(folder: Path) -> None:
    _rewritten(folder, kind="encoder")
    with pytest.raises(BadModel, match="of kind 'encoder'; expected 'stylegan2'"):
        load_generator(folder)


@pytest.mark.parametrize(
    "init_kwargs",
    ["", "[]", "null", "{}", '{"img_resolution": 33}', '{"img_resolution": "x"}', '{"architecture": "resnet"}'],
)
def test_a_description_that_does_not_fit_is_refused(init_kwargs: str, folder: Path) -> None:
    _rewritten(folder, init_kwargs=init_kwargs)
    with pytest.raises(BadModel):
        load_generator(folder)


@pytest.mark.parametrize("change", ["missing", "extra", "wrong shape"])
def test_tensors_that_do_not_fit_are_refused(change: str, folder: Path) -> None:
    tensors, metadata = tensor_files.read_tensors(folder / GENERATOR_FILE)
    if change == "missing":
        del tensors["mapping.fc0.weight"]
    else:
        tensors["mapping.extra" if change == "extra" else "mapping.w_avg"] = torch.zeros(3)
    tensor_files.write_tensors(folder / GENERATOR_FILE, tensors, metadata)
    with pytest.raises(BadModel, match="do not match its arguments"):
        load_generator(folder)
