"""One slider of the panel."""

from __future__ import annotations

from dataclasses import dataclass

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, Edit
from latent_editor.editing.edits import LAYER_GROUPS

#: Layer ranges that a slider can be limited to; "own" leaves the range to the direction.
LAYER_NAMES = ("own", *LAYER_GROUPS)
STRENGTH_LIMIT = 10.0
NAME_LIMIT = 60


@dataclass(frozen=True, eq=False)
class Slider:
    """One slider of the panel.

    Attributes:
        key: Unique within a session: a letter for the origin of the direction, then a number.
        edit: Its present effect.
        layers: One of LAYER_NAMES; ``edit.layers`` is the range it stands for.
        pinned: Stays when another face of the same model is opened.
    """

    key: str
    edit: Edit
    layers: str = "own"
    pinned: bool = False

    @staticmethod
    def from_direction(key: str, direction: Direction, strength: float = 0.0) -> Slider:
        """A slider that acts on the direction's own layers, everywhere in the picture."""
        return Slider(key, Edit(direction, strength))


def checked_strength(strength: float) -> float:
    """Raises BadValue unless the strength is a finite number within ±STRENGTH_LIMIT."""
    if not -STRENGTH_LIMIT <= strength <= STRENGTH_LIMIT:  # false for NaN too
        raise BadValue(
            f"Got the strength {strength}; expected a number from −{STRENGTH_LIMIT:g} to {STRENGTH_LIMIT:g}."
        )
    return strength


def checked_name(name: str) -> str:
    """The name with single spaces. Raises BadValue if it is empty or too long."""
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_LIMIT:
        raise BadValue(f"Got a name of {len(name)} characters; expected 1 to {NAME_LIMIT}. Enter another name.")
    return name
