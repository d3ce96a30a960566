"""Features that were fitted at a pivot follow the face while it is edited."""

from __future__ import annotations

import pytest
import torch

from latent_editor.core.refinement import Refinement
from latent_editor.generators import Generator, construction, random_ws, refined
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.rendering import Renderer, render_tensor

SIZE = 64
CONFIG = {"z_dim": 16, "w_dim": 24, "img_resolution": 128, "img_channels": 3, "channel_base": 512, "channel_max": 16,
          "c_dim": 0}  # fmt: skip


def generator(architecture: str = "skip") -> StyleGAN2:
    g = construction.random("stylegan2", {**CONFIG, "architecture": architecture})
    assert isinstance(g, StyleGAN2)
    return g


def refinement(g: StyleGAN2, pivot: torch.Tensor | None) -> Refinement:
    seeded = torch.Generator().manual_seed(0)
    features = torch.randn(g.config.channels_at(SIZE), SIZE, SIZE, generator=seeded)
    return Refinement({SIZE: features}, {}, pivot, 1.0)


def test_at_the_pivot_nothing_moves() -> None:
    g = generator()
    pivot = random_ws(g, [1])
    r = refinement(g, pivot[0])
    fixed = refined(g, Refinement(r.features, {}))
    for dtype in (torch.float32, torch.bfloat16):
        assert torch.equal(refined(g, r).synthesize(pivot, dtype=dtype), fixed.synthesize(pivot, dtype=dtype))


def test_an_edited_face_takes_its_features_along(portraits: Generator) -> None:
    g = portraits
    assert isinstance(g, StyleGAN2)
    pivot = random_ws(g, [1], truncation_psi=0.7)
    turned = pivot + (random_ws(g, [2], truncation_psi=0.7) - pivot) * 0.4
    # One spot of features, on an eye: it has to be found where the eye is now, and not where it was.
    points = g.bundle.about["canonical_points"]
    x, y = (round(v * SIZE) for v in points["left_eye"])
    features = torch.zeros(g.config.channels_at(SIZE), SIZE, SIZE)
    features[:, y - 2 : y + 3, x - 2 : x + 3] = 1.0
    added = refined(g, Refinement({SIZE: features}, {}, pivot[0])).activations(turned, SIZE) - g.activations(
        turned, SIZE
    )
    weight = added.abs().mean(dim=(0, 1))
    assert weight.sum() > 10  # nothing is lost
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    center = torch.stack([(weight * columns).sum(), (weight * rows).sum()]) / weight.sum()
    assert (center - torch.tensor([float(x), float(y)])).norm() < 8
    assert not torch.allclose(weight, features.mean(0), atol=1e-3)


def test_each_latent_of_a_batch_has_its_own_flow() -> None:
    g = generator()
    ws = random_ws(g, [1, 2, 3])
    other = refined(g, refinement(g, ws[0]))
    together = other.synthesize(ws)
    for i in range(3):
        torch.testing.assert_close(together[i : i + 1], other.synthesize(ws[i : i + 1]), atol=1e-4, rtol=1e-4)


def test_frames_that_start_from_cached_blocks_are_the_same() -> None:
    g = generator()
    pivot = random_ws(g, [1])[0]
    other, edited = refined(g, refinement(g, pivot)), pivot.clone()
    edited[6:] += 0.7
    renderer = Renderer(other)
    for ws in (pivot, edited, edited, pivot):
        exact = render_tensor(other, ws[None], precision="fp32")
        torch.testing.assert_close(renderer.render_tensor(ws[None], precision="fp32"), exact)


@pytest.mark.parametrize("architecture", ["orig", "resnet"])
def test_without_an_rgb_sum_features_stay_where_they_are(architecture: str) -> None:
    g = generator(architecture)
    ws = random_ws(g, [1, 2])
    r = refinement(g, ws[0])
    difference = refined(g, r).activations(ws, SIZE) - g.activations(ws, SIZE)
    torch.testing.assert_close(difference, r.features[SIZE][None].expand_as(difference), atol=1e-4, rtol=0)


def test_gradients_reach_the_latent() -> None:
    g = generator()
    ws = random_ws(g, [1, 2])
    other, edited = refined(g, refinement(g, ws[0])), ws[1:].clone().requires_grad_(True)
    other.synthesize(edited).square().mean().backward()
    assert edited.grad is not None
    assert bool(torch.isfinite(edited.grad).all())
    assert edited.grad.abs().sum() > 0
