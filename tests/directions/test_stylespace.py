"""StyleSpace: a vector in W+ moves the channels that were asked for, and no others; channels are found by region."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from latent_editor.core.errors import BadValue, Stopped
from latent_editor.directions import StyleChannel, channel_direction, stylespace_channels
from latent_editor.directions.regions import region_masks, region_names
from latent_editor.directions.stylespace import effects_file, measure_effects
from latent_editor.generators import Generator, construction, random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.generators.stylespace import style_axes, style_layers, style_offset, styles_of
from latent_editor.models.bundle import Bundle

SMALL = {"z_dim": 16, "c_dim": 0, "w_dim": 48, "img_resolution": 32, "img_channels": 3}


def narrow(kind: str = "stylegan2") -> Generator:
    """Every w is read by no more channels than it has numbers."""
    return construction.random(kind, {**SMALL, "channel_max": 16})


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
    g = construction.random("stylegan2", {**SMALL, "w_dim": 8, "channel_max": 16})
    offset, residual = style_offset(g, {0: one_channel(g, 0, 0)})
    assert 0.05 < residual <= 1
    layer = style_layers(g)[0]
    missed = (styles_of(g, offset)[0] - one_channel(g, 0, 0)) / layer.spread
    assert missed.norm() == pytest.approx(residual, rel=0.05)


def test_axes_tell_styles_apart_the_least_telling_first() -> None:
    g = narrow()
    axes = style_axes(g)
    assert torch.allclose(axes @ axes.transpose(1, 2), torch.eye(g.w_dim).expand_as(axes), atol=1e-5)
    for row in range(g.num_ws):
        reading = [layer for layer in style_layers(g) if layer.row == row]
        told = torch.cat([layer.weight @ axes[row].T / layer.spread[:, None] for layer in reading])  # [C, axes]
        alike = told.T @ told  # independent of each other where this is diagonal
        size = alike.diagonal().clamp_min(0)
        assert (alike - torch.diag(alike.diagonal())).abs().max() < 1e-4 * size.max()
        assert (size[1:] >= size[:-1] - 1e-4 * size.max()).all()
        assert (size[: g.w_dim - len(told)] < 1e-4 * size.max()).all()  # what no layer reads


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


# Which channel moves which region.


def test_regions_lie_where_faces_have_them(portraits: Generator) -> None:
    masks = dict(zip(region_names(portraits), region_masks(portraits, 64), strict=True))
    assert torch.stack(list(masks.values())).sum(dim=0).max() == 1
    points = portraits.bundle.about["canonical_points"]
    for region, point in (("eyes", "left_eye"), ("eyes", "right_eye"), ("mouth", "mouth"), ("nose", "nose")):
        x, y = points[point]
        assert masks[region][int(y * 64), int(x * 64)] == 1
    assert masks["background"][2, 2] == 1
    assert masks["hair"][int((points["left_eye"][1] - 0.35) * 64), 32] == 1


@pytest.fixture
def stylish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator:
    """A generator that shows no faces, with a cache of its own."""
    monkeypatch.setenv("LATENT_EDITOR_CACHE", str(tmp_path))
    g = narrow()
    g.bundle = Bundle("narrow", about={"faces": False})
    return g


def test_effects_are_those_of_moving_each_channel(stylish: Generator) -> None:
    g = stylish
    measured = measure_effects(g, faces=1, signs=16)
    masks, ws = region_masks(g, 32), random_ws(g, [0])
    layers = style_layers(g)
    for index, channel in ((0, 1), (2, 3), (len(layers) - 1, 0)):
        offset, _ = style_offset(g, {index: one_channel(g, index, channel) * 1e-2})
        with torch.inference_mode():
            change = (g.synthesize(ws + offset) - g.synthesize(ws - offset)) / 2e-2
        expected = [(change * m).square().sum().div(3 * m.sum()).sqrt() for m in masks]
        at = sum(layer.channels for layer in layers[:index]) + channel
        assert torch.allclose(measured[at], torch.stack(expected), rtol=0.6, atol=1e-4)


def test_channels_are_ranked_and_kept(stylish: Generator) -> None:
    fractions: list[float] = []
    best = stylespace_channels(stylish, region="top", count=5, on_step=lambda s: fractions.append(s.fraction))
    assert [c.region for c in best] == ["top"] * 5
    assert fractions[-1] == 1
    assert effects_file(stylish).is_file()
    stylish.bundle = Bundle("narrow", about={"faces": False})
    again = stylespace_channels(stylish, region="top", count=5, on_step=lambda s: pytest.fail("measured again"))
    assert again == best
    assert len(stylespace_channels(stylish, count=3)) == 3


def test_channels_can_be_stopped_and_refused(stylish: Generator) -> None:
    with pytest.raises(Stopped):
        stylespace_channels(stylish, on_step=lambda s: True)
    with pytest.raises(BadValue, match="center, top"):
        stylespace_channels(stylish, region="beak")


def test_a_channel_becomes_a_slider(stylish: Generator) -> None:
    channel = StyleChannel(1, 2, "top", 0.7, 0.01)
    slider = channel_direction(stylish, channel)
    assert (slider.name, slider.source, slider.space) == ("top 1.2", "stylespace", "w+")
    moved = styles_of(stylish, slider.vector)
    assert moved[1].abs().argmax() == 2
    assert (moved[0] / moved[1].abs().max()).abs().max() < 0.01
    assert slider.entanglement is not None
    assert 1 <= slider.high <= 3
