"""The safe range of a slider, measured along its direction to either side."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.directions.image_measures import PLAIN_MEASURES, face_finder
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype

#: The smallest limit, in units, and the larger ones that are tried.
MIN_LIMIT, TRIED = 1.0, (1.5, 2.0, 2.5, 3.0)
#: The measures of each picture, besides the share of its values that are nearly white or black.
MEASURED = ("brightness", "contrast", "vivid colours", "fine detail")
#: Random reference pictures per face; and the margin around their range, in their standard deviations.
REFERENCES, MARGIN = 8, 1.0
#: Share of faces that may break at a strength that still counts as safe.
MAX_BROKEN = 0.125
_FULL = 0.97


class SafeRangeMeter:
    """Measures the safe range of directions.

    A picture is broken if its light, contrast, colors or detail leave the range of random pictures, if much of it is
    white or black, or if no face is found in it any more.

    Args:
        g: The generator.
        ws: Faces that edits start from, [N, num_ws, w_dim].
    """

    def __init__(self, g: Generator, ws: Tensor) -> None:
        self.g, self.ws = g, ws
        self._find = face_finder(g)
        with torch.inference_mode():
            reference = self._read(random_ws(g, list(range(1000, 1000 + REFERENCES * len(ws))), truncation_psi=1.0))
            margin = MARGIN * reference.std(dim=0)
            self._low, self._high = reference.amin(dim=0) - margin, reference.amax(dim=0) + margin
            self._before = self._broken(ws)

    def safe_range(self, offset: Tensor) -> tuple[float, float]:
        """The safe range (low, high) of a direction with the unit ``offset`` [num_ws, w_dim], −3..−1 and 1..3."""
        return -self._reach(-offset), self._reach(offset)

    def _reach(self, offset: Tensor) -> float:
        reach = MIN_LIMIT
        with torch.inference_mode():
            for strength in TRIED:
                new = self._broken(self.ws + strength * offset) & ~self._before
                if new.float().mean() > MAX_BROKEN:
                    break
                reach = strength
        return reach

    def _broken(self, ws: Tensor) -> Tensor:
        seen = self._read(ws)
        return ((seen < self._low) | (seen > self._high)).any(dim=1)

    def _read(self, ws: Tensor) -> Tensor:
        """[N, num_ws, w_dim] → measures of the pictures, [N, K]."""
        dtype = fastest_dtype(self.g.device)
        plain = {m.name: m.read for m in PLAIN_MEASURES}
        rows = []
        for some in ws.split(16):
            pictures = self.g.synthesize(some, dtype=dtype).float().clamp(-1, 1)
            columns = [plain[name](pictures) for name in MEASURED]
            columns.append((pictures.abs() > _FULL).float().mean(dim=(1, 2, 3)))
            if self._find is not None:
                columns.append(self._find(pictures).logit.clamp(max=3.0))
            rows.append(torch.stack(columns, dim=1))
        return torch.cat(rows)
