"""Part transfer: the mouth, eyes, nose or hair of another face, as one edit (Editing in Style, Collins et al. 2020).

The paper interpolates the StyleSpace channels that act on the part. The latent of a photograph is too inexact for
that: it has lips where the mouth is, and no teeth. So the part of the other picture is blended into this face's, and
the edit is the features that make the network draw the result, added in a region. Hair, and the parts of models that
take no features, are drawn from the other face's W+ code in a region: pose and shape from the first layers stay the
face's own, and so does light from the last ones.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.compositing.part_blend import blend_part
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
#: The parts that can be transferred: all of the head.
TRANSFERABLE_PARTS = tuple(part for part in PARTS if part != "background")
#: Layers of the other face's W+ code for parts without features, and for hair, which brings its shape along. The other
#: layers stay the face's own: with the last ones, a patch of other skin surrounds a mouth.
PART_LAYERS, HAIR_LAYERS = (3, 10), (0, 10)
HAIR = "hair"
#: The landmarks that place each part.
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
    """An edit that transfers a part of another face.

    1. Render both faces and find their landmarks.
    2. Blend the part of the other picture into this one, in its place and light
       (:func:`latent_editor.compositing.part_blend.blend_part`).
    3. Fit the features that draw the result (:func:`latent_editor.inversion.feature_fit.fit_part`).

    Args:
        g: The generator of both.
        latent: The face to edit, before its edits.
        other: The face that the part comes from.
        part: One of :data:`TRANSFERABLE_PARTS`, or any region of the other face.
        photo: The crop that ``other`` was inverted from, which shows more than its latent renders.
        amount: Strength, 0 to 1.
        name: Name of the other face.
        seconds: Time limit of the third step.
        on_step: Called during the third step; a true answer stops it.

    Returns:
        The edit, for :func:`latent_editor.editing.edits.edited`. For another face,
        :func:`latent_editor.editing.retarget.retarget_edits` fits it again.

    Raises:
        BadLatent: a latent of another model.
        BadValue: an unknown part, a model that shows no faces, or an amount outside 0..1.
    """
    g.check(latent)
    g.check(other)
    region = part if isinstance(part, Region) else _region(g, latent, other, part)
    label = f"{region.name} of {name}" if name else f"other {region.name}"
    layers = HAIR_LAYERS if region.name == HAIR else PART_LAYERS
    layers = layers if layers[1] <= g.num_ws else (0, g.num_ws)  # a network of few layers
    direction = Direction(label, other.ws, 0.0, 1.0, layers, SOURCE, Provenance(note=name), interpolates=True)
    edit = Edit(direction, amount, region=region)
    if region.name == HAIR or not has_parts(g) or g.channels != 3 or feature_size(g, RefiningConfig()) is None:
        return edit
    image = render(g, other) if photo is None else photo.image.convert("RGB")
    picture = torch.from_numpy(np.array(image))
    return fit_feature_patch(g, latent, edit, picture, seconds=seconds, on_step=on_step)


def fit_feature_patch(
    g: Generator,
    latent: Latent,
    edit: Edit,
    picture: Tensor,
    *,
    seconds: float = 4.0,
    on_step: OnStep | None = None,
) -> Edit:
    """The edit with the feature patch that draws its part on a latent's face, from a picture uint8 [S, S, 3]."""
    assert edit.region is not None
    region = edit.region
    own = np.asarray(render(g, replace(latent, blend=None)))
    size = len(own)
    other = np.asarray(to_image(to_tensor(Image.fromarray(picture.numpy()), g.size_px)[0]))
    (own_points, names), (other_points, _) = (_points(g, p) for p in (own, other))
    anchors = [names.index(name) for name in ANCHORS.get(region.name, ())]
    (face,) = face_parts(g, replace(latent, blend=None), ["face"])
    part, skin = (resized_share(r.share, size).clamp(0, 1).numpy() for r in (region, face))
    target = blend_part(_floats(own), _floats(other), part, skin, own_points, other_points, anchors)
    wanted = torch.from_numpy(target * 2 - 1).permute(2, 0, 1)[None].contiguous().to(g.device)
    features = fit_part(g, latent, wanted, region.share, seconds=seconds, on_step=on_step)
    return replace(edit, direction=replace(edit.direction, feature_patch=FeaturePatch.of(features, picture)))


def _floats(picture: np.ndarray) -> np.ndarray:
    return picture.astype(np.float32) / 255


def _points(g: Generator, picture: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Landmarks [K, 2] in pixels, and their names."""
    found = points_in(g, picture)
    return np.array(list(found.values())) * len(picture), list(found)


def _region(g: Generator, latent: Latent, other: Latent, part: str) -> Region:
    """The region of a part; for hair, the union of both faces' regions, so that the own hair is covered."""
    if part not in TRANSFERABLE_PARTS:
        raise BadValue(
            f"Got the part {str(part)[:40]!r}; expected one of {', '.join(TRANSFERABLE_PARTS)}, or a region."
        )
    (own,) = face_parts(g, latent, [part])
    if part != HAIR:
        return own
    (theirs,) = face_parts(g, other, [part])
    return Region(own.mask.maximum(theirs.mask), part)
