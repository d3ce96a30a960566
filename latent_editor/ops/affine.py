"""Affine transforms of images. Points are (x, y) in pixels; pixel centers are at half-integers."""

from __future__ import annotations

import cv2
import numpy as np


def similarity(source: np.ndarray, target: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """The least-squares similarity transform from ``source`` to ``target`` (Umeyama 1991, eq. 40–42).

    Args:
        source, target: [N, 2], at least two different points each.
        weights: [N], weights of the points; None for equal weights.

    Returns:
        float64 [2, 3], rotation, uniform scale and translation, without reflection.
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
    """The inverse [2, 3] of ``a`` [2, 3]."""
    linear = np.linalg.inv(a[:, :2])
    return np.column_stack([linear, -linear @ a[:, 2]])


def composed(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """The transform [2, 3] that applies ``inner`` [2, 3], then ``outer`` [2, 3]."""
    return np.column_stack([outer[:, :2] @ inner[:, :2], outer[:, :2] @ inner[:, 2] + outer[:, 2]])


def transformed(a: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Transforms points [N, 2] by ``a`` [2, 3] → float64 [N, 2]."""
    return np.asarray(points, np.float64) @ a[:, :2].T + a[:, 2]


def scale_of(a: np.ndarray) -> float:
    """The scale factor of ``a`` [2, 3] (geometric mean over directions)."""
    return float(np.sqrt(abs(np.linalg.det(a[:, :2]))))


def corners(size: tuple[int, int]) -> np.ndarray:
    """The four corners [4, 2] of an image of ``size`` (width, height)."""
    w, h = size
    return np.array([[0, 0], [w, 0], [w, h], [0, h]], np.float64)


def warp(
    picture: np.ndarray, output_to_picture: np.ndarray, size: tuple[int, int], *, border: int = cv2.BORDER_REFLECT
) -> np.ndarray:
    """Warps an image by an affine transform with antialiasing at any scale.

    1. Crop to the part that the output covers.
    2. If it shrinks by two or more, downscale by an integer factor with area averaging.
    3. Warp bicubically, with 2× supersampling if it still shrinks.

    Rejected: Gaussian blur before sampling, which is softer; averaging over the exact footprint, which OpenCV lacks.

    Args:
        picture: uint8 or float32 [H, W] or [H, W, C].
        output_to_picture: [2, 3], from output pixels to image pixels.
        size: Width and height of the output.
        border: OpenCV border mode.

    Returns:
        [size[1], size[0]] or [size[1], size[0], C], with the dtype of ``picture``.
    """
    a = np.asarray(output_to_picture, np.float64)
    # 1. Skipped if the output reaches beyond the image: the border mode needs the whole image.
    height, width = picture.shape[:2]
    covered = transformed(a, corners(size))
    blocks = int(scale_of(a))
    margin = 4 * max(blocks, 1)  # covers the support of the bicubic kernel
    low, high = np.floor(covered.min(0)).astype(int) - margin, np.ceil(covered.max(0)).astype(int) + margin
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
    centered = a.copy()  # OpenCV has pixel centers at integers
    centered[:, 2] += a[:, :2] @ [0.5, 0.5] - 0.5
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    full = (size[0] * finer, size[1] * finer)
    out = cv2.warpAffine(np.ascontiguousarray(picture), centered, full, flags=flags, borderMode=border)
    return out if finer == 1 else cv2.resize(out, size, interpolation=cv2.INTER_AREA)


def _block_means(picture: np.ndarray, blocks: int) -> np.ndarray:
    """Area averages over squares of ``blocks`` pixels, with replicated edges."""
    height, width = picture.shape[:2]
    down, right = -height % blocks, -width % blocks
    if down or right:
        picture = cv2.copyMakeBorder(picture, 0, down, 0, right, cv2.BORDER_REPLICATE)
    size = (picture.shape[1] // blocks, picture.shape[0] // blocks)
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
