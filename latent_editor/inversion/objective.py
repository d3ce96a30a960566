"""The loss of an inversion: the distance of a rendered picture to the target."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.perceptual import Discriminator, psnr_db, pyramid_l1

#: Degrades rendered pictures [N, C, S, S] in −1..1 as the given picture was degraded: a mask, grayscale, blur, few
#: pixels, noise, JPEG. Keeps the shape; differentiable.
Degradation = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Objective:
    """The distance to a target.

    Attributes:
        target: float32 [1, channels, S, S], −1..1.
        discriminator: For the perceptual term; None leaves it out.
        weights: Weight of each pixel in the pixel terms, [1, 1, S, S] with mean 1; None for uniform weights.
        degrade: Applied to pictures before they are compared; None compares them as they are.
        pixels: Weight of the squared error, relative to the pyramid's.
        perceptual: Weight of the discriminator's distance. A smaller one gains half a decibel and smears hair and skin.
    """

    target: Tensor
    discriminator: Discriminator | None = None
    weights: Tensor | None = None
    degrade: Degradation | None = None
    pixels: float = 6.0
    perceptual: float = 2.0
    maps: list[Tensor] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if self.discriminator is not None:
            with torch.no_grad():
                object.__setattr__(self, "maps", self.discriminator.maps(self.target, self.dtype))

    @property
    def dtype(self) -> torch.dtype:
        return fastest_dtype(self.target.device)

    def seen(self, picture: Tensor) -> Tensor:
        """A picture after the degradation.

        Raises:
            BadValue: the degradation changes its shape.
        """
        if self.degrade is None:
            return picture
        degraded = self.degrade(picture)
        if degraded.shape != picture.shape:
            raise BadValue(
                f"The degradation makes {list(degraded.shape)} of {list(picture.shape)}; expected the same shape. "
                "Resize its result to the size of the picture."
            )
        return degraded

    def distance(self, picture: Tensor) -> Tensor:
        """The loss of a picture [1, channels, S, S]: pixels at four scales, squared pixels, the discriminator's
        features."""
        picture, target = self.seen(picture), self.target
        w = 1.0 if self.weights is None else self.weights
        loss = pyramid_l1(picture * w, target * w).mean() + self.pixels * (w * (picture - target).square()).mean()
        if self.discriminator is not None and self.maps is not None:
            maps = self.discriminator.maps(picture, self.dtype)
            loss = loss + self.perceptual * self.discriminator.distance(maps, self.maps).mean()
        return loss

    @torch.no_grad()
    def psnr_db(self, picture: Tensor) -> Tensor:
        """PSNR of a picture [1, channels, S, S] against the target, in dB, as a tensor: reading it waits for a GPU."""
        return psnr_db(self.seen(picture), self.target)[0]
