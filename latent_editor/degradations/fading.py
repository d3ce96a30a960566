"""Pictures whose pixels, colours or sharpness are lost."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.degradations.damage import check_range, gaussian, luminance

MAX_SCALE, MAX_BLUR_PX, MAX_NOISE = 16.0, 32.0, 1.0
#: Steps of the back-projection (Irani & Peleg 1991): few for a blur, whose fine detail is noise by then.
_STEPS, _BLUR_STEPS = 16, 6
#: What noise may stay, in the range of −1..1: it decides over how many pixels is averaged.
_QUIET = 0.02


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
        check_range("scale", self.scale, 1.0, MAX_SCALE, "2 to 16")

    def small(self, picture: Tensor) -> Tensor:
        """The picture in the pixels that there are."""
        size = [max(1, round(side / self.scale)) for side in picture.shape[-2:]]
        return F.interpolate(picture, size=size, mode="area")

    def __call__(self, picture: Tensor) -> Tensor:
        return F.interpolate(self.small(picture), size=picture.shape[-2:], mode="nearest")

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Low frequencies are the damaged picture's, by back-projection.

        Each step adds large(wanted − small(picture)). What small(large(·)) does is linear, and apart for rows and
        columns, so that all steps are taken on the few pixels there are, and enlarged once.
        """
        missing = self.small(damaged) - self.small(picture)  # [N, C, h, w]
        rows, columns = (
            self._there_and_back(side, n) for side, n in zip(picture.shape[2:], missing.shape[2:], strict=True)
        )
        rows, columns = rows.to(missing), columns.to(missing).t()
        total = missing
        for _ in range(_STEPS - 1):
            total = total + missing - rows @ total @ columns
        return picture + self._large(total, picture)

    @staticmethod
    def _there_and_back(side: int, few: int) -> Tensor:
        """Enlarging a line of ``few`` pixels to ``side`` and reducing it again, as a matrix [few, few]."""
        lines = F.interpolate(torch.eye(few)[None, None], size=(side, few), mode="bicubic", align_corners=False)
        return F.interpolate(lines, size=(few, few), mode="area")[0, 0]

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
        check_range("blur", self.sigma_px, 0.0, MAX_BLUR_PX, "1 to 4 pixels")

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
        check_range("noise", self.sigma, 0.0, MAX_NOISE, "0.05 to 0.4")

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
