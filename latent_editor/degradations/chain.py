"""Several degradations one after another."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.degradations.compression import Compressed
from latent_editor.degradations.degradation import Degradation
from latent_editor.degradations.fading import Blurred, Downsampled, Grayscale, Noisy
from latent_editor.degradations.missing import Masked


@dataclass(frozen=True, eq=False)
class Chain:
    """Several degradations, applied in order.

    Attributes:
        links: One or more.

    Raises:
        BadValue: no links.
    """

    links: tuple[Degradation, ...]

    def __post_init__(self) -> None:
        if not self.links:
            raise BadValue("No degradation is given; expected at least one. Say what is wrong with the picture.")

    def __call__(self, picture: Tensor) -> Tensor:
        for link in self.links:
            picture = link(picture)
        return picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """From the last link to the first: each projects onto what the next one says its output was."""
        before = [picture]
        for link in self.links[:-1]:
            before.append(link(before[-1]))
        for link, state in zip(reversed(self.links), reversed(before), strict=True):
            damaged = link.agree(state, damaged)
        return damaged

    def guess(self, damaged: Tensor) -> Tensor:
        for link in reversed(self.links):
            damaged = link.guess(damaged)
        return damaged


def links_of(degradation: Degradation) -> tuple[Degradation, ...]:
    """The links of a chain in order; any other degradation is its own only link."""
    return degradation.links if isinstance(degradation, Chain) else (degradation,)


def loses_color(degradation: Degradation) -> bool:
    """True if colors are among what was lost."""
    return any(isinstance(link, Grayscale) for link in links_of(degradation))


def degradation_of(
    *,
    hidden: Tensor | None = None,
    scale: float | None = None,
    grayscale: bool = False,
    blur_px: float | None = None,
    noise: float | None = None,
    jpeg: float | None = None,
    on_grid: bool = True,
) -> Chain:
    """A chain of the named degradations, in the order in which they happen to photographs.

    Args:
        hidden: float [1, 1, H, W], 1 where the picture is missing.
        scale: Downsampling factor, above 1 to 16.
        grayscale: The picture has no colors.
        blur_px: Standard deviation of a Gaussian blur, above 0 to 32.
        noise: Standard deviation of the noise in −1..1, above 0 to 1.
        jpeg: JPEG quality, 1 to 95.
        on_grid: The JPEG's 8 × 8 blocks are still where they were.

    Raises:
        BadValue: a number out of range, or no degradation.
    """
    links: list[Degradation] = [Grayscale()] if grayscale else []
    links += [] if blur_px is None else [Blurred(blur_px)]
    links += [] if scale is None else [Downsampled(scale)]
    links += [] if noise is None else [Noisy(noise)]
    links += [] if jpeg is None else [Compressed(jpeg, on_grid)]
    links += [] if hidden is None else [Masked(hidden)]
    return Chain(tuple(links))
