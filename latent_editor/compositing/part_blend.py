"""Blends a part of another face into a picture: aligned, relit, with soft edges."""

from __future__ import annotations

import cv2
import numpy as np

from latent_editor.core.face_geometry import eye_distance
from latent_editor.ops import affine

#: Width of the surroundings whose colors a part is matched to, in eye distances.
AROUND = 0.15
#: Smoothness of the light that is matched, in eye distances; finer differences stay the part's own.
LIGHT = 0.22
#: Regularization towards no change of light, as a fraction of the highest weight.
_UNKNOWN = 0.05
#: Range of the part's contrast scale, and the maximum of its chroma scale.
_CONTRAST, _MAX_CHROMA = (0.45, 1.5), 1.2
#: Lightness offset of the contrast scale.
_BLACK = 8.0


def blend_part(
    own: np.ndarray,
    other: np.ndarray,
    part: np.ndarray,
    skin: np.ndarray,
    own_points: np.ndarray,
    other_points: np.ndarray,
    anchors: list[int],
) -> np.ndarray:
    """Blends a part of another picture into a picture.

    1. Align the other picture by its landmarks (least-squares similarity), and shift it so that the part's own
       landmarks coincide.
    2. Relight it in CIE Lab: match the median around the part to that of the own face, and scale contrast with
       lightness. Then add the remaining difference, strongly blurred; outliers (a nostril, a strand) count little.
       Matching the edges exactly (Poisson blending) was rejected: whatever lies on the edge of only one face, a nostril
       or a hair, is smeared through the part.
    3. Blend with the soft mask.

    Args:
        own, other: float32 [S, S, 3], RGB, 0..1.
        part: float32 [S, S], 0..1, the part in ``own``.
        skin: float32 [S, S], 0..1, the face in ``own``, whose colors are compared.
        own_points, other_points: float [K, 2] in pixels, the landmarks of both, eyes first.
        anchors: Indices of the part's own landmarks; may be empty.

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
    chroma = min(contrast, _MAX_CHROMA)
    lit = (b - there) * np.array([contrast, chroma, chroma], np.float32) + here
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
    """Step 1 of :func:`blend_part`."""
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
