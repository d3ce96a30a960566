"""Where points are in the feature maps of a generator, and where they went (Pan et al. 2023, §3.2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators import Generator

#: The features are looked at where they are this part of the picture's size, at least so wide.
SHARE, MIN_PX = 4, 32
#: How far from where it was a point is looked for, and how finely, in cells of the feature map.
WINDOW_CELLS, FINENESS = 3.0, 4
#: How much a point's features may differ for each cell that it is nearer by, relative to the mean difference in the
#: window: decides only where a picture is flat.
NEARNESS = 0.01


def feature_size(g: Generator) -> int:
    """The resolution that a drag looks at: of those the generator has, the one nearest to a quarter of its size.

    At least 32, where there is one: below, a cell is as wide as an eye.
    """
    wanted = max(g.size_px / SHARE, min(MIN_PX, g.size_px))
    return min(g.activation_sizes, key=lambda size: (abs(math.log(size / wanted)), size))


def sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Features at points, between the cells bilinearly.

    Args:
        maps: [1, C, R, R].
        points: [..., 2], (x, y) in fractions of the side.

    Returns:
        [..., C].
    """
    grid = (2 * points - 1).reshape(1, 1, -1, 2)
    found = F.grid_sample(maps, grid.to(maps.dtype), mode="bilinear", padding_mode="border", align_corners=False)
    return found[0, :, 0].t().reshape(*points.shape[:-1], maps.shape[1])


def square(radius_cells: float, per_cell: int, size_px: int, device: torch.device) -> Tensor:
    """Offsets [M, 2] of a square around a point in fractions of the side, row by row."""
    steps = round(radius_cells * per_cell)
    along = torch.arange(-steps, steps + 1, device=device) / (per_cell * size_px)
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def tracked(maps: Tensor, features: Tensor, points: Tensor) -> Tensor:
    """Where the features of each point are found again, near to where it was (eq. 2: the nearest neighbour by L1).

    Args:
        maps: [1, C, R, R], of the picture as it is now.
        features: [N, C], of each point at the beginning.
        points: [N, 2], where they were a step ago.

    Returns:
        [N, 2], inside of the picture.
    """
    size_px = maps.shape[-1]
    offsets = square(WINDOW_CELLS, FINENESS, size_px, maps.device)
    places = (points[:, None] + offsets).clamp(0.5 / size_px, 1 - 0.5 / size_px)  # [N, M, 2]
    differences = (sampled(maps, places) - features[:, None]).abs().mean(dim=-1)  # [N, M]
    far = offsets.norm(dim=-1) * size_px
    differences = differences + NEARNESS * differences.mean(dim=1, keepdim=True) * far
    nearest = differences.argmin(dim=1)
    return places[torch.arange(len(points), device=points.device), nearest]
