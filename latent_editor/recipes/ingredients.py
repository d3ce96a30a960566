"""What a recipe is made of."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

from latent_editor.core.region import Region
from latent_editor.core.values import Direction

#: Version 2 holds what is taken from the picture of another face.
FORMAT, VERSION = "latent-editor recipe", 2
#: What a recipe may tell of a direction beside its name, its graft and its numbers.
DIRECTION_KEYS = ("source", "detail", "low", "high", "layers", "score", "leakage", "taken")
MAKE_AGAIN = "Save it again, or choose another"


@dataclass(frozen=True, eq=False)
class Ingredient:
    """One edit of a recipe.

    Attributes:
        name: The slider's name.
        strength: In calibrated units.
        prompt: What it was made of, where it came from words; another model makes it again from them.
        layers: Half-open range of ws; None takes the direction's own.
        muted: Kept in the list, without effect.
        direction: The direction itself, for the recipe's own model; None in a recipe written by hand.
        region: Where it acts; None everywhere. One that is named as a part of a face is found anew in each face.
    """

    name: str
    strength: float
    prompt: str | None = None
    layers: tuple[int, int] | None = None
    muted: bool = False
    direction: Direction | None = None
    region: Region | None = None


def prompt_of(direction: Direction) -> str | None:
    """The prompt that a direction was made of, whatever it is called now; None for one that was not."""
    if direction.source != "text":
        return None
    told = re.search(r"prompt (.+), \w+$", direction.detail, re.DOTALL)
    try:
        prompt = ast.literal_eval(told[1]) if told else direction.name
    except (ValueError, SyntaxError):
        prompt = direction.name
    return prompt if isinstance(prompt, str) else direction.name
