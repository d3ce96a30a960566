"""Where a model that can move its pictures draws them, as a value that sliders change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators.base import transform_matrix


@dataclass(frozen=True)
class Axis:
    """One slider of a position: its name, the attribute that it changes, and how far it goes both ways."""

    name: str
    part: str
    limit: float


#: By the keys that the page's sliders have.
AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "position-x": Axis("move across", "x", 1.0),
        "position-y": Axis("move down", "y", 1.0),
        "position-turn": Axis("turn", "angle_deg", 180.0),
    }
)


@dataclass(frozen=True)
class Placement:
    """Where a picture is drawn.

    Attributes:
        x, y: To the right and down, in picture widths.
        angle_deg: Clockwise, about the middle.
    """

    x: float = 0.0
    y: float = 0.0
    angle_deg: float = 0.0

    def moved(self, axis: str, value: float) -> Placement:
        """Raises BadValue for an axis that is not in AXES, or a value beyond its range."""
        if axis not in AXES:
            raise BadValue(f"{axis[:40]!r} is no part of a position. Expected one of: {', '.join(AXES)}.")
        limit = AXES[axis].limit
        if not -limit <= value <= limit:  # false for NaN too
            raise BadValue(f"A position of {value} was given; expected a number from −{limit:g} to {limit:g}.")
        return replace(self, **{AXES[axis].part: float(value)})

    def moved_all(self, values: Mapping[str, float]) -> Placement:
        """With those of AXES replaced that are among ``values``; other keys are passed over."""
        position = self
        for axis in AXES.keys() & values.keys():
            position = position.moved(axis, values[axis])
        return position

    def value(self, axis: str) -> float:
        return float(getattr(self, AXES[axis].part))

    def matrix(self) -> Tensor | None:
        """float32 [3, 3] for a generator that has a transform; None where nothing is moved."""
        if self == IDENTITY:
            return None
        return transform_matrix((self.x, self.y), -self.angle_deg)  # theirs turns counter-clockwise


#: Where every picture is drawn at first.
IDENTITY = Placement()
