"""Contact sheets, since numbers do not show whether faces look right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.generators import random_ws
from latent_editor.train.networks import Networks


def grid(pictures: Tensor, columns: int) -> Image.Image:
    """float [N, 3, S, S], −1..1 → one image of N tiles, in row-major order."""
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    rows = -(-len(pixels) // columns)
    blank = pixels.new_zeros(rows * columns - len(pixels), *pixels.shape[1:])
    tiles = torch.cat([pixels, blank]).unflatten(0, (rows, columns))  # [R, C, 3, S, S]
    sheet = tiles.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)  # [R·S, C·S, 3]
    return Image.fromarray(np.ascontiguousarray(sheet.numpy()))


def save_rows(rows: list[Tensor], run: Path, step: int, *, columns: int = 8) -> None:
    """Writes a contact sheet of a run: the first ``columns`` images of each row [N, 3, S, S], −1..1."""
    path = run / "sheets" / f"{step:06d}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(torch.cat([row[:columns] for row in rows]), columns).save(path, quality=90)


@torch.no_grad()
def contact_sheet(nets: Networks, pictures: Tensor, path: Path, *, psi: float = 0.7) -> None:
    """Writes a contact sheet of images, their reconstructions, and random faces.

    Args:
        nets: The networks to render with.
        pictures: uint8 [N, 3, S, S], of which the first 24 are shown.
        path: Output file.
        psi: Truncation of the random faces.
    """
    x = pictures[:24].float() / 127.5 - 1
    y = nets.generator.synthesize(nets.encoder(x))
    random = nets.generator.synthesize(random_ws(nets.generator, list(range(24)), truncation_psi=psi))
    rows = torch.cat([x[:12], y[:12], x[12:], y[12:], random])
    path.parent.mkdir(parents=True, exist_ok=True)
    grid(rows, 12).save(path, quality=90)
