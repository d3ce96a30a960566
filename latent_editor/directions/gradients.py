"""Directions from gradients: each changes one reading most and leaves all others as they are.

A boundary in W separates faces with an attribute from faces without it, and includes whatever is correlated with it.
The gradients of all readings at some faces, through the measuring networks and the generator, say how w changes each
reading. One linear system then gives the direction that changes one reading and no other on any of these faces: the
pseudoinverse of a Jacobian, as in Zhu et al. 2021 (LowRankGAN), of readings instead of pixels.

Directions are short in standard deviations of random latents, and the same in all layers. Separate directions for
ranges of layers had smaller side effects by the networks that they were solved with and larger ones by others, whose
errors they exploit; separate ones for each layer turned mouths green.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.core.provenance import Provenance
from latent_editor.directions.candidates import Candidate, Progress
from latent_editor.directions.namer import Namer
from latent_editor.networks.boundaries import latent_whitening

SOURCE = "gradient"
#: Weight of shortness relative to side effects: λ. With a tenth of it, directions have half the effect, and the same
#: relative side effects by networks that they were not solved with.
SHORTNESS = 0.1
#: Additional weight of mean side effects over those that change sign between faces: μ.
ON_ALL = 4.0
#: Weight of readings of the same family as side effects: grey hair may also be white, but not blue.
SAME_FAMILY = 0.1
#: Faces per batch.
BATCH = 8


def jacobian(namer: Namer, ws: Tensor, *, progress: Progress, dtype: torch.dtype | None = None) -> Tensor:
    """Gradients of a face's readings by its ws, in standard deviations over faces: float32 [N, S, num_ws, w_dim].

    Args:
        namer: Measures S readings: its names and its extra measures.
        ws: Faces, [N, num_ws, w_dim].
        progress: Called with 0..1.
        dtype: To compute in; None takes the device's fastest.
    """
    parts = ws.split(BATCH)
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


def disentangled_direction(own: Tensor, side_effects: Tensor, *, shortness: float) -> Tensor:
    """The direction with the largest own effect for its side effects and its length.

    v ∝ (LᵀL + μN·L̄ᵀL̄ + λI)⁻¹ o, which among all v with oᵀv = 1 makes ‖L v‖² + μN‖L̄ v‖² + λ‖v‖² least: the side
    effects on each face, their mean over faces, and the length.

    Args:
        own: [D], the mean gradient of the attribute.
        side_effects: [N, M, D], gradients of all other readings: L has a row for each face and reading, L̄ their mean
            over the faces.
        shortness: λ, relative to the mean over faces of the sum of squared side effects.

    Returns:
        float32 [D], with oᵀv = 1.
    """
    o, each = own.double(), side_effects.double()
    rows, mean = each.flatten(0, 1), each.mean(dim=0)
    even = torch.eye(len(o), dtype=torch.float64) * (shortness * rows.square().sum() / len(each))
    way = torch.linalg.solve(rows.t() @ rows + ON_ALL * len(each) * (mean.t() @ mean) + even, o)
    return (way / (o @ way).clamp_min(1e-12)).float()


def side_effect_weights(namer: Namer, k: int) -> Tensor:
    """Weight of each reading as a side effect of the name at ``k``: [S], 0 for other measures of the same attribute."""
    weights = [SAME_FAMILY if family == namer.families[k] else 1.0 for family in namer.families_measured]
    return torch.tensor(
        [0.0 if n == namer.names[k] else count for n, count in zip(namer.names_measured, weights, strict=True)]
    )


def gradient_candidates(namer: Namer, ws: Tensor, *, progress: Progress) -> list[Candidate]:
    """For each name of the namer, the direction that changes that attribute alone.

    Args:
        namer: Measures the attributes.
        ws: Faces for gradients, [N, num_ws, w_dim]; not those that candidates are tried on.
        progress: Called with 0..1.
    """
    color = latent_whitening(namer.g).color
    rates = jacobian(namer, ws, progress=progress).sum(dim=2) @ color  # [N, S, w_dim], of one w for all layers
    found = []
    for k, name in enumerate(namer.names):
        own, leaks = rates[:, k].mean(dim=0), rates * side_effect_weights(namer, k).sqrt()[:, None]
        provenance = Provenance(note=f"gradients of its measurement on {len(ws)} faces, apart from those of all others")
        vector = color @ disentangled_direction(own, leaks, shortness=SHORTNESS)
        found.append(
            Candidate(SOURCE, f"gradient {name}", vector.expand(ws.shape[1], -1).clone(), provenance, label=name)
        )
    return found
