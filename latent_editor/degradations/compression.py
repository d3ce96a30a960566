"""JPEG compression."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.degradations.degradation import LUMA, gaussian, luminance

#: DCT coefficients [N, h, w, 8, 8], quantization steps [8, 8] and the plane's index, to new coefficients.
_Change = Callable[[Tensor, Tensor, int], Tensor]

#: Quantization steps at quality 50, for luminance and for chroma (T.81 Annex K).
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29,
    51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121,
    120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99,
    99, 99, 99, 99, *(99, ) * 32,
)  # fmt: skip


@dataclass(frozen=True)
class Compressed:
    """JPEG compression (ITU-T T.81) with 4:2:0 chroma subsampling.

    Attributes:
        quality: 1 to 95, as in Pillow and libjpeg.
        on_grid: The 8 × 8 blocks are still where they were. After rotation or scaling they are not, and ``agree``
            only keeps low frequencies.

    Raises:
        BadValue: a quality out of range.
    """

    quality: float
    on_grid: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 95:  # false for NaN too
            raise BadValue(f"Got the JPEG quality {self.quality}; expected a number from 1 to 95, usually 5 to 50.")

    def __call__(self, picture: Tensor) -> Tensor:
        """Rounding uses the straight-through gradient estimator (Bengio et al. 2013)."""
        return self._with_coefficients(picture, lambda c, step, _: c + ((c / step).round() * step - c).detach())

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Clamps each coefficient to the interval that rounds to the damaged picture's (Zakhor 1992)."""
        if not self.on_grid:
            return picture + gaussian(damaged - picture, 2.0)
        planes = [c for c, _ in self._coefficients(damaged)]

        def moved(c: Tensor, step: Tensor, plane: int) -> Tensor:
            middle = (planes[plane] / step).round() * step
            return torch.minimum(torch.maximum(c, middle - step / 2), middle + step / 2) - c

        return picture + self._with_coefficients(picture, moved)  # chroma keeps detail that no JPEG has

    def guess(self, damaged: Tensor) -> Tensor:
        return damaged

    def _planes(self, picture: Tensor) -> list[Tensor]:
        """Luminance and chroma planes in −127.5..127.5, padded to whole blocks."""
        across = 16 if picture.shape[1] == 3 else 8
        height, width = picture.shape[-2:]
        padded = F.pad(picture, (0, -width % across, 0, -height % across), mode="replicate") * 127.5
        if picture.shape[1] != 3:
            return list(padded.split(1, dim=1))
        y = luminance(padded)
        blue, red = (padded[:, 2:] - y) / 1.772, (padded[:, :1] - y) / 1.402
        return [y, F.avg_pool2d(blue, 2), F.avg_pool2d(red, 2)]

    def _coefficients(self, picture: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each plane, its blocks' DCT coefficients [N, h, w, 8, 8] and quantization steps [8, 8]."""
        found = []
        for i, plane in enumerate(self._planes(picture)):
            n, _, height, width = plane.shape
            blocks = plane.reshape(n, height // 8, 8, width // 8, 8).transpose(2, 3)  # [N, h, w, 8, 8]
            dct = _cosines().to(plane)
            steps = quantization(self.quality, chroma=i > 0 and picture.shape[1] == 3).to(plane)
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


def quantization(quality: float, *, chroma: bool) -> Tensor:
    """Quantization steps of a JPEG quality, float32 [8, 8]: the tables of T.81 Annex K, scaled as in libjpeg."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    table = _CHROMA if chroma else _LUMA
    steps = ((torch.tensor(table, dtype=torch.float32) * int(percent) + 50) / 100).floor()
    return steps.clamp(1, 255).view(8, 8)


@functools.cache
def _cosines() -> Tensor:
    """The orthonormal DCT-II matrix of size 8, float32 [8, 8] (T.81 A.3.3)."""
    k = torch.arange(8, dtype=torch.float64)
    table = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / 16) / 2
    table[0] /= math.sqrt(2)
    return table.float()
