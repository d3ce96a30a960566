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
    dtype = fastest_dtype(g.device)
    with torch.inference_mode():
        before = g.synthesize(ws, dtype=dtype).clamp(-1, 1)
        after = g.synthesize(ws + offset.to(ws.device), dtype=dtype).clamp(-1, 1)
    small = [F.avg_pool2d(x, 4) for x in (before, after)]
    return (small[1] - small[0]).abs().mean().item()


def unit_vector(g: Generator, ws: Tensor, offset: Tensor) -> Tensor:
    """Scales a direction to one unit.

    Args:
        g: The generator.
        ws: Faces to try it on, [N, num_ws, w_dim].
        offset: [num_ws, w_dim], of any length.

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
    length = 1.5
    for _ in range(2):
        change = picture_change(g, ws, unit * length)
        length = min(LONGEST_STEP, max(SHORTEST_STEP, length * VISIBLE_CHANGE / max(change, 1e-6)))
    return unit * length
