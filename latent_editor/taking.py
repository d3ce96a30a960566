"""Editing in Style (Collins et al. 2020): the mouth, eyes, nose or hair of another face, as one edit with an amount.

The paper interpolates those channels of StyleSpace that act on the part. Here the part is a region, in which the
features of the other face are drawn: they cannot act elsewhere, on any model, and nothing has to be clustered first.
What the first layers say of pose and shape stays the face's own, so that the other's mouth turns as this head does, and
so does what the last ones say of light.
"""

from __future__ import annotations

from latent_editor.errors import BadValue
from latent_editor.face_parts import PARTS, face_parts
from latent_editor.generators import Generator
from latent_editor.regions import Region
from latent_editor.types import Direction, Edit, Latent

SOURCE = "taken"
#: What can be taken: whatever is a part of the head.
TAKEN_PARTS = tuple(part for part in PARTS if part != "background")
#: The ws that are taken. The first ones stay the face's own, pose and the head's shape, and so do the last ones, light
#: and the colour of skin: with them a patch of other skin surrounds a mouth. Hair brings its shape along.
USUAL_ROWS, HAIR_ROWS = (3, 10), (0, 10)
HAIR = "hair"


def take(
    g: Generator, latent: Latent, other: Latent, part: str | Region, *, amount: float = 1.0, name: str = ""
) -> Edit:
    """An edit that gives a face a part of another one.

    Args:
        g: The generator of both.
        latent: The face that is edited.
        other: The face that the part is of.
        part: One of :data:`TAKEN_PARTS`, or any region: what the other face has there is taken.
        amount: 0, nothing, to 1, all of it.
        name: What to call the other face.

    Returns:
        The edit, for ``edited``; its direction may be used on other faces of the model too.

    Raises:
        BadLatent: a latent of another model.
        BadValue: a part that there is not, a model that shows no faces, or an amount outside of 0..1.
    """
    g.check(latent)
    g.check(other)
    region = part if isinstance(part, Region) else _region(g, latent, other, part)
    rows = HAIR_ROWS if region.name == HAIR else USUAL_ROWS
    rows = rows if rows[1] <= g.num_ws else (0, g.num_ws)  # a network of few layers
    label = f"{region.name} of {name}" if name else f"other {region.name}"
    direction = Direction(label, other.ws, 0.0, 1.0, rows, SOURCE, name, taken=True)
    return Edit(direction, amount, region=region)


def _region(g: Generator, latent: Latent, other: Latent, part: str) -> Region:
    """Where a part is: of hair what either face has, so that the own is covered and the other's is all there."""
    if part not in TAKEN_PARTS:
        raise BadValue(f"Got the part {str(part)[:40]!r}; expected one of {', '.join(TAKEN_PARTS)}, or a region.")
    (own,) = face_parts(g, latent, [part])
    if part != HAIR:
        return own
    (theirs,) = face_parts(g, other, [part])
    return Region(own.mask.maximum(theirs.mask), part)
