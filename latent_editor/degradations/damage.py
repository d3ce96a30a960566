"""What all degradations share: what they can do, luminance, and the Gaussian."""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue

#: Shares of red, green and blue in luminance (ITU-R BT.601, as in JPEG and in Pillow's "L").
LUMA = (0.299, 0.587, 0.114)


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


def check_range(name: str, value: float, above: float, most: float, usual: str) -> None:
    """Raises BadValue for a number that is not above ``above`` and at most ``most``."""
    if not above < value <= most:  # false for NaN too
        raise BadValue(
            f"Got {value:g} for {name}; expected a number above {above:g}, {most:g} at most, usually {usual}."
        )
