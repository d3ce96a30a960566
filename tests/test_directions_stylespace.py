"""StyleSpace: a vector in W+ moves the channels that were asked for, and no others; channels are found by region."""

from __future__ import annotations

import pytest
import torch

from latent_editor.errors import BadValue
from latent_editor.generators import Generator, nvlabs, random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.generators.stylespace import style_layers, style_offset, styles_of

SMALL = {"z_dim": 16, "c_dim": 0, "w_dim": 48, "img_resolution": 32, "img_channels": 3}


def narrow(kind: str = "stylegan2") -> Generator:
    """Every w is read by no more channels than it has numbers."""
    return nvlabs.random(kind, {**SMALL, "channel_max": 16})


def one_channel(g: Generator, index: int, channel: int) -> torch.Tensor:
    layer = style_layers(g)[index]
    change = torch.zeros(layer.channels)
    change[channel] = layer.spread[channel]
    return change


def test_one_channel_moves_and_no_other() -> None:
    g = narrow()
    layers = style_layers(g)
    shared = next(
        layer.index for layer in layers if layer.row == layers[layer.index + 1].row
    )  # RGB, and conv0 after it
    for index in (0, shared, shared + 1, len(layers) - 1):
        change = one_channel(g, index, 2)
        offset, residual = style_offset(g, {index: change})
        assert residual < 1e-3
        for layer, moved in zip(layers, styles_of(g, offset), strict=True):
            wanted = change if layer.index == index else torch.zeros(layer.channels)
            assert torch.allclose(moved / layer.spread, wanted / layer.spread, atol=2e-3)
        assert [row for row in range(g.num_ws) if offset[row].any()] == [layers[index].row]


def test_the_network_reads_the_styles_that_were_asked_for() -> None:
    g = narrow()
    change = one_channel(g, 3, 1)
    offset, _ = style_offset(g, {3: change})
    affine = list(g.synthesis.affines())[3][1]
    w = random_ws(g, [5])[:, style_layers(g)[3].row]
    assert torch.allclose(affine(w + offset[style_layers(g)[3].row]) - affine(w), change[None], atol=1e-3)


def test_what_cannot_be_reached_is_told() -> None:
    g = nvlabs.random("stylegan2", {**SMALL, "w_dim": 8, "channel_max": 16})
    offset, residual = style_offset(g, {0: one_channel(g, 0, 0)})
    assert 0.05 < residual <= 1
    layer = style_layers(g)[0]
    missed = (styles_of(g, offset)[0] - one_channel(g, 0, 0)) / layer.spread
    assert missed.norm() == pytest.approx(residual, rel=0.05)


def test_stylegan3_has_a_style_space_too() -> None:
    g = narrow("stylegan3")
    offset, residual = style_offset(g, {4: one_channel(g, 4, 0)})
    assert residual < 1e-3
    assert offset.any()


def test_a_layer_or_a_length_that_is_not_there_is_refused(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadValue, match="style layer 99"):
        style_offset(tiny_generator, {99: torch.zeros(3)})
    with pytest.raises(BadValue, match="shape \\[3\\]"):
        style_offset(tiny_generator, {0: torch.zeros(3)})
