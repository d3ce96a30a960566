"""Masks of the edited picture in a crop: float32, 0 where the photo stays unchanged."""

from __future__ import annotations

import math
from typing import NamedTuple

import cv2
import numpy as np

from latent_editor.compositing.details import band_similarity, guided, pyramid, smooth_step
from latent_editor.compositing.heads import CUT_PX, head
from latent_editor.core.face_geometry import PixelLandmarks

#: Without a face, the mask is a superellipse |u|ⁿ + |v|ⁿ = 1 of this exponent: rounder than the square.
ROUNDNESS = 4.0
#: With a face, the mask only falls off at the crop's sides, over this share of the feather; light fades over all of it.
SIDES_ROUNDNESS, SIDES_SHARE = 8.0, 0.25
#: Growing or disappearing hair counts where the edit changes the picture by more than these gray levels, and where in
#: one of so many bands the mean dissimilarity is above the third.
GROWN_LEVELS, GROWN_BANDS, GROWN_UNLIKE = 16.0, 4, 0.55
#: The head's outline is softened over this share of the feather, along edges of the photo.
OUTLINE_SHARE, OUTLINE_LEVELS = 0.25, 10.0

#: An edge that moves less than this, in pixels of the segmentation, counts as still.
MOVING = 0.3


def rounded_square(side: int, feather: float, roundness: float = ROUNDNESS) -> np.ndarray:
    """A mask [side, side] that falls to 0 at the crop's sides."""
    at = np.abs((np.arange(side, dtype=np.float32) + 0.5) / side * 2 - 1) ** roundness
    radius = (at + at[:, None]) ** (1 / roundness)
    return smooth_step((1 - radius) / (2 * feather))


class Masks(NamedTuple):
    """Where the edited picture goes.

    Attributes:
        outline: [S, S], the head, or the whole crop if no face is known; 0 at the crop's sides.
        light_feather: Width of the border over which light fades, as a fraction of the crop's side; None if light and
            detail share a mask.
        replaced: [CUT_PX, CUT_PX], 1 where the edit replaced one thing by another; None if unknown.
        room: [S, S], how far around the outline the photo itself moves along; None if nothing moves.
    """

    outline: np.ndarray
    light_feather: float | None = None
    replaced: np.ndarray | None = None
    room: np.ndarray | None = None

    def of_band(self, side: int, coarseness: float) -> np.ndarray:
        """The mask of one band, besides the outline: [side, side]; coarseness 0 is the finest, 1 the light."""
        if self.light_feather is None:
            return np.ones((side, side), np.float32)
        return 1 - coarseness * (1 - rounded_square(side, self.light_feather, SIDES_ROUNDNESS))


def of_square(side: int, feather: float) -> Masks:
    """The whole crop."""
    return Masks(rounded_square(side, feather))


def of_outline(outline: np.ndarray, side: int, feather: float) -> Masks:
    """A mask drawn by the caller, [H, W], 0..1."""
    outline = cv2.resize(outline.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    return Masks(outline * rounded_square(side, SIDES_SHARE * feather, SIDES_ROUNDNESS))


def of_head(
    photo: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    landmarks: tuple[PixelLandmarks, PixelLandmarks],
    crop_px: int,
    feather: float,
    flow: np.ndarray | None = None,
) -> Masks:
    """The photo's head, and what the edit adds to it.

    1. The head is segmented in the photo, in the edited picture and in the unedited one.
    2. Pixels that are head only after the edit count as growth where the two pictures differ visibly: hair that was
       drawn too wide before the edit is no growth.
    3. The outline follows the photo's edges, and the edited picture's where the head has grown.
    4. Where the head's edge moves, its surroundings move along, so that the old edge is covered.

    Args:
        photo: float32 [S, S, 3], 0..255.
        before, after: float32 [s, s, 3], 0..255, the generator's pictures without and with the edit.
        landmarks: Of the face in the photo and in the edited picture, in crop pixels.
        crop_px: Side of the crop.
        feather: Fraction of the crop's side.
        flow: float32 [s, s, 2], the edit's optical flow, or None.
    """
    # 1.
    small = [cv2.resize(x, (CUT_PX, CUT_PX), interpolation=cv2.INTER_AREA) for x in (photo, before, after)]
    marks = (landmarks[0], landmarks[0], landmarks[1])
    in_photo, in_before, in_after = (head(as_bytes(x), p, crop_px) for x, p in zip(small, marks, strict=True))
    # 2.
    replaced = _visible_changes(np.abs(in_after - in_before), small[1], small[2])
    grown = in_after * (1 - in_photo) * replaced
    sliver = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    grown, replaced = (cv2.morphologyEx(x, cv2.MORPH_OPEN, sliver) for x in (grown, replaced))
    # 3.
    reach = max(1, round(OUTLINE_SHARE * feather * CUT_PX))
    outline = guided(in_photo, small[0], reach, OUTLINE_LEVELS, fine=photo)
    if grown.any():
        fine = cv2.resize(after, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        more = guided(cv2.dilate(np.maximum(grown, in_photo), round_), small[2], reach, OUTLINE_LEVELS, fine=fine)
        near = cv2.GaussianBlur(cv2.dilate(grown, round_, iterations=2), (0, 0), reach / 2)
        near = cv2.resize(near, photo.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        outline = np.maximum(outline, more * near)
    outline = smooth_step((outline - 0.12) / 0.76)
    sides = rounded_square(len(photo), SIDES_SHARE * feather, SIDES_ROUNDNESS)
    # 4.
    room = None if flow is None else _room_to_move(in_photo, flow, len(photo)) * sides * (1 - outline)
    return Masks(outline * sides, feather, cv2.GaussianBlur(replaced, (0, 0), 1.0), room)


def _room_to_move(head_mask: np.ndarray, flow: np.ndarray, side: int) -> np.ndarray:
    """Soft mask [side, side] around the moving silhouette of a head, dilated by its displacement."""
    far = cv2.resize(np.hypot(flow[..., 0], flow[..., 1]), head_mask.shape) * (len(head_mask) / len(flow))
    edge = cv2.morphologyEx(head_mask, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) * (far > MOVING)
    wide = np.zeros_like(head_mask)
    for least in range(math.ceil(float(far.max()))):
        reach = 2 * (least + 2) + 1
        round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach))
        wide = np.maximum(wide, cv2.dilate(edge * (far > least), round_))
    return np.asarray(smooth_step(cv2.resize(cv2.GaussianBlur(wide, (0, 0), 1.2), (side, side))))


def _visible_changes(changed: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Of the patches where two segmentations differ, those where both the pictures' colors and edges differ.

    Hair in a new color may be segmented differently; that is no change of shape.
    """
    levels = cv2.GaussianBlur(np.abs(after - before).max(-1), (0, 0), 1.0)
    old, new = (
        pyramid(cv2.cvtColor(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB), GROWN_BANDS)[:-1]
        for x in (before, after)
    )
    unlike = np.max(
        [cv2.resize(1 - band_similarity(a, b), changed.shape) for a, b in zip(old, new, strict=True)], axis=0
    )
    count, names = cv2.connectedComponents(((changed > 0) & (levels > GROWN_LEVELS)).astype(np.uint8))
    kept = [i for i in range(1, count) if unlike[names == i].mean() > GROWN_UNLIKE]
    return np.isin(names, kept).astype(np.float32)


def as_bytes(picture: np.ndarray) -> np.ndarray:
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)
