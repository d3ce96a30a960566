"""Dabs of colour: what somebody knows of the colours of a picture that has lost them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import ImageColor
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.degradations import luminance

MAX_DABS = 32
#: How much lighter the colour of a dab may become where the picture is lighter than it.
MAX_GAIN = 3.0


@dataclass(frozen=True)
class ColorHint:
    """One known colour.

    Attributes:
        x, y: Where, in widths of the picture from the left and heights from the top: 0..1.
        colour: As in CSS: "#a0522d", "sienna", "rgb(160, 82, 45)". Its hue and saturation count; how light it is, the
            picture says.
        radius: Of the dab, in picture widths: above 0 to 0.5.

    Raises:
        BadValue: a place outside of the picture, or no such colour.
    """

    x: float
    y: float
    colour: str
    radius: float = 0.02

    def __post_init__(self) -> None:
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1):  # false for NaN too
            raise BadValue(f"A dab lies at ({self.x:g}, {self.y:g}); expected two numbers from 0 to 1. Move it inside.")
        if not (math.isfinite(self.radius) and 0 < self.radius <= 0.5):
            raise BadValue(f"A dab has the radius {self.radius:g}; expected a number above 0, 0.5 at most.")
        self.rgb()

    def rgb(self) -> tuple[float, float, float]:
        """Red, green and blue, 0..1."""
        try:
            red, green, blue = ImageColor.getrgb(self.colour)[:3]
        except (ValueError, TypeError, AttributeError) as e:
            raise BadValue(
                f'{str(self.colour)[:40]!r} is no colour; expected one as in "#a0522d" or "sienna". Choose another.'
            ) from e
        return red / 255, green / 255, blue / 255


def with_dabs(grey: Tensor, hints: Sequence[ColorHint]) -> tuple[Tensor, Tensor]:
    """A grey picture with dabs on it, and where they are.

    Args:
        grey: float [1, 3, H, W], −1..1.
        dabs: Later ones lie over earlier ones.

    Returns:
        The picture, and float [1, 1, H, W], 1 where a dab is and 0 elsewhere.

    Raises:
        BadValue: more than :data:`MAX_DABS`.
    """
    if len(hints) > MAX_DABS:
        raise BadValue(f"Got {len(hints)} dabs of colour; expected {MAX_DABS} at most. Leave some out.")
    height, width = grey.shape[-2:]
    rows = (torch.arange(height, device=grey.device).view(-1, 1) + 0.5) / height
    columns = (torch.arange(width, device=grey.device).view(1, -1) + 0.5) / width
    light = (luminance(grey) + 1) / 2
    picture, known = grey, torch.zeros_like(grey[:, :1])
    for hint in hints:
        radius = max(hint.radius, 0.75 / min(height, width))  # between pixels, it still covers one
        inside = (columns - hint.x).square() + (rows - hint.y).square() <= radius**2
        colour = grey.new_tensor(hint.rgb()).view(1, 3, 1, 1)
        lit = (colour * (light / luminance(colour).clamp_min(1e-3)).clamp(max=MAX_GAIN)).clamp(0, 1)
        picture = torch.where(inside, grey + 2 * (lit - luminance(lit)), picture)
        known = torch.where(inside, torch.ones_like(known), known)
    return picture, known
