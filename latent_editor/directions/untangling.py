"""Boundaries as candidates for sliders, and the same cleaned of what they were seen to change besides.

Conditional manipulation (Shen et al. 2020, §3.2) takes the readings of latents for straight. Pictures say what really
comes along: a change of −2 to +2 along each boundary is measured in all names at once, and the boundaries are mixed so
that in the sum what is meant stays and the rest cancels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latent_editor.directions.candidates import Candidate
from latent_editor.directions.naming import Namer
from latent_editor.features.boundaries import Boundary, latent_spread
from latent_editor.generators import Generator

SOURCE = "boundary"
#: How much a unit of another boundary costs beside a standard deviation of leakage, squared. The second try is timid.
COSTS = (1.0, 4.0)


def boundary_candidates(g: Generator, boundaries: Sequence[Boundary]) -> list[Candidate]:
    """Each boundary as a candidate.

    Limiting them to some layers was refused: in the embedded model it took as much of what was meant as of the rest.
    """
    if not boundaries:
        return []
    spread = latent_spread(g)
    return [
        Candidate(
            SOURCE,
            f"boundary {b.name}",
            b.offset(spread).expand(g.num_ws, -1).clone(),
            f"labelled pictures, {b.accuracy:.0%} of held-out ones told rightly",
        )
        for b in boundaries
    ]


def untangled(units: Sequence[Candidate], effects: Tensor, namer: Namer) -> list[Candidate]:
    """Mixtures of boundaries that leave alone what each of them changes besides its own name.

    For the boundary k: min over α of Σ_t (e_k + Σ_j α_j·e_j)_t² + c·Σ_j α_j², over the names t of other families than
    its own; with α_j = 0 for boundaries of its own family, which would take its own effect away.

    Args:
        units: Candidates, calibrated.
        effects: [K, T], what each does from −2 to +2, whether or not faces agree.
        namer: Who made ``effects``.

    Returns:
        For each boundary on all layers that has a name of ``namer``, one mixture for each of :data:`COSTS`.
    """
    whole = [i for i, u in enumerate(units) if u.source == SOURCE and u.layers is None]
    named = [(i, units[i].origin.removeprefix("boundary ")) for i in whole]
    named = [(i, name) for i, name in named if name in namer.names]
    family = {name: namer.families[namer.names.index(name)] for _, name in named}
    found = []
    for k, name in named:
        others = [i for i, other in named if family[other] != family[name]]
        leaks = torch.tensor([f != family[name] for f in namer.families])
        if not others:
            continue
        e = effects[others][:, leaks].double()  # [J, L]
        for cost in COSTS:
            left = e @ e.t() + cost * torch.eye(len(others), dtype=torch.float64)
            alpha = torch.linalg.solve(left, -(e @ effects[k][leaks].double())).float()
            mixed = units[k].vector + sum(a * units[j].vector for a, j in zip(alpha, others, strict=True))
            found.append(Candidate(SOURCE, units[k].origin, mixed, f"{units[k].detail}, cleaned"))
    return found
