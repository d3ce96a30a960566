"""Widened networks, and those trained at half size, keep their function."""

from __future__ import annotations

import pytest
import torch

from latent_editor.core.errors import BadValue
from latent_editor.generators import random_ws
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.networks.encoder import Encoder
from latent_editor.networks.perceptual import Discriminator
from latent_editor.networks.restorer import Restorer, case_of
from latent_editor.train.growing import halved, rejoined
from latent_editor.train.networks import Networks
from latent_editor.train.widening import deepened, rechanneled, widened


def generator(**changes: object) -> StyleGAN2:
    torch.manual_seed(0)
    config = {
        "z_dim": 16,
        "w_dim": 16,
        "img_resolution": 32,
        "channel_base": 256,
        "channel_max": 8,
        "mapping_layers": 1,
    }
    return StyleGAN2(StyleGAN2Config(**{**config, **changes})).requires_grad_(False)  # type: ignore[arg-type]


def test_a_widened_generator_keeps_its_output_and_trains_all_channels() -> None:
    narrow = generator()
    wide = widened(narrow, (12, 10, 9, 8))
    ws = random_ws(narrow, [1, 2])
    torch.testing.assert_close(
        wide.synthesize(ws, noise="none"), narrow.synthesize(ws, noise="none"), atol=1e-5, rtol=1e-5
    )
    torch.testing.assert_close(wide.map(torch.ones(1, 16)), narrow.map(torch.ones(1, 16)))
    wide.requires_grad_(True)
    wide.synthesize(ws, noise="none").square().mean().backward()
    reads_new = wide.synthesis.b8.conv0.weight.grad[:8, 8:]  # existing channels start to read new ones
    assert bool(reads_new.abs().sum() > 0)


@pytest.mark.parametrize("channels", [(8, 8, 8), (8, 8, 8, 7)])
def test_a_generator_cannot_get_narrower(channels: tuple[int, ...]) -> None:
    with pytest.raises(BadValue, match="expected 4 numbers, none below"):
        widened(generator(), channels)


def test_a_deepened_encoder_gives_the_same_ws() -> None:
    torch.manual_seed(0)
    encoder = Encoder(32, 8, 16, width=8, max_width=16).requires_grad_(False)
    deep = deepened(encoder, 24)
    image = torch.rand(3, 3, 32, 32) * 2 - 1
    torch.testing.assert_close(deep(image), encoder(image), atol=1e-6, rtol=1e-5)
    again = Encoder(**deep.config)
    assert {k: v.shape for k, v in again.state_dict().items()} == {k: v.shape for k, v in deep.state_dict().items()}
    assert sum(p.numel() for p in deep.parameters()) > sum(p.numel() for p in encoder.parameters())


def networks() -> Networks:
    g = generator()
    encoder = Encoder(16, g.num_ws, 16, width=8, max_width=16)
    return Networks(g, encoder, Discriminator(32, width=8, max_width=16, fine_width=4))


@torch.no_grad()
def test_half_networks_render_the_half_size_image_and_can_be_rejoined() -> None:
    whole = networks()
    half = halved(whole)
    image = torch.rand(2, 3, 16, 16) * 2 - 1
    ws = whole.encoder(image)
    torch.testing.assert_close(half.encoder(image), ws[:, : half.generator.num_ws])
    inner = whole.generator.intermediate_image(ws, 16)
    assert inner is not None
    torch.testing.assert_close(
        half.generator.synthesize(half.encoder(image), noise="none"), inner, atol=1e-5, rtol=1e-4
    )
    same = rejoined(whole, half)
    for name, module in whole.modules().items():
        for key, value in module.state_dict().items():
            assert torch.equal(same.modules()[name].state_dict()[key], value), (name, key)

    for module in half.modules().values():
        for p in module.parameters():
            p.add_(0.01)
    learned = rejoined(whole, half)
    assert torch.equal(learned.encoder.to_w.bias, half.encoder.to_w.bias)
    assert torch.equal(learned.generator.synthesis.b16.conv1.weight, half.generator.synthesis.b16.conv1.weight)
    assert torch.equal(learned.generator.synthesis.b32.conv1.weight, whole.generator.synthesis.b32.conv1.weight)
    assert torch.equal(learned.discriminator.trunk.stem.weight, half.discriminator.trunk.stem.weight)


def test_only_skip_generators_can_be_halved() -> None:
    nets = networks()
    nets.generator = generator(architecture="orig")
    with pytest.raises(BadValue, match="skip"):
        halved(nets)


@torch.no_grad()
def test_a_restorer_for_a_wider_generator_predicts_the_same_features() -> None:
    torch.manual_seed(0)
    narrow = Restorer(32, 8, 8, width=8, max_width=8)
    torch.nn.init.normal_(narrow.last.weight)
    wide = rechanneled(narrow, 12)
    case = case_of(None, torch.rand(2, 3, 32, 32) * 2 - 1)
    seen = torch.randn(2, 12, 8, 8)
    seen = (seen - seen.mean(dim=(2, 3), keepdim=True)) / seen.std(dim=(2, 3), keepdim=True)  # a unit that none changes
    found = wide(case, seen)
    torch.testing.assert_close(found[:, :8], narrow(case, seen[:, :8]), atol=1e-3, rtol=1e-3)
    assert float(found[:, 8:].abs().max()) == 0
