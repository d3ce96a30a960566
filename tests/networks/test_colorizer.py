"""The colorizer: it preserves luminance, hints set hue but not lightness, it learns, and its files round-trip."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

import latent_editor as le
from latent_editor.core.errors import BadModel, BadValue
from latent_editor.degradations import luminance
from latent_editor.generators import Generator
from latent_editor.generators.pictures import to_tensor
from latent_editor.networks.colorizer import Colorizer, load_colorizer, propagated, read_colorizer, save_colorizer
from latent_editor.networks.encoder import Encoder, save_encoder
from latent_editor.restoration.color_hints import MAX_COLOR_HINTS, ColorHint, draw_hints
from latent_editor.train.colorizer import figures, initialized_from, new_trainer

SIZE = 32


def pictures(count: int = 8) -> torch.Tensor:
    """Bright and red in the lower half, dark and blue in the upper: [N, 3, S, S]."""
    rows = torch.arange(SIZE).view(1, 1, SIZE, 1) / SIZE
    light = torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) * 0.2 + rows - 0.6
    color = torch.where(
        rows > 0.5, torch.tensor([0.3, -0.1, -0.2]).view(1, 3, 1, 1), torch.tensor([-0.2, 0, 0.3]).view(1, 3, 1, 1)
    )
    return light + color - luminance(color)


def colorizer(seed: int = 0) -> Colorizer:
    torch.manual_seed(seed)
    return Colorizer(SIZE, width=16, max_width=32)


def test_luminance_is_preserved_and_an_untrained_network_changes_nothing() -> None:
    net, x = colorizer(), pictures(2)
    gray = luminance(x).expand_as(x)
    with torch.no_grad():
        torch.testing.assert_close(net(gray), gray)
        torch.nn.init.normal_(net.last.weight)
        for size in (SIZE, 2 * SIZE, 50):  # images of any size
            larger = torch.nn.functional.interpolate(gray, size=size)
            colored = net(larger)
            assert float((colored - larger).abs().mean()) > 0.01
            torch.testing.assert_close(luminance(colored), luminance(larger), atol=1e-5, rtol=0)


def test_it_starts_with_the_features_of_the_encoder() -> None:
    torch.manual_seed(0)
    encoder = Encoder(SIZE, 4, 8, width=16, max_width=32)
    net, gray = initialized_from(encoder), luminance(pictures(2)).expand(-1, 3, -1, -1)
    for ours, theirs in zip(net.trunk.maps(gray), encoder.trunk.maps(gray), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_it_learns_colors() -> None:
    torch.manual_seed(0)
    trainer, x = new_trainer(colorizer(), 2e-2), pictures()
    before, rows = figures(trainer.net, x, torch.float32)
    assert before["chroma_error"] == pytest.approx(1)
    assert before["chroma_error_hints"] < 0.9  # hints help even an untrained network
    assert len(rows) == 4
    for _ in range(90):
        trainer.learn(x, 0.0)
    assert figures(trainer.net, x, torch.float32)[0]["chroma_error"] < 0.5


def test_known_colors_propagate_to_similar_features() -> None:
    features = torch.zeros(1, 4, 8, 8)
    features[..., :4] = 1  # two halves that look different
    features += 0.01 * torch.randn(features.shape, generator=torch.Generator().manual_seed(0))
    values, known = torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    assert float(propagated(values + 1, known, features).abs().max()) == 0  # nothing is known
    known[..., 2, 1] = known[..., 5, 2] = True
    values[0, :, 2, 1], values[0, :, 5, 2] = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    found = propagated(values, known, features)
    torch.testing.assert_close(found[..., :4], torch.full_like(found[..., :4], 0.5), atol=0.05, rtol=0)
    assert float(found[..., 4:].abs().max()) < 0.2


def test_hints_change_the_colors_at_their_position(portraits: Generator) -> None:
    net = load_colorizer(portraits)
    assert net is not None
    x = to_tensor(le.render(portraits, le.random_latent(portraits, 14)), portraits.size_px)
    gray = luminance(x).expand_as(x)
    for color in ("#3050c0", "#b04020"):
        picture, known = draw_hints(gray, [ColorHint(0.5, 0.6, color, radius=0.05)])
        found = net(picture, known)
        torch.testing.assert_close(luminance(found), luminance(gray), atol=1e-4, rtol=0)
        at = known.expand_as(x) > 0
        assert float((found - picture)[at].abs().mean()) < 0.4 * float((net(gray) - picture)[at].abs().mean())


def test_hints_have_their_position_and_the_lightness_of_the_image() -> None:
    gray = torch.linspace(-0.8, 0.8, SIZE).view(1, 1, 1, SIZE).expand(1, 3, SIZE, SIZE)
    picture, known = draw_hints(
        gray, [ColorHint(0.25, 0.5, "#c04020", radius=0.1), ColorHint(0.75, 0.5, "royalblue", radius=0.1)]
    )
    torch.testing.assert_close(luminance(picture), luminance(gray), atol=1e-5, rtol=0)
    assert torch.equal(picture[..., known[0, 0] == 0], gray[..., known[0, 0] == 0])
    assert float(known.mean()) == pytest.approx(2 * math.pi * 0.1**2, rel=0.2)
    red, blue = picture[0, :, SIZE // 2, SIZE // 4], picture[0, :, SIZE // 2, 3 * SIZE // 4]
    assert red[0] > red[1] > red[2]
    assert blue[2] > blue[1] > blue[0]
    over, _ = draw_hints(gray, [ColorHint(0.5, 0.5, "red", radius=0.2), ColorHint(0.5, 0.5, "#808080", radius=0.2)])
    torch.testing.assert_close(over, gray, atol=1e-5, rtol=0)  # a gray hint means gray
    assert float(draw_hints(gray, [ColorHint(0.5, 0.5, "red", radius=1e-4)])[1].sum()) >= 1


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"x": 1.5}, "0 to 1"), ({"y": math.nan}, "0 to 1"), ({"color": "no such"}, "no color"),
        ({"color": ""}, "no color"), ({"color": 7}, "no color"),
        ({"radius": 0.0}, "radius"), ({"radius": math.inf}, "radius"),
    ],
)  # fmt: skip
def test_invalid_hints_are_rejected(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(BadValue, match=words):
        ColorHint(**{"x": 0.5, "y": 0.5, "color": "red", **wrong})


def test_too_many_hints_are_rejected() -> None:
    with pytest.raises(BadValue, match="at most"):
        draw_hints(torch.zeros(1, 3, 8, 8), [ColorHint(0.5, 0.5, "red")] * (MAX_COLOR_HINTS + 1))


def test_files_round_trip_and_other_kinds_are_rejected(tmp_path: Path) -> None:
    net, x = colorizer(), pictures(2)
    torch.nn.init.normal_(net.last.weight)
    save_colorizer(net, tmp_path / "a.safetensors")
    with torch.no_grad():
        torch.testing.assert_close(read_colorizer(tmp_path / "a.safetensors")(x), net(x), atol=0.01, rtol=0)
    save_encoder(Encoder(SIZE, 4, 8, width=16, max_width=32), tmp_path / "b.safetensors")
    with pytest.raises(BadModel, match="colorizer"):
        read_colorizer(tmp_path / "b.safetensors")
