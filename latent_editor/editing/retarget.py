"""Edits made on one face, for another: parts are found anew, and what is taken from a third face is fitted anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from latent_editor.core.values import Edit, Latent
from latent_editor.editing.face_parts import PARTS, face_parts
from latent_editor.editing.part_transfer import grafted_on
from latent_editor.generators import Generator


def retarget_edits(g: Generator, latent: Latent, edits: Sequence[Edit]) -> list[Edit]:
    """Edits made on one face, for another: regions that are parts of the face are found anew, painted ones stay.

    What is taken from the picture of a third face is fitted anew, which takes some seconds each.

    Args:
        g: The generator.
        latent: The other face.
        edits: What was done to the first one.

    Raises:
        BadValue: parts of a face, for a model that shows none.
    """
    names = sorted({e.region.name for e in edits if e.region is not None and e.region.name in PARTS})
    regions = dict(zip(names, face_parts(g, latent, names), strict=True))
    found = [replace(e, region=regions.get(e.region.name, e.region)) if e.region is not None else e for e in edits]
    return [_fitted(g, latent, edit) for edit in found]


def _fitted(g: Generator, latent: Latent, edit: Edit) -> Edit:
    feature_patch = edit.direction.feature_patch
    return edit if feature_patch is None or edit.region is None else grafted_on(g, latent, edit, feature_patch.picture)
