"""Pastes an edited crop back into its photo."""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image

from latent_editor.compositing import masks
from latent_editor.compositing.details import carried_over, motion, shifted
from latent_editor.core.errors import BadValue
from latent_editor.core.face_geometry import PixelLandmarks, has_landmarks
from latent_editor.core.values import Crop, Photo
from latent_editor.media.icc import from_srgb
from latent_editor.media.photos import BACKGROUND_RGB
from latent_editor.ops import affine

#: Width of the soft border inside the crop, as a fraction of its side.
FEATHER = 0.18

#: The blending runs in the crop's frame, at the photo's own resolution up to this side; finer detail of the photo is
#: only kept or dropped.
WORK_PX = 1024

#: Rows of the photo that are blended at once, which bounds the memory.
STRIP = 512


def paste(
    photo: Photo,
    crop: Crop,
    *,
    edited: Image.Image,
    original: Image.Image,
    feather: float = FEATHER,
    landmarks: PixelLandmarks | None = None,
    mask: Image.Image | None = None,
) -> Image.Image:
    """Carries the change between two pictures of a crop over to its photo, at the photo's own resolution.

    :func:`latent_editor.editing.paste_back.paste_edit` makes both pictures from a latent and its edits.

    1. The photo is resampled into the crop's frame.
    2. The mask follows the head in the photo and in the edited picture; without landmarks it is the rounded crop.
    3. The change from ``original`` to ``edited`` is carried over to the photo, band by band: detail that the edit did
       not change stays the photo's.
    4. The change is resampled into the photo's frame. Pixels outside the mask stay bit-identical; if ``edited`` equals
       ``original``, so do all others.

    Args:
        photo: The photo that the crop was cut from.
        crop: Where in the photo.
        edited: The edited crop, RGB, sRGB as generators draw it, of any square size.
        original: The same crop without the edit: what the generator draws for the unedited latent, or the crop's own
            image where the edit was made on that. Any square size.
        feather: Width of the soft border as a fraction of the crop's side, 0.01 to 0.5.
        landmarks: Landmarks of the edited face in crop pixels (:func:`edited_landmarks`); None takes the crop's.
        mask: Where the edited picture goes, white on black, over the whole crop, of any size; None finds the head.

    Returns:
        RGB, or RGBA where the photo is transparent, the photo's size, in the photo's own color encoding.

    Raises:
        BadValue: ``feather`` is out of range, or the crop does not belong to this photo.
    """
    if not (math.isfinite(feather) and 0.01 <= feather <= 0.5):
        raise BadValue(f"The feather is {feather}; expected a fraction of the crop's side from 0.01 to 0.5.")
    box = _bounding_box(photo, crop)
    crop_px = crop.image.width
    # 1.
    side = max(edited.width, original.width)
    before, after = (_floats(x, side, photo) for x in (original, edited))
    if np.array_equal(before, after):
        return (photo.rgba or photo.image).copy()
    wanted = min(WORK_PX, affine.scale_of(crop.crop_to_photo) * crop_px)
    work = max(side, math.ceil(wanted - 1e-6))
    to_work = crop.crop_to_photo * np.array([[crop_px / work, crop_px / work, 1.0]])
    seen = affine.warp(np.asarray(photo.image), to_work, (work, work)).astype(np.float32)
    flow = motion(before, after)
    # 2.
    where = _masks(seen, (before, after), crop, (landmarks, mask), feather, flow)
    # 3.
    if flow is not None:
        wide = where.outline if where.room is None else where.outline + where.room
        flow = flow * cv2.resize(wide, (side, side), interpolation=cv2.INTER_AREA)[..., None]
    change = carried_over(seen, before, after, where.of_band, flow=flow, replaced=where.replaced)
    lost = where.outline * (1 - change.detail)
    added = change.added * where.outline[..., None] + seen * lost[..., None]
    if flow is not None and where.room is not None:
        added += (shifted(seen, flow) - seen) * where.room[..., None]
    # 4.
    return _with_transparency(_blended(photo, np.dstack([added, lost]), affine.inverted(to_work), box), photo)


def _masks(
    seen: np.ndarray,
    pictures: tuple[np.ndarray, np.ndarray],
    crop: Crop,
    given: tuple[PixelLandmarks | None, Image.Image | None],
    feather: float,
    flow: np.ndarray | None,
) -> masks.Masks:
    landmarks, mask = given
    if mask is not None:
        return masks.of_outline(np.asarray(mask.convert("L"), np.float32) / 255, len(seen), feather)
    points = crop.landmarks, landmarks or crop.landmarks
    if all(has_landmarks(p, ("left_eye", "right_eye", "chin")) for p in points):
        return masks.of_head(seen, *pictures, points, crop.image.width, feather, flow)
    return masks.of_square(len(seen), feather)


def _bounding_box(photo: Photo, crop: Crop) -> tuple[int, int, int, int]:
    """The bounding box (x0, y0, x1, y1) of the crop in whole photo pixels."""
    corners = affine.transformed(crop.crop_to_photo, affine.corners(crop.image.size))
    limit = np.array(photo.image.size)
    low = np.clip(np.floor(corners.min(0)), 0, limit).astype(int)
    high = np.clip(np.ceil(corners.max(0)), 0, limit).astype(int)
    if not np.isfinite(corners).all() or (high <= low).any():
        raise BadValue(
            f"The crop lies outside {photo.name} ({limit[0]} × {limit[1]}). Paste into the photo it was cut from."
        )
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _floats(image: Image.Image, size_px: int, photo: Photo) -> np.ndarray:
    """RGB in the photo's own encoding as float32 [size_px, size_px, 3], 0..255."""
    image = from_srgb(image.convert("RGB"), photo.icc_profile)
    if image.size != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32)


def _blended(
    photo: Photo, change: np.ndarray, photo_to_work: np.ndarray, box: tuple[int, int, int, int]
) -> Image.Image:
    """photo · (1 − lost) + added, strip by strip; ``change`` holds added and lost, float32 [S, S, 4]."""
    picture = np.array(photo.image)
    x0, y0, x1, y1 = box
    for top in range(y0, y1, STRIP):
        size = (x1 - x0, min(STRIP, y1 - top))
        strip_to_work = affine.composed(photo_to_work, np.array([[1.0, 0, x0], [0, 1.0, top]]))
        here = affine.warp(change, strip_to_work, size, border=cv2.BORDER_CONSTANT)
        part = picture[top : top + size[1], x0:x1]
        new = part * (1 - here[..., 3:]) + here[..., :3]
        part[...] = masks.as_bytes(new)
    return Image.fromarray(picture)


def _with_transparency(pasted: Image.Image, photo: Photo) -> Image.Image:
    """Restores the photo's transparency; changed colors are unmixed from the gray backdrop."""
    if photo.rgba is None:
        return pasted
    new, out = np.asarray(pasted), np.array(photo.rgba)
    changed = (new != np.asarray(photo.image)).any(-1) & (out[..., 3] > 0)
    share = out[changed, 3:].astype(np.float32) / 255
    out[changed, :3] = masks.as_bytes((new[changed] - (1 - share) * np.array(BACKGROUND_RGB, np.float32)) / share)
    return Image.fromarray(out)
