"""Which generator draws a picture for the screen: the whole one, or a small one that is quicker."""

from __future__ import annotations

from latent_editor.generators import Generator
from latent_editor.generators.preview import Preview, preview_of, small
from latent_editor.sessions.placement import IDENTITY, Placement

#: Side of the pictures that a large generator's small one draws.
SMALL_PX = 256
#: Pictures up to this side are thumbnails: what a small generator leaves out is not seen in them.
THUMBNAIL_PX = 160
#: From this fit on a small generator's pictures may stand for the whole one's while a slider is dragged.
TRUE_FIT = 0.97


def choose_generator(g: Generator, size_px: int, placement: Placement = IDENTITY) -> Generator:
    """What to draw a picture of ``size_px`` with.

    Thumbnails of large generators are drawn small. So are pictures in motion where the small one is there already and
    true; the whole picture follows when the slider rests. Only the whole generator can move its pictures.
    """
    if size_px > SMALL_PX or g.size_px <= SMALL_PX or placement != IDENTITY:
        return g
    if size_px <= THUMBNAIL_PX:
        return small(g, SMALL_PX)
    if not preview_of.is_built(g, SMALL_PX):  # made for the first thumbnail, which nobody waits for
        return g
    preview = small(g, SMALL_PX)
    return preview if isinstance(preview, Preview) and preview.fit >= TRUE_FIT else g
