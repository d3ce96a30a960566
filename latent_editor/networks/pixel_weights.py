"""Pixel weights of a face: eyes and mouth identify a person, the background does not."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.core.face_geometry import FractionLandmarks

#: Added to the weight 1 of every pixel, at the center of the face and at each feature.
FACE, FEATURE = 2.5, 9.0
#: Standard deviations (x, y) of the bell over the face and over each feature, in distances between the eyes.
FACE_SPREAD = (0.67, 0.87)
FEATURE_SPREAD = {"left_eye": (0.24, 0.14), "right_eye": (0.24, 0.14), "nose": (0.2, 0.2), "mouth": (0.32, 0.16)}
NEEDED = frozenset(FEATURE_SPREAD)


def face_weights(points: FractionLandmarks, size_px: int) -> Tensor:
    """The weights of a picture's pixels, from its landmarks.

    All pixels alike leave eyes a hundredth of the error, which a small network spends elsewhere: at the same number of
    decibels, faces came out with smeared eyes.

    Args:
        points: (x, y) of at least ``NEEDED``, as fractions of the side.
        size_px: Side of the picture.

    Returns:
        float32 [1, 1, size_px, size_px], mean 1.
    """
    at = {name: torch.tensor(points[name], dtype=torch.float32) for name in FEATURE_SPREAD}
    unit = (at["right_eye"] - at["left_eye"]).norm().clamp_min(1e-3)
    along = (torch.arange(size_px) + 0.5) / size_px
    y, x = torch.meshgrid(along, along, indexing="ij")

    def bell(center: Tensor, spread: tuple[float, float]) -> Tensor:
        dx, dy = (x - center[0]) / (spread[0] * unit), (y - center[1]) / (spread[1] * unit)
        return torch.exp(-0.5 * (dx.square() + dy.square()))

    middle = (at["left_eye"] + at["right_eye"] + 2 * at["mouth"]) / 4
    weights = 1 + FACE * bell(middle, FACE_SPREAD)
    for name, spread in FEATURE_SPREAD.items():
        weights = weights + FEATURE * bell(at[name], spread)
    return (weights / weights.mean())[None, None]
