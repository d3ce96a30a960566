"""The edits that a recipe is made of."""

from __future__ import annotations

from dataclasses import dataclass

from latent_editor.core.region import Region
from latent_editor.core.values import Direction

#: Version 2 has patches of features from the picture of another face, version 3 the provenance of directions.
FORMAT, VERSION = "latent-editor recipe", 3
#: Keys of a direction in a recipe, besides its name, its patch of features and its vector.
DIRECTION_KEYS = ("source", "detail", "provenance", "low", "high", "layers", "score", "leakage", "taken")
MAKE_AGAIN = "Save it again, or choose another"


@dataclass(frozen=True, eq=False)
class Ingredient:
    """One edit of a recipe.

    Attributes:
        name: The slider's name.
        strength: In calibrated units.
        prompt: The prompt it was made from, if any; another model makes the direction again from it.
        layers: Half-open range of ws; None uses the direction's own.
        muted: Kept in the list, without effect.
        direction: The direction itself, for the recipe's own model; None in a recipe written by hand.
        region: Where it acts; None is everywhere. A named part of the face is found again in each face.
    """

    name: str
    strength: float
    prompt: str | None = None
    layers: tuple[int, int] | None = None
    muted: bool = False
    direction: Direction | None = None
    region: Region | None = None
