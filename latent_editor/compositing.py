"""Putting an edited crop back into its photo."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

from latent_editor.errors import BadValue
from latent_editor.ops import affine
from latent_editor.types import Crop, Photo

#: Width of the soft border inside the crop, as a share of its side.
FEATHER = 0.18

#: The mask's outline is a superellipse |u|ⁿ + |v|ⁿ = 1: rounder than the square, with room for hair.
ROUNDNESS = 4.0


def paste(
    photo: Photo, crop: Crop, image: Image.Image, *, feather: float = FEATHER, original: Image.Image | None = None
) -> Image.Image:
    """Puts a picture of the crop back into the photo, at the photo's own resolution.

    1. The picture is taken back into the photo's frame.
    2. Its colours are matched to the photo's along the crop's border, less and less towards the middle. Where
       ``original`` is given, this is not needed: the difference of the two pictures is added to the photo instead,
       which keeps all of the photo's own detail.
    3. A soft mask inside the crop blends the two; every pixel outside of it stays as it was, to the bit.

    Args:
        photo: The photo that the crop was cut from.
        crop: Tells where.
        image: The edited crop, RGB, of any square size.
        feather: Width of the soft border as a share of the crop's side, 0.01 to 0.5.
        original: The reconstruction without edits, at any square size, or None.

    Returns:
        RGB, the photo's size.

    Raises:
        BadValue: ``feather`` is outside of its range, or the crop does not belong to this photo.
    """
    if not (math.isfinite(feather) and 0.01 <= feather <= 0.5):
        raise BadValue(f"The feather is {feather}; expected a share of the crop's side from 0.01 to 0.5.")
    picture = np.array(photo.image.convert("RGB"))
    x0, y0, x1, y1 = _seen_part(photo, crop)
    part_to_crop = affine.composed(affine.inverted(crop.crop_to_photo), np.array([[1.0, 0, x0], [0, 1.0, y0]]))
    size = (x1 - x0, y1 - y0)
    mask = _mask(part_to_crop, size, crop.image.width, feather)[..., None]
    before = picture[y0:y1, x0:x1].astype(np.float32)
    # 1. and 2.
    if original is None:
        after = _taken_back(_matched(crop, image, feather), part_to_crop, size)
    else:
        crop_px = crop.image.width
        change = _floats(image, max(image.width, crop_px)) - _floats(original, max(image.width, crop_px))
        after = before + _taken_back((change, crop_px), part_to_crop, size)
    # 3.
    blended = np.clip(np.round(before + (after - before) * mask), 0, 255).astype(np.uint8)
    picture[y0:y1, x0:x1] = np.where(mask > 0, blended, picture[y0:y1, x0:x1])
    return Image.fromarray(picture)


def _seen_part(photo: Photo, crop: Crop) -> tuple[int, int, int, int]:
    """The smallest box (x0, y0, x1, y1) of whole photo pixels that holds what the photo shows of the crop."""
    corners = affine.transformed(crop.crop_to_photo, affine.corners(crop.image.size))
    limit = np.array(photo.image.size)
    low = np.clip(np.floor(corners.min(0)), 0, limit).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, limit).astype(int)
    if not np.isfinite(corners).all() or (high <= low).any():
        raise BadValue(
            f"The crop lies outside of {photo.name} ({limit[0]} × {limit[1]}). Paste into the photo it was cut from."
        )
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _mask(part_to_crop: np.ndarray, size: tuple[int, int], crop_px: int, feather: float) -> np.ndarray:
    """How much of the new picture each photo pixel takes: float32 [H, W], 0 outside of the crop."""
    at_x, at_y = np.arange(size[0], dtype=np.float32) + 0.5, np.arange(size[1], dtype=np.float32)[:, None] + 0.5
    a = (part_to_crop / crop_px * 2).astype(np.float32)  # to −1..1 over the crop
    u = np.abs(a[0, 0] * at_x + a[0, 1] * at_y + a[0, 2] - 1)
    v = np.abs(a[1, 0] * at_x + a[1, 1] * at_y + a[1, 2] - 1)
    radius = (u**ROUNDNESS + v**ROUNDNESS) ** (1 / ROUNDNESS)
    t = np.clip((1 - radius) / (2 * feather), 0, 1)
    return t * t * (3 - 2 * t)


def _floats(image: Image.Image, size_px: int) -> np.ndarray:
    """RGB as float32 [size_px, size_px, 3], 0..255."""
    image = image.convert("RGB")
    if image.size != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32)


def _matched(crop: Crop, image: Image.Image, feather: float) -> tuple[np.ndarray, int]:
    """The picture with its border's colours moved to the crop's, and the crop's side.

    The difference is averaged along the border, smoothly, and fades inwards.
    """
    crop_px = crop.image.width
    new = _floats(image, image.width)
    difference = _floats(crop.image, crop_px) - _floats(image, crop_px)
    near = np.arange(crop_px, dtype=np.float32) + 0.5
    near = np.minimum(near, crop_px - near) / crop_px
    border = np.clip(1 - np.minimum(near[:, None], near) / feather, 0, 1)[..., None]
    sigma = 0.1 * crop_px
    weight = cv2.GaussianBlur(border, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)[..., None]
    offset = cv2.GaussianBlur(difference * border, (0, 0), sigma, borderType=cv2.BORDER_REFLECT) / (weight + 1e-3)
    offset = cv2.GaussianBlur(offset * np.sqrt(border), (0, 0), sigma / 3, borderType=cv2.BORDER_REFLECT)
    return new + cv2.resize(offset, new.shape[1::-1], interpolation=cv2.INTER_LINEAR), crop_px


def _taken_back(square: tuple[np.ndarray, int], part_to_crop: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A square picture of the crop (and the crop's side in its pixels) seen from the photo: float32 [H, W, 3]."""
    pixels, crop_px = square
    part_to_pixels = part_to_crop * (pixels.shape[1] / crop_px)
    return affine.warp(pixels, part_to_pixels, size, border=cv2.BORDER_REPLICATE)
