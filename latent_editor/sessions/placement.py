"""Translation and rotation of the picture, for generators with an input transform (StyleGAN3)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators.base import transform_matrix


@dataclass(frozen=True)
class Axis:
    """One slider of a placement.

    Attributes:
        name: For the visitor.
        part: The attribute of :class:`Placement` that it sets.
        limit: The largest absolute value.
    """

    name: str
    part: str
    limit: float


#: By the keys of the page's sliders.
AXES: Mapping[str, Axis] = MappingProxyType(
    {
        "position-x": Axis("move across", "x", 1.0),
        "position-y": Axis("move down", "y", 1.0),
        "position-turn": Axis("turn", "angle_deg", 180.0),
    }
)


@dataclass(frozen=True)
class Placement:
    """Translation and rotation of the picture.

    Attributes:
        x, y: Shift to the right and down, in picture widths.
        angle_deg: Clockwise rotation about the center.
    """

    x: float = 0.0
    y: float = 0.0
    angle_deg: float = 0.0

    def moved(self, axis: str, value: float) -> Placement:
        """Raises BadValue for an axis that is not in AXES, or a value outside its range."""
        if axis not in AXES:
            raise BadValue(f"Got the axis {axis[:40]!r}; expected one of: {', '.join(AXES)}.")
        limit = AXES[axis].limit
        if not -limit <= value <= limit:  # false for NaN too
            raise BadValue(f"Got the position {value}; expected a number from −{limit:g} to {limit:g}.")
        return replace(self, **{AXES[axis].part: float(value)})

    def moved_all(self, values: Mapping[str, float]) -> Placement:
        """Sets the AXES that are among ``values``; other keys are ignored. Raises BadValue."""
        placement = self
        for axis in AXES.keys() & values.keys():
            placement = placement.moved(axis, values[axis])
        return placement

    def value(self, axis: str) -> float:
        return float(getattr(self, AXES[axis].part))

    def matrix(self) -> Tensor | None:
        """The input transform, float32 [3, 3]; None for the identity."""
        if self == IDENTITY:
            return None
        return transform_matrix((self.x, self.y), -self.angle_deg)  # its angle is counterclockwise


#: No translation or rotation.
IDENTITY = Placement()
