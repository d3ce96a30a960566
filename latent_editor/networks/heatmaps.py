"""What networks that answer with heat maps are made of."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """A convolution without bias, batch normalization, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        self.norm = nn.BatchNorm2d(outputs, momentum=0.02)

    def forward(self, x: Tensor) -> Tensor:
        # The weight is cast, not the module: the optimizer keeps float32.
        return F.relu(self.norm(F.conv2d(x, self.weight.to(x.dtype), padding=self.weight.shape[-1] // 2)))


def soft_argmax(heat: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, P, H, W] → mean points [N, P, 2] as (x, y) fractions, and their standard deviations [N, P]."""
    n, p, h, w = heat.shape
    weight = heat.flatten(2).softmax(-1).reshape(n, p, h, w)
    xs = (torch.arange(w, device=heat.device) + 0.5) / w
    ys = (torch.arange(h, device=heat.device) + 0.5) / h
    along_x, along_y = weight.sum(2), weight.sum(3)  # [N, P, W], [N, P, H]
    x, y = (along_x * xs).sum(-1), (along_y * ys).sum(-1)
    variance = (along_x * (xs - x[..., None]) ** 2).sum(-1) + (along_y * (ys - y[..., None]) ** 2).sum(-1)
    return torch.stack([x, y], -1), variance.clamp_min(1e-12).sqrt()
