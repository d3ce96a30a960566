"""What the small networks are built of, and the trunk that encoder, discriminator and colorizer share."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class EqualConv(nn.Module):
    """A convolution with equalised learning rate (Karras et al. 2018, §4.1) and zero padding."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain = 1 / math.sqrt(inputs * kernel * kernel)

    def forward(self, x: Tensor) -> Tensor:
        weight = (self.weight * self.gain).to(x.dtype)
        return F.conv2d(x, weight, self.bias.to(x.dtype), padding=self.weight.shape[-1] // 2)


class Level(nn.Module):
    """Two convolutions, average pooling to half the size, and a 1×1 shortcut around them."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = EqualConv(inputs, inputs)
        self.conv1 = EqualConv(inputs, outputs)
        self.skip = EqualConv(inputs, outputs, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.conv0(x), 0.2) * 1.4
        y = F.leaky_relu(self.conv1(y), 0.2) * 1.4
        y = F.avg_pool2d(y, 2)
        return (y + self.skip(F.avg_pool2d(x, 2))) * math.sqrt(0.5)


class Residual(nn.Module):
    """Two convolutions beside an identity; the second starts at nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0, self.conv1 = EqualConv(width, width), EqualConv(width, width)
        nn.init.zeros_(self.conv1.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv1(F.leaky_relu(self.conv0(F.leaky_relu(x, 0.2)), 0.2))


class Trunk(nn.Module):
    """A picture to a vector of 512 features.

    1. Fold 2×2 pixels into channels.
    2. A convolution, then one :class:`Level` per halving down to 4².
    3. Flatten, one dense layer.

    A network that has learned small pictures looks at pictures twice as large through ``fine_width`` channels more:
    what they see of the details is added to what it sees of the reduced picture, as in the discriminator with skips
    (Karras et al. 2020, fig. 7). They start at nothing, so that growing forgets nothing.

    Args:
        size_px: Height and width of the pictures, a power of two from 16.
        width: Channels at the first level; later levels have twice as many, ``max_width`` at most.
        channels: Channels of the pictures.
        fine_width: Channels of a level before the first, which then sees pictures of half the size; 0 for none.
        deep_width: Channels of the last two levels' outputs, at 8² and 4², where more cost little; 0 for those of
            the rule above.
    """

    def __init__(
        self,
        size_px: int,
        *,
        width: int = 64,
        max_width: int = 128,
        channels: int = 3,
        features: int = 512,
        fine_width: int = 0,
        deep_width: int = 0,
    ) -> None:
        super().__init__()
        self.stem = EqualConv(channels * 4, width)
        self.fine: nn.ModuleList | None = None
        if fine_width:
            level = Level(fine_width, width)
            for last in (level.conv1, level.skip):
                nn.init.zeros_(last.weight)
            self.fine = nn.ModuleList([EqualConv(channels * 4, fine_width), level])
            size_px //= 2
        levels = []
        at = size_px // 2
        while at > 4:
            outputs = deep_width if deep_width and at <= 16 else min(width * 2, max_width)
            levels.append(Level(width, outputs))
            width, at = outputs, at // 2
        self.levels = nn.ModuleList(levels)
        self.dense = nn.Linear(width * 16, features)

    def maps(self, image: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Feature maps after the stem and after each level, fine to coarse: [N, C_l, H_l, W_l] in ``dtype``."""
        if self.fine is None:
            maps = [self._started(self.stem, image, dtype)]
        else:
            stem, level = self.fine
            details = self._started(stem, image, dtype)
            maps = [details, self._started(self.stem, F.avg_pool2d(image, 2), dtype) + level(details)]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return maps

    @staticmethod
    def _started(stem: nn.Module, image: Tensor, dtype: torch.dtype) -> Tensor:
        x = F.pixel_unshuffle(image, 2).to(dtype).contiguous(memory_format=torch.channels_last)
        return F.leaky_relu(stem(x), 0.2)

    def vector(self, last_map: Tensor) -> Tensor:
        """The features [N, 512], float32, of the last of :meth:`maps`."""
        return F.leaky_relu(self.dense(last_map.float().flatten(1)), 0.2)

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """image [N, C, H, W], −1..1 → features [N, 512] float32."""
        return self.vector(self.maps(image, dtype)[-1])
