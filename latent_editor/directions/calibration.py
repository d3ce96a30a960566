"""How far one step of a slider goes: measured, so that ±1 shows and ±3 is still a face."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype

#: Mean absolute change of the picture, at a quarter of its size and in −1..1, that one unit makes: plainly visible.
VISIBLE_CHANGE = 0.06
#: A step of w, in its standard deviations, that one unit may at most take.
LONGEST_STEP = 7.0
SHORTEST_STEP = 0.5


def picture_change(g: Generator, ws: Tensor, offset: Tensor) -> float:
    """Mean absolute change, at a quarter of the size, when ``offset`` [num_ws, w_dim] is added to every ws."""
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


def unit_vector(g: Generator, ws: Tensor, offset: Tensor, *, longest: float = LONGEST_STEP) -> Tensor:
    """Scales a direction to one unit.

    Args:
        g: The generator.
        ws: Faces to try it on, [N, num_ws, w_dim].
        offset: [num_ws, w_dim], of any length.
        longest: The most that a unit may take, in standard deviations of w.

    Returns:
        float32 [num_ws, w_dim]: the multiple of ``offset`` that changes pictures by ``VISIBLE_CHANGE``, but no longer
        than what keeps latents among those the network knows.
    """
    spread = (ws - ws.mean(dim=0)).square().mean().sqrt().item()
    layer_norm = offset.norm(dim=1).max().item()
    if layer_norm == 0:
        return offset
    unit = offset / layer_norm * max(spread, 1e-6)  # one standard deviation of w
    # The change is nearly proportional to a small step; two rounds settle it.
    length, before = 1.5, _small(g, ws)
    for _ in range(2):
        change = float((_small(g, ws + (unit * length).to(ws.device)) - before).abs().mean())
        length = min(longest, max(SHORTEST_STEP, length * VISIBLE_CHANGE / max(change, 1e-6)))
    return unit * length
