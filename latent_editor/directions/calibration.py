"""Calibration of sliders: one unit is a visible change, and ±3 is still a face."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype

#: Mean absolute change of pictures by one unit, at a quarter of their size and in −1..1: clearly visible.
VISIBLE_CHANGE = 0.045
#: Limits of one unit, in standard deviations of w.
MAX_STEP = 7.0
MIN_STEP = 0.5


def picture_change(g: Generator, ws: Tensor, offset: Tensor) -> float:
    """Mean absolute change of pictures, at a quarter of their size, when ``offset`` [num_ws, w_dim] is added to every
    ws."""
    return float((_small(g, ws + offset.to(ws.device)) - _small(g, ws)).abs().mean())


def _small(g: Generator, ws: Tensor) -> Tensor:
    with torch.inference_mode():
        return F.avg_pool2d(g.synthesize(ws, dtype=fastest_dtype(g.device)).clamp(-1, 1), 4)


def within(vector: Tensor, layers: tuple[int, int] | None) -> Tensor:
    """A copy of a vector [num_ws, w_dim], 0 outside of a half-open range of layers; None is all of them."""
    limited = torch.zeros_like(vector)
    at = slice(*layers) if layers is not None else slice(None)
    limited[at] = vector[at]
    return limited


def unit_vector(g: Generator, ws: Tensor, offset: Tensor, *, longest: float = MAX_STEP) -> Tensor:
    """Scales a direction to one unit.

    Args:
        g: The generator.
        ws: Faces to measure it on, [N, num_ws, w_dim].
        offset: [num_ws, w_dim], of any length.
        longest: Upper limit of a unit, in standard deviations of w.

    Returns:
        float32 [num_ws, w_dim]: the multiple of ``offset`` that changes pictures by ``VISIBLE_CHANGE``, within the
        limits.
    """
    spread = (ws - ws.mean(dim=0)).square().mean().sqrt().item()
    layer_norm = offset.norm(dim=1).max().item()
    if layer_norm == 0:
        return offset
    unit = offset / layer_norm * max(spread, 1e-6)  # one standard deviation of w
    # Changes are nearly proportional to small steps: two rounds are enough.
    length, before = 1.5, _small(g, ws)
    for _ in range(2):
        change = float((_small(g, ws + (unit * length).to(ws.device)) - before).abs().mean())
        length = min(longest, max(MIN_STEP, length * VISIBLE_CHANGE / max(change, 1e-6)))
    return unit * length
