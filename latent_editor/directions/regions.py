"""Regions of a model's pictures, derived from its canonical landmarks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from latent_editor.core.face_geometry import REGION_HALF_AXES, REGION_MOVED_UP, has_landmarks
from latent_editor.generators import Generator
from latent_editor.networks.faces import canonical_points

FACE_REGIONS = ("eyes", "nose", "mouth", "skin", "hair", "background")
PICTURE_REGIONS = ("center", "top", "bottom", "left", "right")


def region_names(g: Generator) -> tuple[str, ...]:
    """The regions of a generator's pictures: parts of the face if they show faces, else parts of the picture."""
    return FACE_REGIONS if _points(g) is not None else PICTURE_REGIONS


def region_masks(g: Generator, size_px: int) -> Tensor:
    """Where the regions of :func:`region_names` lie: float32 [R, size_px, size_px], 0 or 1, at most one of them 1."""
    centers = (torch.arange(size_px) + 0.5) / size_px
    x, y = torch.meshgrid(centers, centers, indexing="xy")
    points = _points(g)
    parts = _plain(x, y) if points is None else _face(x, y, points)
    free = torch.ones(size_px, size_px, dtype=torch.bool)
    masks = []
    for part in parts:  # the first ones have the first claim
        masks.append(part & free)
        free &= ~part
    return torch.stack(masks).float()


def _points(g: Generator) -> Mapping[str, Any] | None:
    points = canonical_points(g)
    return points if has_landmarks(points) else None


def _face(x: Tensor, y: Tensor, points: Mapping[str, Any]) -> list[Tensor]:
    """In the order of :data:`FACE_REGIONS`; all lengths in distances between the eyes."""
    (lx, ly), (rx, ry), (nx, ny), (mx, my) = (points[name] for name in ("left_eye", "right_eye", "nose", "mouth"))
    unit = ((rx - lx) ** 2 + (ry - ly) ** 2) ** 0.5
    cx, cy = (lx + rx) / 2, (ly + ry) / 2

    def ellipse(at: tuple[float, float], wide: float, high: float) -> Tensor:
        return ((x - at[0]) / (wide * unit)) ** 2 + ((y - at[1]) / (high * unit)) ** 2 < 1

    eyes = ellipse((lx, ly), *REGION_HALF_AXES["eyes"]) | ellipse((rx, ry), *REGION_HALF_AXES["eyes"])
    nose = ellipse((nx, ny - REGION_MOVED_UP["nose"] * unit), *REGION_HALF_AXES["nose"])
    mouth = ellipse((mx, my), *REGION_HALF_AXES["mouth"])
    skin = ellipse((cx, (cy + my) / 2), *REGION_HALF_AXES["skin"])
    head = ellipse((cx, cy - REGION_MOVED_UP["head"] * unit), *REGION_HALF_AXES["head"]) & (y < my)
    beside = (x - cx).abs() > 1.5 * unit
    return [eyes, nose, mouth, skin, head, beside & (y < cy + 0.5 * unit)]


def _plain(x: Tensor, y: Tensor) -> list[Tensor]:
    """In the order of :data:`PICTURE_REGIONS`."""
    center = (x - 0.5).abs().maximum((y - 0.5).abs()) < 0.25
    steep = (y - 0.5).abs() > (x - 0.5).abs()
    return [center, steep & (y < 0.5), steep & (y >= 0.5), ~steep & (x < 0.5), ~steep & (x >= 0.5)]
