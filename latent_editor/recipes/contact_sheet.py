"""Contact sheets: pictures before and after, side by side under their names."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from latent_editor.core.errors import LatentEditorError
from latent_editor.media.photos import open_photo

#: Side of a picture, height of its label, space between pairs.
TILE_PX, LABEL_PX, GAP_PX = 160, 18, 12
#: Pairs in a row, and rows on a sheet.
PAIRS, ROWS = 3, 12


def contact_sheet(tiles: Sequence[tuple[str, Path, Path]], *, columns: int = PAIRS) -> Image.Image:
    """A contact sheet of (name, picture before, picture after), with at most ``columns`` pairs in a row."""
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (2 * TILE_PX + GAP_PX) - GAP_PX, rows * (TILE_PX + LABEL_PX)), "#f5f5f3")
    pen = ImageDraw.Draw(sheet)
    for i, (name, *pictures) in enumerate(tiles):
        x, y = i % columns * (2 * TILE_PX + GAP_PX), i // columns * (TILE_PX + LABEL_PX)
        pen.text((x + 4, y + 3), name.encode("latin-1", "replace").decode("latin-1")[:48], fill="#171718")
        for k, path in enumerate(pictures):
            with contextlib.suppress(LatentEditorError):  # a deleted picture leaves its place empty
                picture = open_photo(path, working_pixels=1_000_000).image
                picture.thumbnail((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
                left, top = (TILE_PX - picture.width) // 2, (TILE_PX - picture.height) // 2
                sheet.paste(picture, (x + k * TILE_PX + left, y + LABEL_PX + top))
    return sheet
