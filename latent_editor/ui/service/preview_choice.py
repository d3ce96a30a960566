"""Chooses the generator that draws a picture for the screen: the full one, or a small and faster preview."""

from __future__ import annotations

from latent_editor.generators import Generator
from latent_editor.generators.preview import Preview, preview_of, small
from latent_editor.sessions.placement import IDENTITY, Placement

#: Side of the preview's pictures.
SMALL_PX = 256
#: Up to this side the detail that a preview lacks is not visible.
THUMBNAIL_PX = 160
#: The least fit of a preview that may stand in for the full generator while a slider moves.
TRUE_FIT = 0.97


def choose_generator(g: Generator, size_px: int, placement: Placement = IDENTITY) -> Generator:
    """The generator for a picture of ``size_px``.

    Thumbnails of large generators are drawn by the preview. So are frames in motion, if the preview is already built
    and accurate; the full picture follows when the slider rests. Only the full generator supports a placement.
    """
    if size_px > SMALL_PX or g.size_px <= SMALL_PX or placement != IDENTITY:
        return g
    if size_px <= THUMBNAIL_PX:
        return small(g, SMALL_PX)
    if not preview_of.is_built(g, SMALL_PX):  # building it would delay the frame; the first thumbnail does it
        return g
    preview = small(g, SMALL_PX)
    return preview if isinstance(preview, Preview) and preview.fit >= TRUE_FIT else g
