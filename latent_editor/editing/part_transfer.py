"""Editing in Style (Collins et al. 2020): the mouth, eyes, nose or hair of another face, as one edit with an amount.

The paper interpolates those channels of StyleSpace that act on the part. A photograph's latent tells too little for
that: lips are where its mouth is, and no teeth. So the part of its picture is laid into this face's, and what makes the
network draw that is the edit: features, added in a region. Hair, and the parts of models that take no features, are
drawn from the other face's point in W+, in a region too: what the first layers say of pose and shape stays the face's
own, and so does what the last ones say of light.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.compositing.part_blend import grafted
from latent_editor.core.errors import BadValue
from latent_editor.core.feature_patch import FeaturePatch
from latent_editor.core.provenance import Provenance
from latent_editor.core.region import Region, resized_share
from latent_editor.core.values import Crop, Direction, Edit, Latent, OnStep
from latent_editor.editing.face_parts import PARTS, face_parts, has_parts, points_in
from latent_editor.generators import Generator
from latent_editor.generators.pictures import to_image, to_tensor
from latent_editor.inversion.feature_fit import fit_part
from latent_editor.inversion.refining import RefiningConfig, feature_size
from latent_editor.rendering import render

SOURCE = "taken"
#: What can be taken: whatever is a part of the head.
TRANSFERABLE_PARTS = tuple(part for part in PARTS if part != "background")
#: The ws that are taken of hair, which brings its shape along, and of other parts where there are no features. The
#: others stay the face's own: with the last ones a patch of other skin surrounds a mouth.
USUAL_ROWS, HAIR_ROWS = (3, 10), (0, 10)
HAIR = "hair"
#: The landmarks of each part, by which it is moved to its place.
ANCHORS = {"eyes": ("left_eye", "right_eye"), "nose": ("nose",), "mouth": ("mouth",)}


def transfer_part(
    g: Generator,
    latent: Latent,
    other: Latent,
    part: str | Region,
    *,
    photo: Crop | None = None,
    amount: float = 1.0,
    name: str = "",
    seconds: float = 4.0,
    on_step: OnStep | None = None,
) -> Edit:
    """An edit that gives a face a part of another one.

    1. Draw both faces, and find their points.
    2. Lay the part of the other picture into this one, in its place and light
       (:func:`latent_editor.compositing.part_blend.grafted`).
    3. Find the features that draw that (:func:`latent_editor.inversion.feature_fit.fit_part`).

    Args:
        g: The generator of both.
        latent: The face that is edited, as it is before its edits.
        other: The face that the part is of.
        part: One of :data:`TRANSFERABLE_PARTS`, or any region: what the other face has there is taken.
        photo: The crop that ``other`` was made of, which shows more than its latent draws.
        amount: 0, nothing, to 1, all of it.
        name: What to call the other face.
        seconds: Time for the third step.
        on_step: Told of the third step; a true answer ends it.

    Returns:
        The edit, for ``edited``. On other faces, ``retarget_edits`` fits it anew.

    Raises:
        BadLatent: a latent of another model.
        BadValue: a part that there is not, a model that shows no faces, or an amount outside of 0..1.
    """
    g.check(latent)
    g.check(other)
    region = part if isinstance(part, Region) else _region(g, latent, other, part)
    label = f"{region.name} of {name}" if name else f"other {region.name}"
    rows = HAIR_ROWS if region.name == HAIR else USUAL_ROWS
    rows = rows if rows[1] <= g.num_ws else (0, g.num_ws)  # a network of few layers
    direction = Direction(label, other.ws, 0.0, 1.0, rows, SOURCE, Provenance(note=name), interpolates=True)
    edit = Edit(direction, amount, region=region)
    if region.name == HAIR or not has_parts(g) or g.channels != 3 or feature_size(g, RefiningConfig()) is None:
        return edit
    image = render(g, other) if photo is None else photo.image.convert("RGB")
    picture = torch.from_numpy(np.array(image))
    return grafted_on(g, latent, edit, picture, seconds=seconds, on_step=on_step)


def grafted_on(
    g: Generator,
    latent: Latent,
    edit: Edit,
    picture: Tensor,
    *,
    seconds: float = 4.0,
    on_step: OnStep | None = None,
) -> Edit:
    """An edit that takes a part, with the graft that draws it on a latent's face from a picture, uint8 [S, S, 3]."""
    assert edit.region is not None
    region = edit.region
    own = np.asarray(render(g, replace(latent, blend=None)))
    size = len(own)
    other = np.asarray(to_image(to_tensor(Image.fromarray(picture.numpy()), g.size_px)[0]))
    (own_points, names), (other_points, _) = (_points(g, p) for p in (own, other))
    anchors = [names.index(name) for name in ANCHORS.get(region.name, ())]
    (face,) = face_parts(g, replace(latent, blend=None), ["face"])
    part, skin = (resized_share(r.share, size).clamp(0, 1).numpy() for r in (region, face))
    target = grafted(_floats(own), _floats(other), part, skin, own_points, other_points, anchors)
    wanted = torch.from_numpy(target * 2 - 1).permute(2, 0, 1)[None].contiguous().to(g.device)
    features = fit_part(g, latent, wanted, region.share, seconds=seconds, on_step=on_step)
    return replace(edit, direction=replace(edit.direction, feature_patch=FeaturePatch.of(features, picture)))


def _floats(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) / 255


def _points(g: Generator, picture: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """[K, 2] in pixels, and their names."""
    found = points_in(g, picture)
    return np.array(list(found.values())) * len(picture), list(found)


def _region(g: Generator, latent: Latent, other: Latent, part: str) -> Region:
    """Where a part is: of hair what either face has, so that the own is covered and the other's is all there."""
    if part not in TRANSFERABLE_PARTS:
        raise BadValue(
            f"Got the part {str(part)[:40]!r}; expected one of {', '.join(TRANSFERABLE_PARTS)}, or a region."
        )
    (own,) = face_parts(g, latent, [part])
    if part != HAIR:
        return own
    (theirs,) = face_parts(g, other, [part])
    return Region(own.mask.maximum(theirs.mask), part)
