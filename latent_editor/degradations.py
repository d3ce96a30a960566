"""What can be wrong with a picture, as functions that a repair can look through.

Each is a frozen value. Called, it does to pictures what the damage did, differentiably: [N, C, H, W] in −1..1 to the
same shape and range. ``agree(picture, damaged)`` is the way back: the picture nearest to ``picture`` that the damage
would have made ``damaged`` of, so that what is known stays as it is. ``guess(damaged)`` is what one would do without
any knowledge of faces. :class:`Chain` puts several one after another.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.errors import BadValue

__all__ = ["Blurred", "Chain", "Compressed", "Damage", "Downsampled", "Grey", "Masked", "Noisy", "damage_of"]

MOST_SCALE, MOST_BLUR_PX, MOST_NOISE = 16.0, 32.0, 1.0
#: Shares of red, green and blue in luminance (ITU-R BT.601, as in JPEG and in Pillow's "L").
LUMA = (0.299, 0.587, 0.114)
#: Steps of the back-projection (Irani & Peleg 1991): few for a blur, whose fine detail is noise by then.
_STEPS, _BLUR_STEPS = 16, 6
#: What noise may stay, in the range of −1..1: it decides over how many pixels is averaged.
_QUIET = 0.02


#: Cosine coefficients [N, h, w, 8, 8], the steps [8, 8] and the plane's number, to other coefficients.
_Change = Callable[[Tensor, Tensor, int], Tensor]


class Damage(Protocol):
    """What every degradation can do; pictures are float32 [N, C, H, W], −1..1."""

    def __call__(self, picture: Tensor) -> Tensor:
        """What the damage makes of a picture."""
        ...

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """The picture near ``picture`` of which the damage makes ``damaged``."""
        ...

    def guess(self, damaged: Tensor) -> Tensor:
        """A repair without any knowledge of what is shown."""
        ...


def luminance(picture: Tensor) -> Tensor:
    """[N, C, H, W] → [N, 1, H, W]; pictures of other than three channels are taken as they are, the first alone."""
    if picture.shape[1] != 3:
        return picture[:, :1]
    return (picture * picture.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


@dataclass(frozen=True, eq=False)
class Masked:
    """Parts of the picture are missing.

    Attributes:
        hidden: float32 [1, 1, H, W], 1 where the picture is missing and 0 where it is known.

    Raises:
        BadValue: another shape, values that are not from 0 to 1, or nothing left that is known.
    """

    hidden: Tensor

    def __post_init__(self) -> None:
        h = self.hidden
        if h.ndim != 4 or h.shape[:2] != (1, 1) or h.numel() == 0:
            raise BadValue(f"Got a mask of shape {list(h.shape)}; expected [1, 1, height, width].")
        if not bool(torch.isfinite(h).all()) or float(h.min()) < 0 or float(h.max()) > 1:
            raise BadValue("The mask holds values that are not from 0 to 1; expected 1 where the picture is missing.")
        if float(h.min()) > 0.5:
            raise BadValue("The mask hides the whole picture; expected that some of it is known. Hide less of it.")

    def __call__(self, picture: Tensor) -> Tensor:
        return picture * (1 - self._like(picture))

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Known pixels are the damaged picture's; what differs at the edge fades into the hole, so that none shows."""
        hidden = self._like(picture)
        whole = picture + filled_smoothly(damaged - picture, 1 - hidden)
        return torch.where(hidden > 0, whole, damaged)  # to the last bit

    def guess(self, damaged: Tensor) -> Tensor:
        """By the colours around (Telea 2004)."""
        hidden = (self._like(damaged)[0, 0].cpu().numpy() > 0).astype(np.uint8)
        pixels = ((damaged[0].float().cpu().clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        whole = pixels.shape[2] in (1, 3)
        parts = [pixels] if whole else np.split(pixels, pixels.shape[2], axis=2)
        planes = [cv2.inpaint(np.ascontiguousarray(part), hidden, 3, cv2.INPAINT_TELEA) for part in parts]
        filled = torch.from_numpy(np.dstack(planes)).permute(2, 0, 1)[None].float() / 127.5 - 1
        return filled.to(damaged)

    def _like(self, picture: Tensor) -> Tensor:
        if picture.shape[-2:] != self.hidden.shape[-2:]:
            raise BadValue(
                f"Got a mask of {self.hidden.shape[-1]} × {self.hidden.shape[-2]} pixels for a picture of "
                f"{picture.shape[-1]} × {picture.shape[-2]}; expected the same size."
            )
        return self.hidden.to(picture)


@dataclass(frozen=True)
class Downsampled:
    """The picture has too few pixels: each is the mean of an area, shown as a square.

    Attributes:
        scale: How many times too few, each way: above 1, 16 at most.

    Raises:
        BadValue: another scale.
    """

    scale: float

    def __post_init__(self) -> None:
        _check("scale", self.scale, 1.0, MOST_SCALE, "2 to 16")

    def small(self, picture: Tensor) -> Tensor:
        """The picture in the pixels that there are."""
        size = [max(1, round(side / self.scale)) for side in picture.shape[-2:]]
        return F.interpolate(picture, size=size, mode="area")

    def __call__(self, picture: Tensor) -> Tensor:
        return F.interpolate(self.small(picture), size=picture.shape[-2:], mode="nearest")

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Low frequencies are the damaged picture's, by back-projection."""
        wanted = self.small(damaged)
        for _ in range(_STEPS):
            picture = picture + self._large(wanted - self.small(picture), picture)
        return picture

    def guess(self, damaged: Tensor) -> Tensor:
        """Bicubic."""
        return self._large(self.small(damaged), damaged)

    @staticmethod
    def _large(small: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(small, size=like.shape[-2:], mode="bicubic", align_corners=False)


@dataclass(frozen=True)
class Grey:
    """The picture has lost its colours."""

    def __call__(self, picture: Tensor) -> Tensor:
        return luminance(picture).expand_as(picture) if picture.shape[1] == 3 else picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Luminance is the damaged picture's.

        Where a colour as strong as that has no such luminance in −1..1, it is made paler until it has.
        """
        if picture.shape[1] != 3:
            return damaged
        wanted = luminance(damaged).clamp(-1, 1)
        colour = picture - luminance(picture)
        room = torch.where(colour > 0, (1 - wanted) / colour.clamp_min(1e-6), (1 + wanted) / (-colour).clamp_min(1e-6))
        return wanted + colour * room.amin(dim=1, keepdim=True).clamp(0, 1)

    def guess(self, damaged: Tensor) -> Tensor:
        return damaged


@dataclass(frozen=True)
class Blurred:
    """The picture is out of focus: a Gaussian.

    Attributes:
        sigma_px: Its standard deviation, above 0, 32 at most.

    Raises:
        BadValue: another one.
    """

    sigma_px: float

    def __post_init__(self) -> None:
        _check("blur", self.sigma_px, 0.0, MOST_BLUR_PX, "1 to 4 pixels")

    def __call__(self, picture: Tensor) -> Tensor:
        return gaussian(picture, self.sigma_px)

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        for _ in range(_BLUR_STEPS):
            picture = picture + (damaged - self(picture))
        return picture

    def guess(self, damaged: Tensor) -> Tensor:
        return damaged


@dataclass(frozen=True)
class Noisy:
    """The picture is grainy. What it shows beneath is what is sought, so that pictures are compared as they are.

    Attributes:
        sigma: Standard deviation of the grain in the range of −1..1, above 0, 1 at most.

    Raises:
        BadValue: another one.
    """

    sigma: float

    def __post_init__(self) -> None:
        _check("noise", self.sigma, 0.0, MOST_NOISE, "0.05 to 0.4")

    @property
    def reach_px(self) -> float:
        """Over how far grain of this strength averages out: a Gaussian of s leaves σ / (2 √π s)."""
        return max(0.5, self.sigma / (2 * math.sqrt(math.pi) * _QUIET))

    def __call__(self, picture: Tensor) -> Tensor:
        return picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """What is left of the damaged picture where grain has averaged out."""
        return picture + gaussian(damaged - picture, self.reach_px)

    def guess(self, damaged: Tensor) -> Tensor:
        return gaussian(damaged, self.reach_px / 2)


@dataclass(frozen=True)
class Compressed:
    """The picture was kept as a JPEG of low quality (ITU-T T.81; colours at half the size, as is usual).

    Attributes:
        quality: 1 to 95, as in Pillow and libjpeg.
        on_grid: Whether its blocks of 8 × 8 still lie where they were. After turning or scaling they do not, and
            ``agree`` keeps low frequencies alone.

    Raises:
        BadValue: another quality.
    """

    quality: float
    on_grid: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 95:  # false for NaN too
            raise BadValue(f"Got the JPEG quality {self.quality}; expected a number from 1 to 95, usually 5 to 50.")

    def __call__(self, picture: Tensor) -> Tensor:
        """Rounding has no gradient: it passes straight through (Bengio et al. 2013)."""
        return self._with_coefficients(picture, lambda c, step, _: c + ((c / step).round() * step - c).detach())

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Each coefficient within the interval that was rounded to the damaged picture's (Zakhor 1992)."""
        if not self.on_grid:
            return picture + gaussian(damaged - picture, 2.0)
        planes = [c for c, _ in self._coefficients(damaged)]

        def moved(c: Tensor, step: Tensor, plane: int) -> Tensor:
            middle = (planes[plane] / step).round() * step
            return torch.minimum(torch.maximum(c, middle - step / 2), middle + step / 2) - c

        return picture + self._with_coefficients(picture, moved)  # colours keep the detail that no JPEG has

    def guess(self, damaged: Tensor) -> Tensor:
        return damaged

    def _planes(self, picture: Tensor) -> list[Tensor]:
        """Luminance and the two differences of colour in 0..255 around 128, padded to whole blocks."""
        across = 16 if picture.shape[1] == 3 else 8
        height, width = picture.shape[-2:]
        padded = F.pad(picture, (0, -width % across, 0, -height % across), mode="replicate") * 127.5
        if picture.shape[1] != 3:
            return list(padded.split(1, dim=1))
        y = luminance(padded)
        blue, red = (padded[:, 2:] - y) / 1.772, (padded[:, :1] - y) / 1.402
        return [y, F.avg_pool2d(blue, 2), F.avg_pool2d(red, 2)]

    def _coefficients(self, picture: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Of each plane the blocks' cosine coefficients [N, h, w, 8, 8], and the steps [8, 8]."""
        found = []
        for i, plane in enumerate(self._planes(picture)):
            n, _, height, width = plane.shape
            blocks = plane.reshape(n, height // 8, 8, width // 8, 8).transpose(2, 3)  # [N, h, w, 8, 8]
            dct = _cosines().to(plane)
            steps = quantization(self.quality, colour=i > 0 and picture.shape[1] == 3).to(plane)
            found.append((dct @ blocks @ dct.t(), steps))
        return found

    def _with_coefficients(self, picture: Tensor, change: _Change) -> Tensor:
        planes = []
        for i, (c, step) in enumerate(self._coefficients(picture)):
            dct = _cosines().to(c)
            blocks = dct.t() @ change(c, step, i) @ dct
            n, h, w = blocks.shape[:3]
            planes.append(blocks.transpose(2, 3).reshape(n, 1, h * 8, w * 8))
        height, width = picture.shape[-2:]
        if picture.shape[1] != 3:
            return (torch.cat(planes, dim=1) / 127.5)[..., :height, :width]
        y, blue, red = planes[0], *(F.interpolate(p, scale_factor=2, mode="bilinear") for p in planes[1:])
        r, b = y + 1.402 * red, y + 1.772 * blue
        g = (y - LUMA[0] * r - LUMA[2] * b) / LUMA[1]
        return (torch.cat([r, g, b], dim=1) / 127.5)[..., :height, :width]


@dataclass(frozen=True, eq=False)
class Chain:
    """Several, the first that happened first.

    Attributes:
        links: One or more.

    Raises:
        BadValue: none.
    """

    links: tuple[Damage, ...]

    def __post_init__(self) -> None:
        if not self.links:
            raise BadValue("Nothing is said to be wrong with the picture; expected at least one fault. Name one.")

    def __call__(self, picture: Tensor) -> Tensor:
        for link in self.links:
            picture = link(picture)
        return picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Each link, the last first, hands what the picture should have been before it to the one before."""
        before = [picture]
        for link in self.links[:-1]:
            before.append(link(before[-1]))
        for link, state in zip(reversed(self.links), reversed(before), strict=True):
            damaged = link.agree(state, damaged)
        return damaged

    def guess(self, damaged: Tensor) -> Tensor:
        for link in reversed(self.links):
            damaged = link.guess(damaged)
        return damaged


def damage_of(
    *,
    hidden: Tensor | None = None,
    scale: float | None = None,
    grey: bool = False,
    blur_px: float | None = None,
    noise: float | None = None,
    jpeg: float | None = None,
    on_grid: bool = True,
) -> Chain:
    """What is said to be wrong, in the order in which it happens to photographs.

    Args:
        hidden: Where the picture is missing, float [1, 1, H, W], 1 there.
        scale: How many times too few pixels, above 1 to 16.
        grey: Whether it has no colours.
        blur_px: Standard deviation of the blur, above 0 to 32.
        noise: Standard deviation of the grain in −1..1, above 0 to 1.
        jpeg: Quality that it was kept in, 1 to 95.
        on_grid: Whether blocks of the JPEG lie where they were.

    Raises:
        BadValue: a number outside of its range, or nothing at all.
    """
    links: list[Damage] = [Grey()] if grey else []
    links += [] if blur_px is None else [Blurred(blur_px)]
    links += [] if scale is None else [Downsampled(scale)]
    links += [] if noise is None else [Noisy(noise)]
    links += [] if jpeg is None else [Compressed(jpeg, on_grid)]
    links += [] if hidden is None else [Masked(hidden)]
    return Chain(tuple(links))


def gaussian(picture: Tensor, sigma_px: float) -> Tensor:
    """[N, C, H, W] → the same shape, blurred; the border is repeated outwards."""
    reach = max(1, math.ceil(3 * sigma_px))
    at = torch.arange(-reach, reach + 1, dtype=torch.float32, device=picture.device)
    kernel = torch.exp(-at.square() / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).to(picture.dtype)
    n, c, height, width = picture.shape
    planes = F.pad(picture.reshape(n * c, 1, height, width), (reach, reach, reach, reach), mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return planes.reshape(n, c, height, width)


def filled_smoothly(values: Tensor, known: Tensor) -> Tensor:
    """Continues what is known into what is not, by means over ever larger areas (push-pull, Gortler et al. 1996, §4).

    Args:
        values: [N, C, H, W].
        known: [N or 1, 1, H, W], 0..1, how sure each value is.

    Returns:
        [N, C, H, W]: ``values`` where known is 1, and nothing but smooth elsewhere.
    """
    height, width = values.shape[-2:]
    if min(height, width) <= 2:
        total = known.sum(dim=[2, 3], keepdim=True).clamp_min(1e-6)
        mean = (values * known).sum(dim=[2, 3], keepdim=True) / total
        return known * values + (1 - known) * mean
    size = (math.ceil(height / 2), math.ceil(width / 2))
    weight = F.interpolate(known, size=size, mode="area")
    below = F.interpolate(values * known, size=size, mode="area") / weight.clamp_min(1e-6)
    coarse = filled_smoothly(below, (2 * weight).clamp(max=1))
    around = F.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
    return known * values + (1 - known) * around


def quantization(quality: float, *, colour: bool) -> Tensor:
    """The steps of a JPEG of this quality, float32 [8, 8]: the tables of T.81 Annex K, scaled as libjpeg does."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    table = _COLOUR if colour else _LIGHT
    steps = ((torch.tensor(table, dtype=torch.float32) * int(percent) + 50) / 100).floor()
    return steps.clamp(1, 255).view(8, 8)


@functools.cache
def _cosines() -> Tensor:
    """The orthonormal cosine transform of eight values, float32 [8, 8] (T.81 A.3.3)."""
    k = torch.arange(8, dtype=torch.float64)
    table = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    table[0] /= math.sqrt(2)
    return table.float()


def _check(name: str, value: float, above: float, most: float, usual: str) -> None:
    if not above < value <= most:  # false for NaN too
        raise BadValue(
            f"Got {value:g} for {name}; expected a number above {above:g}, {most:g} at most, usually {usual}."
        )


def hidden_from(values: Sequence[Sequence[float]] | np.ndarray) -> Tensor:
    """A mask of numbers [H, W], 1 (or 255) where the picture is missing → float32 [1, 1, H, W], 0 or 1."""
    found = torch.as_tensor(np.asarray(values, dtype=np.float32))
    if found.ndim != 2:
        raise BadValue(f"Got a mask of shape {list(found.shape)}; expected height × width.")
    return (found > (127 if float(found.max()) > 1 else 0.5)).float()[None, None]


_LIGHT = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
    51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
    120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_COLOUR = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99,
    99, 99, 99, 99, *(99, ) * 32,
)  # fmt: skip
