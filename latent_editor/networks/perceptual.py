"""Similarity of pictures: PSNR, and a perceptual distance in the features of the model's discriminator.

The discriminator is the discriminator that the generator was trained against. Its features are as useful as those of a
classifier (Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric"), fit the model's own
domain, and carry no foreign license, which is why no VGG is used here.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, resized
from latent_editor.models.per_model import per_model
from latent_editor.networks.network_files import read_network, save_network
from latent_editor.networks.trunk import Trunk

DISCRIMINATOR_FILE = "discriminator.safetensors"


class Discriminator(nn.Module):
    """The discriminator: a picture to one number, real (positive) or not. Arguments as of :class:`Trunk`."""

    def __init__(
        self, size_px: int, *, width: int = 48, max_width: int = 96, channels: int = 3, fine_width: int = 0
    ) -> None:
        super().__init__()
        shape = {"width": width, "max_width": max_width, "channels": channels, "fine_width": fine_width}
        self.config = {"size_px": size_px, **shape}
        self.trunk = Trunk(size_px, **shape)
        self.to_logit = nn.Linear(512, 1)

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """image [N, C, H, W], −1..1 → logits [N, 1], float32."""
        logits: Tensor = self.to_logit(self.trunk(image, dtype))
        return logits

    def maps(self, image: Tensor, dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """The trunk's maps of pictures [N, C, H, W], −1..1, of any size and channels; they are resized and converted as
        needed."""
        image = image if image.shape[1] == self.config["channels"] else as_rgb(image)
        return self.trunk.maps(resized(image, self.config["size_px"]), dtype)

    def distance(self, maps_a: list[Tensor], maps_b: list[Tensor]) -> Tensor:
        """Mean absolute difference of two lists of :meth:`Trunk.maps`, averaged over the levels: [N] float32."""
        each = [(a.float() - b.float()).abs().mean(dim=[1, 2, 3]) for a, b in zip(maps_a, maps_b, strict=True)]
        return torch.stack(each).mean(dim=0)


def perceptual_distance(discriminator: Discriminator, a: Tensor, b: Tensor) -> Tensor:
    """Distance of two batches of pictures in the discriminator's features.

    Args:
        a, b: [N, C, H, W], −1..1, of any size and number of channels.

    Returns:
        [N], 0 for equal pictures.
    """
    return discriminator.distance(discriminator.maps(a), discriminator.maps(b))


def psnr_db(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures in −1..1, clamped as when saved.

    Args:
        a, b: [N, C, H, W].

    Returns:
        [N]; 100 where the pictures are equal.
    """
    mse = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean(dim=[1, 2, 3]) / 4
    return -10 * mse.clamp_min(1e-10).log10()


def pyramid_l1(a: Tensor, b: Tensor, *, levels: int = 4) -> Tensor:
    """Mean absolute difference at ``levels`` scales, each half the one before, averaged: [N].

    Fewer scales where the pictures are too small for so many.
    """
    levels = min(levels, min(a.shape[-2:]).bit_length())
    total = torch.zeros(len(a), device=a.device)
    for level in range(levels):
        total = total + (a - b).abs().mean(dim=[1, 2, 3])
        if level + 1 < levels:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total / levels


def save_discriminator(discriminator: Discriminator, path: str | Path) -> None:
    """Writes a discriminator as safetensors in half precision."""
    save_network(discriminator, path, kind="discriminator")


def read_discriminator(path: str | Path) -> Discriminator:
    """Reads what :func:`save_discriminator` wrote. Raises BadModel."""
    return read_network(path, Discriminator, kind="discriminator")


def load_discriminator(g: Generator) -> Discriminator | None:
    """The discriminator of a generator, its own or a borrowed one, built once; None if there is neither."""
    if not g.bundle.has(DISCRIMINATOR_FILE):
        return None
    return _read_for(g)


@per_model
def _read_for(g: Generator) -> Discriminator:
    return read_discriminator(g.bundle.file(DISCRIMINATOR_FILE, "the perceptual distance")).to(g.device)
