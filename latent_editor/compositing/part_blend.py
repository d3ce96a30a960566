"""A part of another face laid into a picture of this one: in its place, in this one's light, with soft edges."""

from __future__ import annotations

import cv2
import numpy as np

from latent_editor.core.face_geometry import eye_distance
from latent_editor.ops import affine

#: How far the surroundings of a part reach whose colours it is given, in distances between the eyes.
AROUND = 0.15
#: How smooth the light is that the two faces are brought to, in the same unit; finer differences are the part's own.
LIGHT = 0.22
#: Where there is little to compare, so much of the best known place's weight pulls the difference of light to 0.
_UNKNOWN = 0.05
#: How the contrast of a part may change with the light that falls on it, and its colours.
_CONTRAST, _MAX_COLOUR = (0.45, 1.5), 1.2
#: Lightness that stands for darkness: shades scale with lightness above it.
_BLACK = 8.0


def grafted(
    own: np.ndarray,
    other: np.ndarray,
    part: np.ndarray,
    skin: np.ndarray,
    own_points: np.ndarray,
    other_points: np.ndarray,
    anchors: list[int],
) -> np.ndarray:
    """A picture with a part of another one.

    1. Move, turn and scale the other picture so that its points lie on the own ones (least squares), and shift it so
       that the part's own points do.
    2. Light and colour, in CIE Lab: bring the median around the part to that of the own face there, and scale the
       shades with the lightness. Then add what differs yet, far blurred; places that differ otherwise than most (a
       nostril, a strand) count little. To join the edges exactly was refused: whatever lies on the edge of only one
       face, a nostril or a hair, is smeared through the part.
    3. Lay it in by the soft mask.

    Args:
        own, other: float32 [S, S, 3], RGB, 0..1.
        part: float32 [S, S], 0..1, where the part is in ``own``.
        skin: float32 [S, S], 0..1, where ``own`` shows the face, whose colours are compared.
        own_points, other_points: float [K, 2] in pixels, the same points of both.
        anchors: Which of them belong to the part; none for a part that has none.

    Returns:
        float32 [S, S, 3], 0..1.
    """
    # 1.
    size = len(own)
    moved = _moved(other, own_points, other_points, anchors)
    # 2.
    unit = max(eye_distance(own_points), 1.0)
    around = np.clip(4 * part * (1 - part), 0, 1) + 0.5 * np.clip(_blurred(part, AROUND * unit) - part, 0, 1)
    whole_face = float((part * skin).sum()) > 0.7 * float(skin.sum())  # all around is hair then
    weights = (part if whole_face else around) * skin + 1e-5
    a, b = (cv2.cvtColor(p.astype(np.float32), cv2.COLOR_RGB2LAB) for p in (own, moved))
    here, there = _median(a, weights), _median(b, weights)
    contrast = float(np.clip((here[0] + _BLACK) / (there[0] + _BLACK), *_CONTRAST))
    colour = min(contrast, _MAX_COLOUR)
    lit = (b - there) * np.array([contrast, colour, colour], np.float32) + here
    difference = a - lit
    away = np.abs(difference - _median(difference, weights))
    usual = _median(away, weights) + 1
    sure = weights * np.exp(-np.square(away / usual).mean(axis=-1) / 4)
    known = _blurred(sure, LIGHT * unit)
    smooth = np.dstack([_blurred(difference[..., i] * sure, LIGHT * unit) for i in range(3)])
    lit = lit + smooth / (known + _UNKNOWN * known.max())[..., None]
    there_now = np.clip(cv2.cvtColor(lit.astype(np.float32), cv2.COLOR_LAB2RGB), 0, 1)
    # 3.
    share = part.reshape(size, size, 1)
    return (own * (1 - share) + there_now * share).astype(np.float32)


def _moved(other: np.ndarray, own_points: np.ndarray, other_points: np.ndarray, anchors: list[int]) -> np.ndarray:
    """Step 1 of :func:`grafted`."""
    other_to_own = affine.similarity(other_points, own_points)
    if anchors:
        there = affine.transformed(other_to_own, other_points[anchors].mean(axis=0, keepdims=True))[0]
        other_to_own[:, 2] += own_points[anchors].mean(axis=0) - there
    moved = affine.warp(other, affine.inverted(other_to_own), other.shape[:2], border=cv2.BORDER_REPLICATE)
    return np.clip(moved, 0, 1)


def _blurred(values: np.ndarray, sigma_px: float) -> np.ndarray:
    return cv2.GaussianBlur(values.astype(np.float32), (0, 0), max(sigma_px, 0.5), borderType=cv2.BORDER_REFLECT)


def _median(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The weighted median of each channel of [S, S, C]: [C]."""
    flat, found = weights.ravel(), []
    for channel in np.moveaxis(values, -1, 0):
        order = np.argsort(channel, axis=None)
        total = np.cumsum(flat[order])
        found.append(channel.ravel()[order][np.searchsorted(total, total[-1] / 2)])
    return np.array(found, np.float32)
