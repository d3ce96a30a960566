"""Loss of resolution, color or sharpness."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.degradations.degradation import check_range, gaussian, luminance

MAX_SCALE, MAX_BLUR_PX, MAX_NOISE = 16.0, 32.0, 1.0
#: Steps of the back-projection (Irani & Peleg 1991): few for a blur, whose fine detail is noise after that.
_STEPS, _BLUR_STEPS = 16, 6
#: Noise that may remain after averaging, in −1..1; sets the averaging radius.
_QUIET = 0.02


@dataclass(frozen=True)
class Downsampled:
    """Area downsampling, shown at the original size by nearest neighbor.

    Attributes:
        scale: Downsampling factor, above 1 to 16.

    Raises:
        BadValue: a factor out of range.
    """

    scale: float

    def __post_init__(self) -> None:
        check_range("scale", self.scale, 1.0, MAX_SCALE, "2 to 16")

    def small(self, picture: Tensor) -> Tensor:
        """The picture at its low resolution."""
        size = [max(1, round(side / self.scale)) for side in picture.shape[-2:]]
        return F.interpolate(picture, size=size, mode="area")

    def __call__(self, picture: Tensor) -> Tensor:
        return F.interpolate(self.small(picture), size=picture.shape[-2:], mode="nearest")

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Takes low frequencies from the damaged picture, by iterative back-projection.

        Each step adds large(wanted − small(picture)). small(large(·)) is linear and separable, so that all steps run at
        the low resolution, and the result is enlarged once.
        """
        missing = self.small(damaged) - self.small(picture)  # [N, C, h, w]
        rows, columns = (
            self._round_trip(side, n) for side, n in zip(picture.shape[2:], missing.shape[2:], strict=True)
        )
        rows, columns = rows.to(missing), columns.to(missing).t()
        total = missing
        for _ in range(_STEPS - 1):
            total = total + missing - rows @ total @ columns
        return picture + self._large(total, picture)

    @staticmethod
    def _round_trip(side: int, few: int) -> Tensor:
        """Enlarging a line of ``few`` pixels to ``side`` and reducing it again, as a matrix [few, few]."""
        lines = F.interpolate(torch.eye(few)[None, None], size=(side, few), mode="bicubic", align_corners=False)
        return F.interpolate(lines, size=(few, few), mode="area")[0, 0]

    def guess(self, damaged: Tensor) -> Tensor:
        """Bicubic interpolation."""
        return self._large(self.small(damaged), damaged)

    @staticmethod
    def _large(small: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(small, size=like.shape[-2:], mode="bicubic", align_corners=False)


@dataclass(frozen=True)
class Grayscale:
    """Loss of color: luminance only."""

    def __call__(self, picture: Tensor) -> Tensor:
        return luminance(picture).expand_as(picture) if picture.shape[1] == 3 else picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Takes luminance from the damaged picture.

        Colors too saturated to have that luminance within −1..1 are desaturated until they have.
        """
        if picture.shape[1] != 3:
            return damaged
        wanted = luminance(damaged).clamp(-1, 1)
        color = picture - luminance(picture)
        room = torch.where(color > 0, (1 - wanted) / color.clamp_min(1e-6), (1 + wanted) / (-color).clamp_min(1e-6))
        return wanted + color * room.amin(dim=1, keepdim=True).clamp(0, 1)

    def guess(self, damaged: Tensor) -> Tensor:
        return damaged


@dataclass(frozen=True)
class Blurred:
    """Gaussian blur.

    Attributes:
        sigma_px: Standard deviation in pixels, above 0 to 32.

    Raises:
        BadValue: a value out of range.
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
    """Additive noise. The forward model is the identity: the clean picture is compared with the noisy one.

    Attributes:
        sigma: Standard deviation of the noise in −1..1, above 0 to 1.

    Raises:
        BadValue: a value out of range.
    """

    sigma: float

    def __post_init__(self) -> None:
        check_range("noise", self.sigma, 0.0, MAX_NOISE, "0.05 to 0.4")

    @property
    def reach_px(self) -> float:
        """Radius over which noise of this strength averages out: a Gaussian of s leaves σ / (2 √π s)."""
        return max(0.5, self.sigma / (2 * math.sqrt(math.pi) * _QUIET))

    def __call__(self, picture: Tensor) -> Tensor:
        return picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Takes from the damaged picture what remains after averaging out the noise."""
        return picture + gaussian(damaged - picture, self.reach_px)

    def guess(self, damaged: Tensor) -> Tensor:
        return gaussian(damaged, self.reach_px / 2)
