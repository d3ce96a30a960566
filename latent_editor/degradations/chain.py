"""Several degradations one after another."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.degradations.compression import Compressed
from latent_editor.degradations.damage import Damage
from latent_editor.degradations.fading import Blurred, Downsampled, Grey, Noisy
from latent_editor.degradations.missing import Masked


@dataclass(frozen=True, eq=False)
class Chain:
    """Several, the first that happened first.

    Attributes:
        links: One or more.

    Raises:
        BadValue: none.
    """

    links: tuple[Damage, ...]

    def __post_init__(self) -> None:
        if not self.links:
            raise BadValue("Nothing is said to be wrong with the picture; expected at least one fault. Name one.")

    def __call__(self, picture: Tensor) -> Tensor:
        for link in self.links:
            picture = link(picture)
        return picture

    def agree(self, picture: Tensor, damaged: Tensor) -> Tensor:
        """Each link, the last first, hands what the picture should have been before it to the one before."""
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


def links_of(damage: Damage) -> tuple[Damage, ...]:
    """What a chain is made of, the first that happened first; any other damage is its own only link."""
    return damage.links if isinstance(damage, Chain) else (damage,)


def has_grey(damage: Damage) -> bool:
    """Whether colours are among what was lost."""
    return any(isinstance(link, Grey) for link in links_of(damage))


def damage_of(
    *,
    hidden: Tensor | None = None,
    scale: float | None = None,
    grey: bool = False,
    blur_px: float | None = None,
    noise: float | None = None,
    jpeg: float | None = None,
    on_grid: bool = True,
) -> Chain:
    """What is said to be wrong, in the order in which it happens to photographs.

    Args:
        hidden: Where the picture is missing, float [1, 1, H, W], 1 there.
        scale: How many times too few pixels, above 1 to 16.
        grey: Whether it has no colours.
        blur_px: Standard deviation of the blur, above 0 to 32.
        noise: Standard deviation of the grain in −1..1, above 0 to 1.
        jpeg: Quality that it was kept in, 1 to 95.
        on_grid: Whether blocks of the JPEG lie where they were.

    Raises:
        BadValue: a number outside of its range, or nothing at all.
    """
    links: list[Damage] = [Grey()] if grey else []
    links += [] if blur_px is None else [Blurred(blur_px)]
    links += [] if scale is None else [Downsampled(scale)]
    links += [] if noise is None else [Noisy(noise)]
    links += [] if jpeg is None else [Compressed(jpeg, on_grid)]
    links += [] if hidden is None else [Masked(hidden)]
    return Chain(tuple(links))
