"""The interface of all degradations, luminance, and a Gaussian blur."""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue

#: Weights of red, green and blue in luminance (ITU-R BT.601, as in JPEG and in Pillow's "L").
LUMA = (0.299, 0.587, 0.114)


class Degradation(Protocol):
    """A forward model of damage; pictures are float32 [N, C, H, W], −1..1."""

    def __call__(self, picture: Tensor) -> Tensor:
        """Degrades a picture."""
        ...

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """The picture closest to ``picture`` that degrades to ``damaged``."""
        ...

    def guess(self, damaged: Tensor) -> Tensor:
        """A repair without knowledge of what is shown."""
        ...


def luminance(picture: Tensor) -> Tensor:
    """[N, C, H, W] → [N, 1, H, W]; of pictures without three channels, the first channel."""
    if picture.shape[1] != 3:
        return picture[:, :1]
    return (picture * picture.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)


def gaussian(picture: Tensor, sigma_px: float) -> Tensor:
    """[N, C, H, W] → the same shape, blurred; borders are replicated."""
    reach = max(1, math.ceil(3 * sigma_px))
    at = torch.arange(-reach, reach + 1, dtype=torch.float32, device=picture.device)
    kernel = torch.exp(-at.square() / (2 * sigma_px**2))
    kernel = (kernel / kernel.sum()).to(picture.dtype)
    n, c, height, width = picture.shape
    planes = F.pad(picture.reshape(n * c, 1, height, width), (reach, reach, reach, reach), mode="replicate")
    planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    return planes.reshape(n, c, height, width)


def check_range(name: str, value: float, above: float, maximum: float, typical: str) -> None:
    """Raises BadValue for a number that is not above ``above`` and at most ``maximum``."""
    if not above < value <= maximum:  # false for NaN too
        raise BadValue(
            f"Got {value:g} for {name}; expected a number above {above:g}, at most {maximum:g}, usually {typical}."
        )
