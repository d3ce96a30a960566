"""Color hints: known colors of a grayscale picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import ImageColor
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.degradations import luminance

MAX_COLOR_HINTS = 32
#: Upper bound on how much a hint is brightened to match the picture's luminance.
MAX_GAIN = 3.0


@dataclass(frozen=True)
class ColorHint:
    """One known color.

    Attributes:
        x, y: Position as fractions of the picture's width and height, from the top left: 0..1.
        color: As in CSS: "#a0522d", "sienna", "rgb(160, 82, 45)". Hue and saturation count; luminance comes from the
            picture.
        radius: Radius of the dab as a fraction of the picture's size: above 0 to 0.5.

    Raises:
        BadValue: a position outside the picture, an unknown color, or a radius out of range.
    """

    x: float
    y: float
    color: str
    radius: float = 0.02

    def __post_init__(self) -> None:
        if not (0 <= self.x <= 1 and 0 <= self.y <= 1):  # false for NaN too
            raise BadValue(
                f"A color hint is at ({self.x:g}, {self.y:g}); expected two numbers from 0 to 1. Move it inside."
            )
        if not (math.isfinite(self.radius) and 0 < self.radius <= 0.5):
            raise BadValue(f"A color hint has the radius {self.radius:g}; expected a number above 0, at most 0.5.")
        self.rgb()

    def rgb(self) -> tuple[float, float, float]:
        """Red, green and blue, 0..1."""
        try:
            red, green, blue = ImageColor.getrgb(self.color)[:3]
        except (ValueError, TypeError, AttributeError) as e:
            raise BadValue(
                f'{str(self.color)[:40]!r} is no color; expected one as in "#a0522d" or "sienna". Choose another.'
            ) from e
        return red / 255, green / 255, blue / 255


def draw_hints(picture: Tensor, hints: Sequence[ColorHint]) -> tuple[Tensor, Tensor]:
    """Draws hints on a grayscale picture.

    Args:
        picture: float [1, 3, H, W], −1..1.
        hints: Later ones cover earlier ones.

    Returns:
        The picture with the hints, and their mask, float [1, 1, H, W], 1 where a hint is and 0 elsewhere.

    Raises:
        BadValue: more than :data:`MAX_COLOR_HINTS`.
    """
    if len(hints) > MAX_COLOR_HINTS:
        raise BadValue(f"Got {len(hints)} color hints; expected at most {MAX_COLOR_HINTS}. Leave some out.")
    height, width = picture.shape[-2:]
    rows = (torch.arange(height, device=picture.device).view(-1, 1) + 0.5) / height
    columns = (torch.arange(width, device=picture.device).view(1, -1) + 0.5) / width
    light = (luminance(picture) + 1) / 2
    drawn, known = picture, torch.zeros_like(picture[:, :1])
    for hint in hints:
        radius = max(hint.radius, 0.75 / min(height, width))  # between pixels, it still covers one
        inside = (columns - hint.x).square() + (rows - hint.y).square() <= radius**2
        color = picture.new_tensor(hint.rgb()).view(1, 3, 1, 1)
        lit = (color * (light / luminance(color).clamp_min(1e-3)).clamp(max=MAX_GAIN)).clamp(0, 1)
        drawn = torch.where(inside, picture + 2 * (lit - luminance(lit)), drawn)
        known = torch.where(inside, torch.ones_like(known), known)
    return drawn, known
