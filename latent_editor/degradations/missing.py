"""Missing areas: holes and scratches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue


@dataclass(frozen=True, eq=False)
class Masked:
    """A mask of missing pixels.

    Attributes:
        hidden: float32 [1, 1, H, W], 1 where the picture is missing and 0 where it is known.

    Raises:
        BadValue: another shape, values outside 0..1, or no known pixel.
    """

    hidden: Tensor

    def __post_init__(self) -> None:
        h = self.hidden
        if h.ndim != 4 or h.shape[:2] != (1, 1) or h.numel() == 0:
            raise BadValue(f"Got a mask of shape {list(h.shape)}; expected [1, 1, height, width].")
        if not bool(torch.isfinite(h).all()) or float(h.min()) < 0 or float(h.max()) > 1:
            raise BadValue("The mask holds values outside 0..1; expected 1 where the picture is missing.")
        if float(h.min()) > 0.5:
            raise BadValue("The mask hides the whole picture; expected some known pixels. Hide less of it.")

    def __call__(self, picture: Tensor) -> Tensor:
        return picture * (1 - self._like(picture))

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Takes known pixels from the damaged picture; the difference at the edge fades into the hole."""
        hidden = self._like(picture)
        whole = picture + filled_smoothly(damaged - picture, 1 - hidden)
        return torch.where(hidden > 0, whole, damaged)  # bit-identical

    def guess(self, damaged: Tensor) -> Tensor:
        """Inpainting (Telea 2004)."""
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


def hidden_from(values: Sequence[Sequence[float]] | np.ndarray) -> Tensor:
    """A mask [H, W] of numbers, 1 (or 255) where the picture is missing, to float32 [1, 1, H, W], 0 or 1."""
    found = torch.as_tensor(np.asarray(values, dtype=np.float32))
    if found.ndim != 2:
        raise BadValue(f"Got a mask of shape {list(found.shape)}; expected height × width.")
    return (found > (127 if float(found.max()) > 1 else 0.5)).float()[None, None]


def filled_smoothly(values: Tensor, known: Tensor) -> Tensor:
    """Extrapolates known values by push-pull, means over ever larger areas (Gortler et al. 1996, §4).

    Args:
        values: [N, C, H, W].
        known: [N or 1, 1, H, W], 0..1, confidence of each value.

    Returns:
        [N, C, H, W]: ``values`` where known is 1, smooth elsewhere.
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
