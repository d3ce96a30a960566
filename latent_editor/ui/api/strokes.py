"""Strokes of the page's brush, and the mask that they paint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from PIL import Image, ImageDraw
from pydantic import BaseModel, Field, FiniteFloat

#: Side of the mask that strokes are drawn into, at least.
_MASK_PX = 512
#: How many strokes are taken.
MAX_STROKES = 200

Fraction = Annotated[FiniteFloat, Field(ge=-1, le=2)]


class Stroke(BaseModel, extra="forbid"):
    """A stroke of the brush: its radius and its points, in fractions of the side."""

    radius: Annotated[FiniteFloat, Field(gt=0, le=0.5)]
    points: list[tuple[Fraction, Fraction]] = Field(min_length=1, max_length=4000)


def painted(strokes: Sequence[Stroke], size: tuple[int, int]) -> Image.Image | None:
    """White where the brush was, or None where it was nowhere."""
    if not strokes:
        return None
    side = max(_MASK_PX, *size)
    image = Image.new("L", (side, side))
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        r = stroke.radius * side
        points = [(x * side, y * side) for x, y in stroke.points]
        draw.line(points, fill=255, width=max(1, round(2 * r)))
        for x, y in points:
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    return image.resize(size, Image.Resampling.BOX)
