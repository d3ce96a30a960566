"""Training a tiny model: it learns and resumes exactly, and fitting the prior changes no reconstruction."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from latent_editor.core.errors import BadValue
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.networks.encoder import Encoder
from latent_editor.networks.perceptual import Discriminator, psnr_db
from latent_editor.ops import upsample2d
from latent_editor.train import gan
from latent_editor.train.augmentation import for_discriminator, mirror, photographic
from latent_editor.train.growing import grown
from latent_editor.train.networks import Networks
from latent_editor.train.objective import Objective
from latent_editor.train.prior import center, encode, fit_prior

OBJECTIVE = Objective(batch=4, random=2, photographic=1, r1_every=2)


def networks(seed: int = 0) -> Networks:
    torch.manual_seed(seed)
    config = StyleGAN2Config(z_dim=32, w_dim=32, img_resolution=16, channel_base=256, channel_max=16, mapping_layers=0)
    g = StyleGAN2(config)
    return Networks(g, Encoder(16, g.num_ws, 32, width=8, max_width=16), Discriminator(16, width=8, max_width=16))


def trainer(seed: int = 0) -> gan.Trainer:
    return gan.Trainer(networks(seed), OBJECTIVE, torch.float32)


def pictures(count: int = 4) -> torch.Tensor:
    """Smooth color images, uint8 [count, 3, 16, 16]."""
    torch.manual_seed(5)
    coarse = torch.rand(count, 3, 3, 3)
    return (torch.nn.functional.interpolate(coarse, size=16, mode="bilinear") * 255).to(torch.uint8)


def test_reconstruction_improves() -> None:
    t, images = trainer(), pictures()
    before = gan.reconstruction_db(t.nets, images)
    for _ in range(60):
        t.step(images, rate=5e-3)
    assert gan.reconstruction_db(t.nets, images) > before + 3


def test_a_resumed_run_continues_exactly(tmp_path: Path) -> None:
    images = pictures()
    first = trainer()
    for _ in range(3):
        first.step(images, rate=2e-3)
    first.save(tmp_path / "state.pt")
    second = trainer(seed=9)
    second.load(tmp_path / "state.pt")
    for t in (first, second):
        torch.manual_seed(1)
        t.step(images, rate=2e-3)
    assert first.images_seen == second.images_seen == 16
    for name, module in first.nets.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(value, second.nets.modules()[name].state_dict()[key]), key


def test_the_command_writes_state_sheets_and_networks(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for i, p in enumerate(pictures(8)):
        Image.fromarray(p.permute(1, 2, 0).numpy()).save(folder / f"{i}.png")
    networks().write(tmp_path / "start")
    parser = argparse.ArgumentParser()
    gan.add_arguments(parser)
    run, out = tmp_path / "run", tmp_path / "out"
    words = f"--data {folder} --run {run} --start {tmp_path / 'start'} --minutes 0.02 --export {out} --resume"
    gan.main(parser.parse_args(words.split()))
    gan.main(parser.parse_args(words.split()))
    assert (run / "gan.jsonl").read_text().count("validation_encoder_db") == 2
    assert list((run / "sheets").glob("*.jpg"))
    assert Networks.read(out).generator.size_px == 16


def test_grown_networks_start_out_equivalent() -> None:
    small = networks()
    torch.nn.init.normal_(small.discriminator.to_logit.weight)
    large = grown(small, 32)
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    reduced = F.avg_pool2d(images, 2)
    f = small.generator.synthesis.b16.resample_filter
    with torch.no_grad():
        ws = large.encoder(images)
        assert ws.shape == (3, large.generator.num_ws, 32)
        assert torch.allclose(ws[:, :-2], small.encoder(reduced), atol=1e-6)
        expected = upsample2d(small.generator.synthesize(small.encoder(reduced), noise="none"), f)
        assert torch.allclose(large.generator.synthesize(ws, noise="none"), expected, atol=1e-5)
        assert torch.allclose(large.discriminator(images), small.discriminator(reduced), atol=1e-5)


def test_new_layers_of_grown_networks_learn(tmp_path: Path) -> None:
    t = gan.Trainer(grown(networks(), 32), OBJECTIVE, torch.float32)
    images = F.interpolate(pictures().float(), size=32, mode="bilinear").to(torch.uint8)
    names = [
        "generator.synthesis.b32.torgb.weight",
        "discriminator.trunk.fine.1.conv1.weight",
        "encoder.to_offsets.weight",
    ]
    before = [_named(t.nets, name).clone() for name in names]
    for _ in range(3):
        t.step(images, rate=2e-3)
    assert all(not torch.equal(a, _named(t.nets, name)) for a, name in zip(before, names, strict=True))
    t.nets.write(tmp_path)
    again = Networks.read(tmp_path)
    assert again.generator.size_px == 32
    assert again.discriminator.config == t.nets.discriminator.config


def test_frozen_blocks_do_not_change() -> None:
    t = gan.Trainer(grown(networks(), 32), OBJECTIVE, torch.float32, learn_from=32)
    images = F.interpolate(pictures().float(), size=32, mode="bilinear").to(torch.uint8)
    before = {f"{k}.{n}": p.clone() for k, m in t.nets.modules().items() for n, p in m.named_parameters()}
    for _ in range(3):
        t.step(images, rate=2e-3)
    moved = {name for name, value in before.items() if not torch.equal(value, _named(t.nets, name))}
    learns = {name for name in before if name.startswith(("discriminator.", "generator.synthesis.b32."))}
    assert moved <= learns
    assert "generator.synthesis.b32.conv1.weight" in moved
    assert "discriminator.trunk.stem.weight" in moved


def _named(nets: Networks, name: str) -> torch.Tensor:
    module, _, parameter = name.partition(".")
    return nets.modules()[module].get_parameter(parameter)


@pytest.mark.parametrize("size", [16, 24, 64])
def test_networks_grow_only_to_twice_their_size(size: int) -> None:
    with pytest.raises(BadValue, match="16 pixels grow to 32"):
        grown(networks(), size)
    with pytest.raises(BadValue, match="grows once"):
        grown(grown(networks(), 32), 64)


def test_centering_moves_the_origin_but_changes_no_image() -> None:
    nets, images = networks(), pictures(8)
    x = images.float() / 127.5 - 1
    with torch.no_grad():
        before = nets.generator.synthesize(nets.encoder(x))
        w, offsets = encode(nets, images, torch.float32)
        center(nets, w.mean(dim=0), offsets)
        after = nets.generator.synthesize(nets.encoder(x))
        w, offsets = encode(nets, images, torch.float32)
    assert psnr_db(before, after).min() > 80
    assert w.mean(dim=0).abs().max() < 1e-4
    assert offsets.abs().max() < 1e-4


def test_the_prior_has_the_variance_of_the_encoded_images() -> None:
    nets = networks()
    fitted = fit_prior(nets, pictures(64), axes=8)
    encoded, _ = encode(fitted, pictures(64), torch.float32)
    random = fitted.generator.map(torch.randn(2000, 32))[:, 0]
    assert random.mean(dim=0).abs().max() < 0.2 * encoded.std()
    assert 0.4 * encoded.var(dim=0).sum() < random.var(dim=0).sum() < 1.2 * encoded.var(dim=0).sum()


def test_augmentations_keep_range_and_shape() -> None:
    torch.manual_seed(0)
    x = torch.rand(6, 3, 32, 32) * 2 - 1
    for changed in (mirror(x), photographic(x)):
        assert changed.shape == x.shape
        assert changed.abs().max() <= 1.0001
    assert torch.allclose(for_discriminator(x, 0.0), x, atol=1e-6)
    y = x.clone().requires_grad_(True)
    for_discriminator(y, 1.0).sum().backward()
    assert y.grad is not None
    assert y.grad.abs().sum() > 0


def test_canonical_points_raise_the_weights_of_facial_pixels(tmp_path: Path) -> None:
    model = tmp_path / "model.json"
    points = {"left_eye": [0.37, 0.5], "right_eye": [0.63, 0.5], "nose": [0.5, 0.68], "mouth": [0.5, 0.79]}
    model.write_text(json.dumps({"name": "x", "canonical_points": points}))
    weights = gan.pixel_weights(model, 64)
    assert weights.shape == (1, 1, 64, 64)
    assert weights[0, 0, 32, 24] > 5 * weights[0, 0, 2, 2]
    model.write_text(json.dumps({"name": "x"}))
    for nothing in (model, tmp_path / "missing.json", None):
        assert (gan.pixel_weights(nothing, 64) == 1).all()
