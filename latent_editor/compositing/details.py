"""Carries a change between two pictures over to a sharper photo, by place and by frequency band.

The pictures here are float32 [S, S, 3], 0..255, of one crop, in one frame.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

#: Differences between pictures below this, in gray levels of one band, are not structure.
FLOOR = 2.5
#: Relative difference of a band's energy at which the photo's own detail starts to fade, and is gone; weight of the
#: photo's own band.
ALIKE, UNLIKE, PHOTO_SHARE = 0.30, 0.75, 0.5
#: Optical flow is computed on copies of at most this side, and clipped to this fraction of it.
MOTION_PX, MAX_MOTION = 256, 0.09
#: Window of the guided filter, in pixels of a 128 px picture, and contrast of an edge, in gray levels.
GUIDE_PX, GUIDE_LEVELS = 5, 12.0


#: Makes the mask [side, side] of a band of the pyramid from its side and its coarseness, 0..1.
BandMasks = Callable[[int, float], np.ndarray]


class Change(NamedTuple):
    """A change to a photo.

    Attributes:
        added: float32 [S, S, 3], to be added to the photo in the working frame.
        detail: float32 [S, S], 0..1, how much of the photo's detail finer than the frame stays.
    """

    added: np.ndarray
    detail: np.ndarray


def carried_over(
    photo: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    masks: BandMasks,
    *,
    flow: np.ndarray | None = None,
    replaced: np.ndarray | None = None,
) -> Change:
    """Carries the change between two pictures over to a photo that is like the first of them, but sharper.

    1. Where the edit moves something (a turned head, a smile), the photo's detail is moved along.
    2. Changes of color follow the photo's own edges: the change as a local linear function of the photo (guided
       filter, He et al. 2010).
    3. In each band of a Laplacian pyramid (Burt & Adelson 1983): where the two pictures are similar, the photo's band
       stays, with the change of color; where they are not, the edited picture's band replaces it, so that no old edge
       shows through. What is replaced in a coarse band is replaced in finer ones too.
    4. Bands finer than the generator's pictures only hold the photo's detail, as far as the next band keeps it. The
       coarsest always stays: it is the light of the photo. Each band has its own mask, so that light fades over a
       wider border than detail.

    Args:
        photo: float32 [S, S, 3].
        before, after: float32 [s, s, 3], the generator's pictures without and with edits; S ≥ s.
        masks: The mask [side, side] of a band by its side and coarseness: 0 is the finest, 1 the coarsest.
        flow: float32 [s, s, 2], from :func:`motion`, or None.
        replaced: float32 [H, W], 1 where one thing replaced another (hair over a wall), or None.
    """
    side, fine_side = len(after), len(photo)
    near = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
    # 1.
    moved, near_moved, still = photo, near, np.ones((side, side), np.float32)
    if flow is not None:
        before, moved, near_moved = (shifted(x, flow) for x in (before, photo, near))
        still = np.clip(1.5 - np.hypot(flow[..., 0], flow[..., 1]), 0, 1)
    # 2.
    reach = max(2, round(GUIDE_PX * side / 128))
    tint = guided(after - before, near_moved, reach, GUIDE_LEVELS)
    # 3.
    bands = max(1, int(np.log2(side)) - 3)
    old, new, own, mine, kept = (pyramid(x, bands) for x in (before, after, near, near_moved, near_moved + tint))
    keep = np.ones(old[-1].shape[:2], np.float32)
    change = (kept[-1] - own[-1]) * masks(len(own[-1]), 1.0)[..., None]
    for k in range(bands - 1, -1, -1):
        shape = new[k].shape[1::-1]
        alike = band_similarity(old[k], new[k], mine[k])
        if replaced is not None:
            alike = alike * (1 - cv2.resize(replaced, shape, interpolation=cv2.INTER_AREA))
        keep = np.minimum(cv2.resize(keep, shape, interpolation=cv2.INTER_LINEAR), alike)
        band = new[k] + keep[..., None] * (kept[k] - new[k]) - own[k]
        change = cv2.pyrUp(change, dstsize=shape) + band * masks(shape[0], k / bands)[..., None]
    # 4.
    if fine_side > side:
        change = enlarged(change, fine_side)
        detail, detail_moved = photo - enlarged(near, fine_side), moved - enlarged(near_moved, fine_side)
        change += enlarged(keep, fine_side)[..., None] * detail_moved - detail
    return Change(change, enlarged(keep * still, fine_side))


def enlarged(picture: np.ndarray, side: int) -> np.ndarray:
    """A square picture enlarged: colors bicubically, masks without overshoot."""
    how = cv2.INTER_CUBIC if picture.ndim == 3 else cv2.INTER_LINEAR
    return cv2.resize(picture, (side, side), interpolation=how)


def pyramid(picture: np.ndarray, bands: int) -> list[np.ndarray]:
    """Laplacian bands, finest first, and the low-pass residual."""
    out = []
    for _ in range(bands):
        less = cv2.pyrDown(picture)
        out.append(picture - cv2.pyrUp(less, dstsize=picture.shape[1::-1]))
        picture = less
    return [*out, picture]


def band_similarity(a: np.ndarray, b: np.ndarray, photo: np.ndarray | None = None) -> np.ndarray:
    """Local similarity of two pictures' bands [H, W, 3]: float32 [H, W], 1 where no structure differs.

    A difference that is small compared with the photo's own band, if given, counts less: the generator did not
    reproduce what the photo shows there, so its change says little about it.
    """

    def energy(x: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur((x**2).sum(-1), (0, 0), 1.5)

    whole = energy(a) + energy(b) + 2 * 3 * FLOOR**2
    if photo is not None:
        whole += PHOTO_SHARE * energy(photo)
    return 1 - smooth_step((energy(a - b) / whole - ALIKE) / (UNLIKE - ALIKE))


def smooth_step(t: np.ndarray) -> np.ndarray:
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def motion(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """Optical flow from ``after`` back to ``before``: offsets in pixels, float32 [s, s, 2]; None if nothing moved.

    Dense inverse search (Kroeger et al. 2016) on contrast-normalized luminance, so that colors may change too; smooth,
    and zero where it does not explain the difference.
    """
    side = len(after)
    scale = min(1.0, MOTION_PX / side)
    size = (round(side * scale),) * 2
    old, new = (_normalized(cv2.resize(x, size, interpolation=cv2.INTER_AREA)) for x in (before, after))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(1)
    search.setUseSpatialPropagation(True)
    flow = search.calc(new, old, None)
    blur = size[0] / 48
    flow = np.clip(cv2.GaussianBlur(flow, (0, 0), blur), -MAX_MOTION * size[0], MAX_MOTION * size[0])
    was = cv2.GaussianBlur((new.astype(np.float32) - old) ** 2, (0, 0), blur)
    now = cv2.GaussianBlur((new.astype(np.float32) - shifted(old.astype(np.float32), flow)) ** 2, (0, 0), blur)
    trust = smooth_step(((was - now) / (was + 60) - 0.15) / 0.3)
    flow = cv2.GaussianBlur(flow * trust[..., None], (0, 0), blur)
    if np.hypot(flow[..., 0], flow[..., 1]).max() < 0.25:
        return None
    return cv2.resize(flow, (side, side), interpolation=cv2.INTER_LINEAR) / scale


def _normalized(picture: np.ndarray) -> np.ndarray:
    """Luminance with normalized local brightness and contrast: uint8 [s, s]."""
    luma = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    sigma = len(luma) / 16
    luma = luma - cv2.GaussianBlur(luma, (0, 0), sigma)
    spread = np.sqrt(cv2.GaussianBlur(luma**2, (0, 0), sigma)) + 4
    return np.clip(128 + 48 * luma / spread, 0, 255).astype(np.uint8)


def shifted(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Warps a picture: every pixel comes from where ``flow`` [s, s, 2], in the flow's own pixels, points."""
    scale = len(picture) / len(flow)
    if scale != 1:
        flow = cv2.resize(flow, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR) * scale
    at = np.arange(len(picture), dtype=np.float32)
    return cv2.remap(
        picture, flow[..., 0] + at, flow[..., 1] + at[:, None], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def guided(
    picture: np.ndarray, guide: np.ndarray, reach: int, levels: float, *, fine: np.ndarray | None = None
) -> np.ndarray:
    """A picture [H, W] or [H, W, C] smoothed along the edges of a guide (He et al. 2010, eq. 19 to 21).

    Args:
        guide: [H, W, 3], 0..255.
        reach: Half the window's side.
        levels: Contrasts of the guide well above this are edges.
        fine: The guide at the larger size of the result (He & Sun 2015): [H', W', 3].

    Returns:
        As ``picture``, at the size of ``fine`` if given.
    """
    size = (2 * reach + 1,) * 2

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, size, borderType=cv2.BORDER_REFLECT)

    guide = guide / np.float32(255)
    fine = guide if fine is None else fine / np.float32(255)
    source = picture if picture.ndim == 3 else picture[..., None]
    guide_mean = mean(guide)
    pairs = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    s = [mean(guide[..., i] * guide[..., j]) - guide_mean[..., i] * guide_mean[..., j] for i, j in pairs]
    for i in (0, 3, 5):
        s[i] = np.maximum(s[i], 0) + np.float32((levels / 255) ** 2)
    # The inverse of a symmetric 3 × 3 matrix by its cofactors.
    c = [
        s[3] * s[5] - s[4] ** 2, s[2] * s[4] - s[1] * s[5], s[1] * s[4] - s[2] * s[3],
        s[0] * s[5] - s[2] ** 2, s[1] * s[2] - s[0] * s[4], s[0] * s[3] - s[1] ** 2,
    ]  # fmt: skip
    determinant = s[0] * c[0] + s[1] * c[1] + s[2] * c[2]
    rows = ((0, 1, 2), (1, 3, 4), (2, 4, 5))
    out = []
    for channel in np.moveaxis(source, -1, 0):
        middle = mean(channel)
        v = [mean(guide[..., i] * channel) - guide_mean[..., i] * middle for i in range(3)]
        slope = np.stack([sum(c[i] * x for i, x in zip(row, v, strict=True)) / determinant for row in rows], -1)
        offset = middle - (slope * guide_mean).sum(-1)
        slope, offset = (cv2.resize(mean(x), fine.shape[1::-1]) for x in (slope, offset))
        out.append(np.einsum("ijk,ijk->ij", slope, fine) + offset)
    return np.stack(out, -1).reshape(*fine.shape[:2], *picture.shape[2:])
