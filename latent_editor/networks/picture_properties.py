"""Properties of aligned pictures: light, contrast, detail, color, and the presence and pose of a face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from latent_editor.core.face_geometry import FractionLandmarks, has_landmarks, landmark_array, moved_template
from latent_editor.generators.pictures import as_rgb
from latent_editor.networks.face_views import NEEDED, blurred, ellipse, face_views
from latent_editor.networks.faces import misfit
from latent_editor.networks.landmarks import LandmarkNet, frame_from_points, locate

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
_SIZE_PX = 128


@dataclass(frozen=True)
class Range:
    """A typical range: the numbers between which nearly all pictures of the data lie."""

    low: float
    high: float


def picture_properties(
    net: LandmarkNet | None, pictures: Tensor, points: FractionLandmarks | None
) -> dict[str, Tensor]:
    """Measures the properties of aligned pictures.

    Args:
        net: The landmark network, or None for a model without faces.
        pictures: float32 [N, C, S, S], −1..1.
        points: Where a model's faces have their points, as fractions of the side; None for no faces.

    Returns:
        By name, float32 [N]:
        ``light`` and ``contrast`` of the face (or of the picture), 0..1; ``detail``, log10 of the share of the
        contrast that lies in the finest octave of 128²; ``colour``, mean distance of a pixel from gray, 0..1; and
        for faces ``face``, the score of the landmark network, 0..1; ``misfit`` of the landmarks, and ``turn``, how far
        the nose is to the right of the middle of the eyes, both in distances between the eyes.
    """
    pictures = as_rgb(pictures).float().clamp(-1, 1)
    properties = _light(pictures, points)
    if net is not None and points is not None and has_landmarks(points):
        properties |= _pose(net, pictures, points)
    return properties


def _light(pictures: Tensor, points: FractionLandmarks | None) -> dict[str, Tensor]:
    faces = points is not None and set(points) >= NEEDED
    frame: FractionLandmarks = points if faces and points is not None else _WHOLE
    x = (face_views(pictures, frame, _SIZE_PX) + 1) / 2
    # Without the edge of the ellipse, which was faded to gray.
    inside = (ellipse(_SIZE_PX, x.device, reach=0.75) > 0.5).float()
    share = inside.sum()
    luma = (x * x.new_tensor(_LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    light = (luma * inside).sum(dim=(1, 2, 3)) / share
    away = (luma - light.view(-1, 1, 1, 1)) * inside
    contrast = (away.square().sum(dim=(1, 2, 3)) / share).sqrt()
    fine = ((luma - blurred(luma, 1.0)).abs() * inside).sum(dim=(1, 2, 3)) / share
    colour = ((x - x.mean(dim=1, keepdim=True)).abs().mean(dim=1, keepdim=True) * inside).sum(dim=(1, 2, 3)) / share
    detail = (fine / contrast.clamp_min(1e-3)).clamp_min(1e-4).log10()
    properties = {"light": light, "contrast": contrast, "detail": detail, "colour": colour}
    return {name: values.cpu() for name, values in properties.items()}


#: Without a face, the ellipse is centered.
_WHOLE: FractionLandmarks = moved_template(-0.02)


def _pose(net: LandmarkNet, pictures: Tensor, points: FractionLandmarks) -> dict[str, Tensor]:
    side = pictures.shape[-1]
    frame = frame_from_points(landmark_array(points) * side, net.size_px)
    arrays = ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
    rows = []
    for picture in arrays:
        found = locate(net, np.ascontiguousarray(picture), frame)
        left, right, nose = found.points[:3]
        eyes = right - left
        turn = float((nose - (left + right) / 2) @ eyes / max(float(eyes @ eyes), 1e-6))
        rows.append((found.score, misfit(found.points), turn))
    score, away, turned = (torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True))
    return {"face": score, "misfit": away, "turn": turned}


def typical_ranges(properties: Mapping[str, Tensor], *, tail: float = 0.002, widened: float = 0.25) -> dict[str, Range]:
    """The typical range of each property.

    Args:
        properties: Result of :func:`picture_properties` for many pictures.
        tail: Share of pictures below, and above.
        widened: Widens the range by this share of the distance from the median, because a sample is finite.
    """
    ranges = {}
    for name, values in properties.items():
        low, middle, high = (float(q) for q in np.quantile(values.numpy(), (tail, 0.5, 1 - tail)))
        ranges[name] = Range(low - widened * (middle - low), high + widened * (high - middle))
    return ranges
