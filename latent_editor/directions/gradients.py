"""Directions from gradients: the way on which one reading changes most and all others stay as they are.

A boundary in W says where faces with and without something lie, and with it comes what such faces have besides. The
gradients of all readings, through the readers and the generator, at some faces, say what w does to each reading. One
linear system then gives the way that changes one reading and no other on any of these faces: in a sense the Jacobian's
pseudoinverse, as in Zhu et al. 2021 (LowRankGAN), of readings for pixels.

Ways are short in standard deviations of random latents, and the same in all layers. One for each range of layers
leaks less by the readers that it was solved with, and more by others, because it finds what they overlook; one for each
layer turned mouths green.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.core.provenance import Provenance
from latent_editor.directions.candidates import Candidate, Progress
from latent_editor.directions.naming import Namer
from latent_editor.networks.boundaries import latent_spread

SOURCE = "gradient"
#: How much shortness counts beside leaving all else alone, as a share of what the leaks weigh: λ. With a tenth of it
#: ways do half as much, and leak as much of that by readers that they were not solved with.
SHORTNESS = 0.1
#: How much more it counts what leaks in the mean of all faces than what leaks on one up and on another down: μ.
ON_ALL = 4.0
#: How much a reading of the same family counts as a leak: grey hair may be white too, and not blue.
KIN = 0.1
#: Faces whose gradients are computed together.
TOGETHER = 8


def jacobian(namer: Namer, ws: Tensor, *, progress: Progress, dtype: torch.dtype | None = None) -> Tensor:
    """How the readings of a face change with its ws, in standard deviations of faces: [N, S, num_ws, w_dim], float32.

    Args:
        namer: Who reads: names and measures, and what is watched besides, S together.
        ws: Faces, [N, num_ws, w_dim].
        progress: Called with 0..1.
        dtype: To compute in; None takes the device's fastest.
    """
    parts = ws.split(TOGETHER)
    found = []
    for i, some in enumerate(parts):
        with torch.inference_mode(False), torch.enable_grad():
            variable = some.detach().clone().requires_grad_(True)
            readings = namer.readings(variable, dtype=dtype)
            total = readings.sum(dim=0)  # one face's reading does not depend on another's ws
            rows = torch.empty(len(some), len(total), *variable[0].shape)
            for k, reading in enumerate(total):
                (gradient,) = torch.autograd.grad(reading, variable, retain_graph=True)
                rows[:, k] = gradient.cpu()
                progress((i + (k + 1) / len(total)) / len(parts))
        found.append(rows)
    return torch.cat(found)


def least_leaking(own: Tensor, leaks: Tensor, *, shortness: float) -> Tensor:
    """The way that changes what is meant, for what else it changes and for its length.

    v ∝ (LᵀL + μN·L̄ᵀL̄ + λI)⁻¹ o, which among all v with oᵀv = 1 makes ‖L v‖² + μN‖L̄ v‖² + λ‖v‖² least: what leaks on
    each face, what leaks on all of them, and the length.

    Args:
        own: [D], the mean gradient of what is meant.
        leaks: [N, M, D], gradients of all else: L has a row for each face and reading, L̄ their mean over the faces.
        shortness: λ, as a share of what a face's leaks weigh: of the mean over faces of their squared lengths' sum.

    Returns:
        float32 [D], with oᵀv = 1.
    """
    o, each = own.double(), leaks.double()
    rows, mean = each.flatten(0, 1), each.mean(dim=0)
    even = torch.eye(len(o), dtype=torch.float64) * (shortness * rows.square().sum() / len(each))
    way = torch.linalg.solve(rows.t() @ rows + ON_ALL * len(each) * (mean.t() @ mean) + even, o)
    return (way / (o @ way).clamp_min(1e-12)).float()


def leaking(namer: Namer, k: int) -> Tensor:
    """How much each reading counts as a leak of the name at ``k``: [S], 0 for what says the same in another way."""
    kin = [KIN if family == namer.families[k] else 1.0 for family in namer.families_seen]
    return torch.tensor([0.0 if n == namer.names[k] else count for n, count in zip(namer.names_seen, kin, strict=True)])


def gradient_candidates(namer: Namer, ws: Tensor, *, progress: Progress) -> list[Candidate]:
    """For each name that the namer gives, the way that changes what it says alone.

    Args:
        namer: Who reads.
        ws: Faces to take gradients at, [N, num_ws, w_dim]; others than those that candidates are tried on.
        progress: Called with 0..1.
    """
    colour = latent_spread(namer.g).colour
    rates = jacobian(namer, ws, progress=progress).sum(dim=2) @ colour  # [N, S, w_dim], of one w for all layers
    found = []
    for k, name in enumerate(namer.names):
        own, leaks = rates[:, k].mean(dim=0), rates * leaking(namer, k).sqrt()[:, None]
        provenance = Provenance(note=f"gradients of its measurement on {len(ws)} faces, apart from those of all others")
        way = colour @ least_leaking(own, leaks, shortness=SHORTNESS)
        found.append(Candidate(SOURCE, f"gradient {name}", way.expand(ws.shape[1], -1).clone(), provenance, label=name))
    return found
