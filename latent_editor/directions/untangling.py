"""Mixtures of candidates that do one thing: what is meant, for as little as possible of all else that is seen.

Conditional manipulation (Shen et al. 2020, §3.2) takes the readings of latents for straight, and two ways at a right
angle in W for independent. Pictures say what really comes along: a change of −2 to +2 along each candidate is measured
in all names and by all measures, on faces, and the candidates are mixed so that in the sum what is meant stays and the
rest cancels. Parts of a way in some layers alone are mixed too: hair colour in late layers cannot move the head (as in
StyleSpace, Wu et al. 2021, where an attribute has layers of its own).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.directions.candidates import RANGES, Candidate
from latent_editor.directions.naming import Namer
from latent_editor.features.boundaries import Boundary, latent_spread
from latent_editor.generators import Generator

SOURCE = "boundary"
#: What a unit of a candidate costs beside a standard deviation of leakage, squared.
COST = 1.0
#: How often the largest leaks are given more weight.
ROUNDS = 4


def boundary_candidates(g: Generator, boundaries: Sequence[Boundary]) -> list[Candidate]:
    """Each boundary as a candidate, on all layers."""
    if not boundaries:
        return []
    spread = latent_spread(g)
    return [
        Candidate(
            SOURCE,
            f"boundary {b.name}",
            b.offset(spread).expand(g.num_ws, -1).clone(),
            f"labelled pictures, {b.accuracy:.0%} of held-out ones told rightly",
            label=b.name,
        )
        for b in boundaries
    ]


def boundary_parts(g: Generator, units: Sequence[Candidate]) -> list[Candidate]:
    """Calibrated boundaries in some layers alone; with the whole ones in a mixture, the layers left over too."""
    ranges = [(words, r) for words, r in RANGES.items() if r[1] < g.num_ws]
    return [u.limited(words, r) for u in units if u.source == SOURCE and u.layers is None for words, r in ranges]


def mixtures(units: Sequence[Candidate], changes: Tensor, namer: Namer) -> list[Candidate]:
    """For each boundary that has a name, the mixture of all candidates that does most of it beside what else it does.

    Args:
        units: K candidates, calibrated. Mixtures of an earlier round may be among them: they are mixed again, by what
            they were seen to do.
        changes: [K, N, S], what each does to each face from −2 to +2 (:meth:`Namer.seen`).
        namer: Who made ``changes``.
    """
    ways = torch.stack([u.acting for u in units])  # [K, num_ws, w_dim]
    families = namer.families_seen
    found = []
    whole = {u.label: u for u in units if u.label is not None and u.layers is None}
    for name, unit in whole.items():
        if name in namer.names:
            at = namer.names.index(name)
            leaks = torch.tensor([family != families[at] for family in families])
            shares = purest(changes[:, :, at].mean(dim=1), changes[:, :, leaks])
            detail = f"{unit.detail.removesuffix(_MIXED)}{_MIXED}"
            found.append(replace(unit, vector=torch.einsum("k,kld->ld", shares, ways), detail=detail))
    return found


_MIXED = ", mixed to leave alone what else it changed"


def purest(own: Tensor, leaks: Tensor, *, cost: float = COST, rounds: int = ROUNDS) -> Tensor:
    """The mixture α that changes most of what is meant for what else it changes.

    min over α of Σ_t p_t·αᵀ(l_t·l_tᵀ + C_t / N)α + c·‖α‖², where oᵀα = 1: α ∝ M⁻¹·o, as Fisher's discriminant (1936).

    1. o are the own effects; l_t the mean leaks over the N faces, C_t their covariance between candidates: what faces
       do not agree in is not known well enough to be cancelled.
    2. The weights p_t of the leaks begin equal and are multiplied by |l_tᵀα|, some times over, after which the largest
       leak is about as small as can be (Lawson 1961).

    Args:
        own: [K], what each candidate does of what is meant.
        leaks: [K, N, L], what each does besides, to each face.
        cost: What c is, for candidates whose own effects are of the size of 1.
        rounds: How often weights are changed.

    Returns:
        α, float32 [K], with oᵀα = 1.
    """
    o, every = own.double(), leaks.double()
    mean = every.mean(dim=1)  # [K, L]
    around = (every - mean[:, None]) / len(every[0])  # so that products of two are C_t / N
    even = torch.eye(len(o), dtype=torch.float64) * cost
    weights = torch.ones_like(mean[0])
    for left in range(rounds, -1, -1):
        matrix = (mean * weights) @ mean.t() + torch.einsum("knl,l,jnl->kj", around, weights, around) + even
        alpha = torch.linalg.solve(matrix, o)
        alpha = alpha / (o @ alpha)
        if left:
            weights = weights * (mean.t() @ alpha).abs().clamp_min(1e-9)
            weights = weights / weights.mean().clamp_min(1e-12)
    return alpha.float()
