"""Retargets edits made on one face to another: regions are found and transferred parts fitted again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from latent_editor.core.values import Edit, Latent
from latent_editor.editing.face_parts import PARTS, face_parts
from latent_editor.editing.part_transfer import fit_feature_patch
from latent_editor.generators import Generator


def retarget_edits(g: Generator, latent: Latent, edits: Sequence[Edit]) -> list[Edit]:
    """Adapts edits made on one face to another: regions of face parts are found again, painted ones stay.

    Parts transferred from a third face are fitted again, which takes some seconds each.

    Args:
        g: The generator.
        latent: The other face, unedited.
        edits: The edits of the first one.

    Raises:
        BadValue: parts of a face, for a model that shows no faces.
    """
    names = sorted({e.region.name for e in edits if e.region is not None and e.region.name in PARTS})
    regions = dict(zip(names, face_parts(g, latent, names), strict=True))
    found = [replace(e, region=regions.get(e.region.name, e.region)) if e.region is not None else e for e in edits]
    return [_fitted(g, latent, edit) for edit in found]


def _fitted(g: Generator, latent: Latent, edit: Edit) -> Edit:
    feature_patch = edit.direction.feature_patch
    return (
        edit
        if feature_patch is None or edit.region is None
        else fit_feature_patch(g, latent, edit, feature_patch.picture)
    )
