"""The gain of a refined latent, with which sliders have the same effect on it as on random faces."""

from __future__ import annotations

from dataclasses import replace

import torch

from latent_editor.core.values import Direction
from latent_editor.generators import Generator, random_ws
from latent_editor.inversion.editability import STRENGTH, editability
from latent_editor.inversion.run import Candidate

#: Steps towards random latents stand for sliders, which differ between models: their number, and their length relative
#: to the distance.
PROBES, SHARE = 6, 0.25
#: The target range of effects relative to random faces, and the limits of the gain: with twice as much, named sliders
#: had a larger effect than on random faces, and turned heads broke apart.
TARGET, MIN_GAIN, MAX_GAIN = (0.85, 1.05), 0.6, 1.7
_ROUNDS = 2


@torch.no_grad()
def measure_typical_effects(g: Generator) -> None:
    """Measures once what changes do on a model's random faces, which :func:`with_gain` compares with: some seconds."""
    editability(g, g.latent(g.w_avg.expand(g.num_ws, -1), method="mean"), _probes(g))


def _probes(g: Generator) -> list[Direction]:
    offsets = (random_ws(g, list(range(2000, 2000 + PROBES)), truncation_psi=1.0) - g.w_avg).cpu() * (SHARE / STRENGTH)
    return [Direction(str(i), offset) for i, offset in enumerate(offsets)]


@torch.no_grad()
def with_gain(g: Generator, best: Candidate) -> Candidate:
    """Gives a refined latent the gain with which edits have the same effect on it as on random faces.

    The latent of a photograph lies further out than random ones, and the same step has a smaller effect there: styles
    are normalized (Karras et al. 2020, eq. 3), so a step acts relative to their length. On images with hard light and
    strong colors, it has a larger effect. The image itself does not change.

    Args:
        g: The generator.
        best: The result of the stages; without a refinement it is returned as it is.
    """
    if best.refinement is None:
        return best
    directions, refinement, gain = _probes(g), best.refinement, 1.0
    for _ in range(_ROUNDS):  # effects grow less than proportionally
        latent = g.latent(best.ws, method=best.method, refinement=refinement)
        ratio = max(editability(g, latent, directions).ratio, 1e-3)
        gain = min(max(gain * min(max(ratio, TARGET[0]), TARGET[1]) / ratio, MIN_GAIN), MAX_GAIN)
        refinement = replace(refinement, pivot=best.ws.float().cpu(), gain=gain)
    return replace(best, refinement=refinement)
