"""How far sliders have to go on a refined latent, to do what they do on others."""

from __future__ import annotations

from dataclasses import replace

import torch

from latent_editor.core.values import Direction
from latent_editor.generators import Generator, random_ws
from latent_editor.inversion.editability import STRENGTH, editability
from latent_editor.inversion.run import Candidate

#: Ways to random latents stand for sliders, which differ between models; so many, and of this share of the whole way.
WAYS, SHARE = 6, 0.25
#: What changes shall do on it at least and at most, as a multiple of random faces; and the gain's limits: with twice as
#: much the named sliders did more than on random faces, and heads that turned tore.
AIM, MIN_GAIN, MAX_GAIN = (0.85, 1.05), 0.6, 1.7
_ROUNDS = 2


@torch.no_grad()
def learn_usual_effects(g: Generator) -> None:
    """Measures once what changes do on a model's random faces, which :func:`stretched` compares with: some seconds."""
    editability(g, g.latent(g.w_avg.expand(g.num_ws, -1), method="mean"), _ways(g))


def _ways(g: Generator) -> list[Direction]:
    ways = (random_ws(g, list(range(2000, 2000 + WAYS)), truncation_psi=1.0) - g.w_avg).cpu() * (SHARE / STRENGTH)
    return [Direction(str(i), way) for i, way in enumerate(ways)]


@torch.no_grad()
def stretched(g: Generator, best: Candidate) -> Candidate:
    """Gives a refined latent the gain with which changes do on it as much as on random faces.

    A latent that resembles a photograph lies further out than random ones, and the same step does less there: styles
    are normalised (Karras et al. 2020, eq. 3), so that it counts against their length. On a picture of hard light and
    strong colours it does more. The picture itself stays the same.

    Args:
        g: The generator.
        best: What was found; without a refinement it is returned as it is.
    """
    if best.refinement is None:
        return best
    directions, refinement, gain = _ways(g), best.refinement, 1.0
    for _ in range(_ROUNDS):  # twice as far does less than twice as much
        latent = g.latent(best.ws, method=best.method, refinement=refinement)
        ratio = max(editability(g, latent, directions).ratio, 1e-3)
        gain = min(max(gain * min(max(ratio, AIM[0]), AIM[1]) / ratio, MIN_GAIN), MAX_GAIN)
        refinement = replace(refinement, pivot=best.ws.float().cpu(), gain=gain)
    return replace(best, refinement=refinement)
