"""Brush strokes of the page, and the mask that they paint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from PIL import Image, ImageDraw
from pydantic import BaseModel, Field, FiniteFloat

#: Strokes are drawn at this size at least, then reduced.
_MASK_PX = 512
MAX_STROKES = 200

Fraction = Annotated[FiniteFloat, Field(ge=-1, le=2)]


class Stroke(BaseModel, extra="forbid"):
    """A brush stroke: its radius and its points, in fractions of the side."""

    radius: Annotated[FiniteFloat, Field(gt=0, le=0.5)]
    points: list[tuple[Fraction, Fraction]] = Field(min_length=1, max_length=4000)


def stroke_mask(strokes: Sequence[Stroke], size: tuple[int, int]) -> Image.Image | None:
    """White along the strokes, black elsewhere; None without strokes."""
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
