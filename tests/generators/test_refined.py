"""A refined generator draws one face otherwise, costs what it changes, and leaves the generator as it is."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from latent_editor.core.errors import BadLatent
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Latent
from latent_editor.generators import Generator, construction, generator_for, random_latent, random_ws, refined
from latent_editor.generators.preview import Preview, small
from latent_editor.generators.refined import original
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.rendering import Renderer, render, render_tensor, sized_images

WEIGHT = "synthesis.b16.conv1.weight"


def refinement(g: StyleGAN2, *, seed: int = 0, scale: float = 0.1) -> Refinement:
    seeded = torch.Generator().manual_seed(seed)
    shape = (g.config.channels_at(16), 16, 16)
    features = torch.randn(shape, generator=seeded) * scale
    weights = torch.randn(dict(g.named_parameters())[WEIGHT].shape, generator=seeded) * scale
    return Refinement({16: features.half()}, {WEIGHT: weights.half()})


def changed_by_hand(g: StyleGAN2, r: Refinement) -> StyleGAN2:
    """The oracle: a whole copy, in place of shared parts."""
    other = copy.deepcopy(g)
    with torch.no_grad():
        dict(other.named_parameters())[WEIGHT].add_(r.weights[WEIGHT].float())
    return other


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_it_draws_what_a_changed_copy_draws(architecture: str) -> None:
    g = construction.random(
        "stylegan2",
        {"z_dim": 16, "w_dim": 24, "img_resolution": 32, "img_channels": 3, "channel_base": 256, "channel_max": 16,
         "architecture": architecture, "c_dim": 0},
    )  # fmt: skip
    assert isinstance(g, StyleGAN2)
    r, ws = refinement(g), random_ws(g, [1, 2])
    before = g.synthesize(ws)
    by_hand = changed_by_hand(g, Refinement({}, r.weights))
    torch.testing.assert_close(refined(g, Refinement({}, r.weights)).synthesize(ws), by_hand.synthesize(ws))
    features = Refinement(r.features, {})
    difference = refined(g, features).activations(ws, 16) - g.activations(ws, 16)
    torch.testing.assert_close(difference, r.features[16].float()[None].expand_as(difference), atol=1e-4, rtol=0)
    assert not torch.allclose(refined(g, features).synthesize(ws), before, atol=1e-3)
    assert torch.equal(g.synthesize(ws), before), "the generator itself was changed"


def test_it_shares_what_it_does_not_change(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    other = refined(g, refinement(g))
    theirs = dict(other.named_parameters())
    assert [n for n, p in g.named_parameters() if theirs[n] is not p] == [WEIGHT]
    assert isinstance(other, StyleGAN2)
    assert other.synthesis.b8 is g.synthesis.b8
    assert other.fingerprint == g.fingerprint
    assert original(other) is g


def test_equal_refinements_give_the_same_generator(tiny_generator: StyleGAN2, tmp_path: Path) -> None:
    g = tiny_generator
    latent = g.latent(random_ws(g, [1])[0], method="pivotal", refinement=refinement(g))
    first = generator_for(g, latent)
    latent.save(tmp_path / "a.latent")
    assert generator_for(g, Latent.load(tmp_path / "a.latent")) is first
    assert generator_for(first, latent) is first
    assert generator_for(first, random_latent(g, 1)) is g
    assert refined(g, refinement(g, seed=1)) is not first
    for seed in range(2, 20):
        refined(g, refinement(g, seed=seed))
    assert refined(g, refinement(g)) is not first, "too many are kept"


def test_everything_that_renders_a_latent_draws_its_refinement(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    latent = g.latent(random_ws(g, [1])[0], method="pivotal", refinement=refinement(g, scale=0.5))
    other = generator_for(g, latent)
    (wanted,) = sized_images(render_tensor(other, latent.ws[None], precision="fp32"))
    assert render(g, latent, precision="fp32").tobytes() == wanted.tobytes()
    assert render(g, replace(latent, refinement=None), precision="fp32").tobytes() != wanted.tobytes()
    edited = latent.ws.clone()
    edited[-2:] += 0.5
    renderer = Renderer(other)
    for ws in (latent.ws, edited, edited):  # the second and third start from what is kept
        exact = render_tensor(other, ws[None], precision="fp32")
        torch.testing.assert_close(renderer.render_tensor(ws[None], precision="fp32"), exact)


def test_a_preview_of_a_refined_generator_shows_the_refinement(portraits: Generator) -> None:
    assert isinstance(portraits, StyleGAN2)
    g = portraits
    r = Refinement({16: torch.full((g.config.channels_at(16), 16, 16), 0.4)}, {})
    ws = random_ws(g, [1])
    preview = small(refined(g, r), g.size_px // 2)
    assert isinstance(preview, Preview)
    assert preview is small(refined(g, r), g.size_px // 2)
    assert not torch.allclose(preview.synthesize(ws), small(g, g.size_px // 2).synthesize(ws), atol=0.02)


def test_stylegan3_takes_weights_and_no_features() -> None:
    g = construction.random("stylegan3", {"z_dim": 16, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "c_dim": 0,
                                    "channel_base": 128, "channel_max": 8})  # fmt: skip
    name, parameter = next((n, p) for n, p in g.named_parameters() if n.startswith("synthesis.L") and p.ndim == 4)
    ws = random_ws(g, [1])
    other = refined(g, Refinement({}, {name: parameter.detach() * 0.5}))
    by_hand = copy.deepcopy(g)
    with torch.no_grad():
        dict(by_hand.named_parameters())[name].mul_(1.5)
    torch.testing.assert_close(other.synthesize(ws), by_hand.synthesize(ws))
    with pytest.raises(BadLatent, match="no features at this size"):
        refined(g, Refinement({16: torch.zeros(8, 16, 16)}, {}))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (Refinement({16: torch.zeros(3, 16, 16)}), r"shape \[3, 16, 16\]"),
        (Refinement({64: torch.zeros(4, 64, 64)}), "no features at this size"),
        (Refinement({}, {"synthesis.b16.conv1.weight": torch.zeros(3)}), "takes"),
        (Refinement({}, {"synthesis.b512.conv1.weight": torch.zeros(3)}), "has none of this name"),
        (Refinement({}, {"mapping.fc0.bias": torch.zeros(32)}), "has none of this name"),
        (Refinement(pivot=torch.zeros(3, 4), gain=1.5), r"a pivot of shape \[3, 4\]"),
    ],
)
def test_what_does_not_fit_is_refused(tiny_generator: StyleGAN2, wrong: Refinement, message: str) -> None:
    with pytest.raises(BadLatent, match=message):
        refined(tiny_generator, wrong)


def test_a_latent_of_another_model_is_refused(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadLatent, match="was made with the model"):
        generator_for(tiny_generator, Latent(torch.zeros(8, 32), "other", "0" * 12, refinement=Refinement()))
