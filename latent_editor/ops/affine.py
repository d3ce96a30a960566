"""Affine transforms of pictures. Points are (x, y) in pixels; pixel centres are at whole numbers plus one half."""

from __future__ import annotations

import cv2
import numpy as np


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The rotation, uniform scale and shift that take ``source`` nearest to ``target`` (Umeyama 1991, eq. 40–42).

    Args:
        source, target: [N, 2], at least two different points each.
        weights: [N], how much each point counts; None for all alike.

    Returns:
        float64 [2, 3]. Never a reflection.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    share = np.ones(len(source)) if weights is None else np.asarray(weights, np.float64)
    share = share / share.sum()
    mean_s, mean_t = share @ source, share @ target
    s, t = source - mean_s, target - mean_t
    u, d, vt = np.linalg.svd((t * share[:, None]).T @ s)
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(sign) @ vt
    scale = (d * sign).sum() / (share @ (s**2).sum(1))
    linear = scale * rotation
    return np.column_stack([linear, mean_t - linear @ mean_s])


def inverted(a: np.ndarray) -> np.ndarray:
    """The transform [2, 3] that undoes ``a`` [2, 3]."""
    linear = np.linalg.inv(a[:, :2])
    return np.column_stack([linear, -linear @ a[:, 2]])


def composed(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The transform [2, 3] that applies ``inner`` [2, 3], then ``outer`` [2, 3]."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def transformed(a: np.ndarray, points: np.ndarray) -> np.ndarray:
    """points [N, 2] through ``a`` [2, 3] → float64 [N, 2]."""
    return np.asarray(points, np.float64) @ a[:, :2].T + a[:, 2]


def scale_of(a: np.ndarray) -> float:
    """By how much ``a`` [2, 3] magnifies lengths, on average over directions."""
    return float(np.sqrt(abs(np.linalg.det(a[:, :2]))))


def corners(size: tuple[int, int]) -> np.ndarray:
    """The four corners [4, 2] of a picture of ``size`` (width, height)."""
    w, h = size
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)


def warp(
    picture: np.ndarray, output_to_picture: np.ndarray, size: tuple[int, int], *, border: int = cv2.BORDER_REFLECT
) -> np.ndarray:
    """Samples a picture through an affine transform without aliasing, however much it shrinks.

    1. Only the part that the output sees is looked at.
    2. Shrinking by two or more: that part is averaged in whole blocks first.
    3. The rest (less than two) is sampled bicubically, twice as finely where it still shrinks, and averaged.

    Refused: Gaussian blur before sampling, which softens what the blocks keep; one averaging over the exact footprint,
    which OpenCV has not.

    Args:
        picture: uint8 or float32 [H, W] or [H, W, C].
        output_to_picture: [2, 3], from output pixels to picture pixels.
        size: Width and height of the output.
        border: OpenCV's name for what lies beyond the picture.

    Returns:
        [size[1], size[0]] or [size[1], size[0], C], the picture's dtype.
    """
    a = np.asarray(output_to_picture, np.float64)
    # 1. The border's rule needs the whole picture, where the output reaches beyond it.
    height, width = picture.shape[:2]
    seen = transformed(a, corners(size))
    blocks = int(scale_of(a))
    margin = 4 * max(blocks, 1)  # what a bicubic sample at the edge reaches
    low, high = np.floor(seen.min(0)).astype(int) - margin, np.ceil(seen.max(0)).astype(int) + margin
    if (low >= 0).all() and high[0] <= width and high[1] <= height:
        picture = picture[low[1] : high[1], low[0] : high[0]]
        a = np.column_stack([a[:, :2], a[:, 2] - low])
    # 2.
    if blocks >= 2:
        picture = _block_means(picture, blocks)
        a = a / blocks
    # 3.
    finer = 2 if scale_of(a) > 1.05 else 1
    if finer == 2:
        a = np.column_stack([a[:, :2] / 2, a[:, 2]])
    centred = a.copy()  # OpenCV puts pixel centres at whole numbers
    centred[:, 2] += a[:, :2] @ [0.5, 0.5] - 0.5
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    full = (size[0] * finer, size[1] * finer)
    out = cv2.warpAffine(np.ascontiguousarray(picture), centred, full, flags=flags, borderMode=border)
    return out if finer == 1 else cv2.resize(out, size, interpolation=cv2.INTER_AREA)


def _block_means(picture: np.ndarray, blocks: int) -> np.ndarray:
    """Means over squares of ``blocks`` pixels; the last row and column of squares repeat the picture's edge."""
    height, width = picture.shape[:2]
    down, right = -height % blocks, -width % blocks
    if down or right:
        picture = cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE)
    size = (picture.shape[1] // blocks, picture.shape[0] // blocks)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
