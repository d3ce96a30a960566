"""Optical flow finds a known motion, and features move along it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from latent_editor.ops.optical_flow import optical_flow, warp_features


def scene(size: int = 64, x: float = 0.0, y: float = 0.0) -> torch.Tensor:
    """Blobs of many sizes, moved by (x, y) pixels: [size, size], −1..1."""
    seeded = torch.Generator().manual_seed(3)
    centers = torch.rand(40, 2, generator=seeded) * size
    widths, heights = torch.rand(40, generator=seeded) * 4 + 2, torch.rand(40, generator=seeded) - 0.5
    rows, columns = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    distance = (columns - x - centers[:, 0, None, None]) ** 2 + (rows - y - centers[:, 1, None, None]) ** 2
    blobs = heights[:, None, None] * (-distance / (2 * widths[:, None, None] ** 2)).exp()
    return blobs.sum(0).clamp(-1, 1)


@pytest.mark.parametrize("move", [(0.0, 0.0), (1.5, 0.0), (-2.0, 3.0), (0.0, -4.5)])
@pytest.mark.parametrize("size", [32, 64, 128])
def test_a_shift_is_found(move: tuple[float, float], size: int) -> None:
    flow = optical_flow(scene(size), scene(size, *move))
    assert flow.shape == (size, size, 2)
    inside = flow[8:-8, 8:-8].reshape(-1, 2)
    torch.testing.assert_close(inside.median(dim=0).values, -torch.tensor(move), atol=0.4, rtol=0.1)


def test_equal_pictures_have_no_flow_at_all() -> None:
    assert not optical_flow(scene(), scene()).any()


def test_features_go_where_the_scene_went() -> None:
    before, after = scene(), scene(x=3.0, y=-2.0)
    features = torch.stack([before, before.square()])[None]
    moved = warp_features(features, optical_flow(before, after)[None])
    wanted = torch.stack([after, after.square()])[None]
    inside = (..., slice(8, -8), slice(8, -8))
    assert F.l1_loss(moved[inside], wanted[inside]) < 0.25 * F.l1_loss(features[inside], wanted[inside])


def test_each_flow_of_a_batch_moves_the_features_for_itself() -> None:
    features = torch.arange(16.0).view(1, 1, 4, 4)
    right = torch.zeros(4, 4, 2)
    right[..., 0] = 1  # each pixel was one to the right: the picture moves to the left
    moved = warp_features(features, torch.stack([torch.zeros(4, 4, 2), right]))
    torch.testing.assert_close(moved[0], features[0])
    torch.testing.assert_close(moved[1, 0, :, :3], features[0, 0, :, 1:])
    torch.testing.assert_close(moved[1, 0, :, 3], features[0, 0, :, 3])
