"""Small discriminators on the frozen feature maps of a face network (Projected GAN, Sauer et al. 2021)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from latent_editor.train.teacher import TAP_CHANNELS

WIDTH = 64


class ProjectedHeads(nn.Module):
    """One head per feature map, behind a fixed random 1×1 projection (§3.2, cross-channel mixing)."""

    def __init__(self, channels: tuple[int, ...] = TAP_CHANNELS) -> None:
        super().__init__()
        self.projections = nn.ModuleList(nn.Conv2d(c, WIDTH, 1, bias=False).requires_grad_(False) for c in channels)
        for projection in self.projections:
            assert isinstance(projection, nn.Conv2d)
            nn.init.kaiming_normal_(projection.weight, a=1)
        self.heads = nn.ModuleList(_head(stride=2 if c <= 256 else 1) for c in channels)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Feature maps [N, C, H, W] → realness logits of each head, float32 [N]."""
        return [
            head(projection(x.float())).flatten(1).mean(dim=1)
            for x, projection, head in zip(maps, self.projections, self.heads, strict=True)
        ]

    def trainable(self) -> list[nn.Parameter]:
        return list(self.heads.parameters())


def _head(stride: int) -> nn.Sequential:
    return nn.Sequential(
        spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, stride, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(WIDTH, WIDTH, 3, 1, 1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(WIDTH, 1, 1)),
    )


def hinge_loss(logits: list[Tensor], real: int) -> Tensor:
    """The discriminators' hinge loss: the first ``real`` images are real, the others generated."""
    terms = [F.relu(1 - x[:real]).mean() + F.relu(1 + x[real:]).mean() for x in logits]
    return torch.stack(terms).mean()


def fooling_loss(logits: list[Tensor]) -> Tensor:
    """The generator's loss: generated images should look real."""
    return -torch.stack([x.mean() for x in logits]).mean()
