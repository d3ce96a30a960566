"""How far a slider may go: measured along each direction, to either side."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.directions.measures import PLAIN, face_finder
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype

#: Strengths that are tried, in units, after the first, which is always allowed.
LEAST, TRIED = 1.0, (1.5, 2.0, 2.5, 3.0)
#: What is looked at in every picture, beside the share of its values that are nearly white or black.
LOOKED_AT = ("brightness", "contrast", "vivid colours", "fine detail")
#: Random pictures for each one tried, that tell what is usual; and how far beyond them something may be, in their
#: standard deviations.
USUAL, BEYOND = 8, 1.0
#: The share of faces that may break where a strength still counts as safe.
BROKEN = 0.125
_FULL = 0.97


class Limits:
    """Tells the safe range of directions.

    A picture is broken where its light, contrast, colours or detail leave what random pictures show, where it fills
    with white or black, or where a face is no face any more.

    Args:
        g: The generator.
        ws: Pictures that edits start from, [N, num_ws, w_dim].
    """

    def __init__(self, g: Generator, ws: Tensor) -> None:
        self.g, self.ws = g, ws
        self._find = face_finder(g)
        with torch.inference_mode():
            usual = self._read(random_ws(g, list(range(1000, 1000 + USUAL * len(ws))), truncation_psi=1.0))
            margin = BEYOND * usual.std(dim=0)
            self._low, self._high = usual.amin(dim=0) - margin, usual.amax(dim=0) + margin
            self._before = self._broken(ws)

    def safe_range(self, offset: Tensor) -> tuple[float, float]:
        """The safe range (low, high) of a direction whose unit is ``offset`` [num_ws, w_dim], each 1 to 3 in size."""
        return -self._reach(-offset), self._reach(offset)

    def _reach(self, offset: Tensor) -> float:
        reach = LEAST
        with torch.inference_mode():
            for strength in TRIED:
                new = self._broken(self.ws + strength * offset) & ~self._before
                if new.float().mean() > BROKEN:
                    break
                reach = strength
        return reach

    def _broken(self, ws: Tensor) -> Tensor:
        seen = self._read(ws)
        return ((seen < self._low) | (seen > self._high)).any(dim=1)

    def _read(self, ws: Tensor) -> Tensor:
        """[N, num_ws, w_dim] → what pictures are held against, [N, K]."""
        dtype = fastest_dtype(self.g.device)
        plain = {m.name: m.read for m in PLAIN}
        rows = []
        for some in ws.split(16):
            pictures = self.g.synthesize(some, dtype=dtype).float().clamp(-1, 1)
            columns = [plain[name](pictures) for name in LOOKED_AT]
            columns.append((pictures.abs() > _FULL).float().mean(dim=(1, 2, 3)))
            if self._find is not None:
                columns.append(self._find(pictures).logit.clamp(max=3.0))
            rows.append(torch.stack(columns, dim=1))
        return torch.cat(rows)
