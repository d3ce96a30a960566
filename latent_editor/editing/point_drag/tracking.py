"""Point tracking in the feature maps of a generator (Pan et al. 2023, §3.2)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators import Generator

#: The feature map has this fraction of the picture's side, but at least so many cells.
SHARE, MIN_PX = 4, 32
#: Radius of the search window, in cells of the feature map, and search positions per cell.
WINDOW_CELLS, FINENESS = 3.0, 4
#: Penalty per cell of distance, relative to the mean feature difference in the window: decides only where a picture is
#: flat.
NEARNESS = 0.01


def feature_size(g: Generator) -> int:
    """The resolution of the feature map: of the generator's, the one closest to a quarter of its size.

    At least 32 if there is one: below, a cell is as wide as an eye.
    """
    wanted = max(g.size_px / SHARE, min(MIN_PX, g.size_px))
    return min(g.activation_sizes, key=lambda size: (abs(math.log(size / wanted)), size))


def sampled(maps: Tensor, points: Tensor) -> Tensor:
    """Bilinearly sampled features.

    Args:
        maps: [1, C, R, R].
        points: [..., 2], (x, y) as fractions of the side.

    Returns:
        [..., C].
    """
    grid = (2 * points - 1).reshape(1, 1, -1, 2)
    found = F.grid_sample(maps, grid.to(maps.dtype), mode="bilinear", padding_mode="border", align_corners=False)
    return found[0, :, 0].t().reshape(*points.shape[:-1], maps.shape[1])


def square(radius_cells: float, per_cell: int, size_px: int, device: torch.device) -> Tensor:
    """Offsets [M, 2] of a square around a point, as fractions of the side, row by row."""
    steps = round(radius_cells * per_cell)
    along = torch.arange(-steps, steps + 1, device=device) / (per_cell * size_px)
    y, x = torch.meshgrid(along, along, indexing="ij")
    return torch.stack([x, y], dim=-1).reshape(-1, 2)


def tracked(maps: Tensor, features: Tensor, points: Tensor) -> Tensor:
    """Tracks points to the nearest neighbors of their features, by L1 in a window (eq. 2).

    Args:
        maps: [1, C, R, R], of the current picture.
        features: [N, C], of each point at the start.
        points: [N, 2], one step ago.

    Returns:
        [N, 2], inside the picture.
    """
    size_px = maps.shape[-1]
    offsets = square(WINDOW_CELLS, FINENESS, size_px, maps.device)
    places = (points[:, None] + offsets).clamp(0.5 / size_px, 1 - 0.5 / size_px)  # [N, M, 2]
    differences = (sampled(maps, places) - features[:, None]).abs().mean(dim=-1)  # [N, M]
    far = offsets.norm(dim=-1) * size_px
    differences = differences + NEARNESS * differences.mean(dim=1, keepdim=True) * far
    nearest = differences.argmin(dim=1)
    return places[torch.arange(len(points), device=points.device), nearest]
