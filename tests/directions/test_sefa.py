"""SeFa: the directions that move the styles most, read off the weights."""

from __future__ import annotations

import pytest
import torch

from latent_editor.core.provenance import Provenance
from latent_editor.directions.candidates import Candidate
from latent_editor.directions.sefa import factorize, style_candidates
from latent_editor.generators import Generator, construction
from latent_editor.generators.preview import Preview
from latent_editor.generators.stylegan2 import StyleGAN2

SMALL = {"z_dim": 16, "c_dim": 0, "w_dim": 24, "img_resolution": 32, "img_channels": 3}


def test_the_largest_direction_moves_styles_most() -> None:
    torch.manual_seed(0)
    weights = [torch.randn(40, 12), torch.randn(7, 12)]
    vectors, shares = factorize(weights, 12)
    stacked = torch.cat(weights)
    singular = torch.linalg.svd(stacked, full_matrices=False)
    assert torch.allclose(shares, singular.S.square() / singular.S.square().sum(), atol=1e-5)
    assert torch.allclose((vectors @ singular.Vh.t()).abs(), torch.eye(12), atol=1e-3)
    assert torch.allclose(vectors @ vectors.t(), torch.eye(12), atol=1e-5)
    best = (stacked @ vectors[0]).norm()
    assert all((stacked @ torch.nn.functional.normalize(torch.randn(12), dim=0)).norm() < best for _ in range(50))
    again, _ = factorize([-w for w in weights], 12)
    assert torch.equal(again, vectors)  # signs do not depend on chance


@pytest.mark.parametrize("kind", ["stylegan2", "stylegan3"])
def test_styles_follow_the_weights(kind: str) -> None:
    """The style weights are those of the layers: moving w moves what the layers read by them."""
    g = construction.random(kind, SMALL)
    layers = g.style_weights()
    assert all(0 <= at < g.num_ws and weight.shape[1] == g.w_dim for at, weight in layers)
    assert {at for at, _ in layers} >= set(range(1, g.num_ws))
    assert [at for at, _ in layers] == sorted(at for at, _ in layers)
    affine = next(m for name, m in g.synthesis.named_modules() if name.endswith("affine") and len(m.weight) > 4)
    step = torch.randn(g.w_dim)
    moved = affine(step[None]) - affine(torch.zeros(1, g.w_dim))
    assert any(weight.shape == affine.weight.shape and torch.allclose(weight @ step, moved[0], atol=1e-5)
               for _, weight in layers)  # fmt: skip


def test_candidates_are_apart_from_each_other_and_from_what_is_there(tiny_generator: StyleGAN2) -> None:
    first = style_candidates(tiny_generator)
    assert 8 <= len(first) <= 14
    assert {c.source for c in first} == {"sefa"}
    assert len({c.origin for c in first}) == len(first)
    for c in first:
        assert c.vector.shape == (tiny_generator.num_ws, tiny_generator.w_dim)
        assert c.layers is None or 0 <= c.layers[0] < c.layers[1] <= tiny_generator.num_ws
    known = Candidate("pca", "the same", first[0].vector * -3, Provenance())
    others = style_candidates(tiny_generator, apart_from=[known])
    cosines = [torch.nn.functional.cosine_similarity(c.vector[0], known.vector[0], dim=0).abs() for c in others]
    assert max(cosines) < 0.61
    assert 2 <= len(style_candidates(tiny_generator, count=5)) <= 5


def test_a_generator_without_styles_has_none(tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StyleGAN2, "style_weights", Generator.style_weights)
    assert style_candidates(tiny_generator) == []


# Previews, which such directions are tried on.


@pytest.mark.parametrize("architecture", ["skip", "resnet"])
def test_a_preview_is_the_picture_reduced(architecture: str) -> None:
    g = construction.random("stylegan2", {**SMALL, "img_resolution": 64, "architecture": architecture})
    if architecture == "skip":  # as in trained networks, colours fill −1..1, and the last summand adds detail alone
        with torch.no_grad():
            for _, _, block in g.synthesis.blocks():
                block.torgb.weight.mul_(0.2)
            g.synthesis.b64.torgb.weight.mul_(0.05)
            g.synthesis.b64.torgb.bias.fill_(0.3)  # and shifts the colours
    preview = Preview(g, 32)
    ws = g.map(torch.randn(5, 16, generator=torch.Generator().manual_seed(3)))
    whole, seen = g.synthesize(ws), preview.synthesize(ws)
    assert seen.shape == (5, 3, 32, 32)
    reduced = torch.nn.functional.avg_pool2d(whole, 2)
    assert (seen - reduced).abs().mean() < 0.1 * reduced.std()
    assert (preview.fit > 0.9) == (architecture == "skip")
    assert preview.fingerprint == g.fingerprint
    assert preview.bundle is g.bundle


def test_a_preview_that_would_mislead_is_not_taken() -> None:
    g = construction.random("stylegan2", {**SMALL, "img_resolution": 64})
    with torch.no_grad():
        g.synthesis.b64.torgb.weight.mul_(30)  # all that is seen comes last
    preview = Preview(g, 16)
    assert preview.fit == 0
    ws = g.map(torch.randn(3, 16))
    expected = torch.nn.functional.avg_pool2d(g.synthesize(ws), 4)
    assert torch.allclose(preview.synthesize(ws), expected, atol=1e-4)
