"""Directions from gradients: the way on which one reading changes most and all others stay as they are.

A boundary in W says where faces with and without something lie, and with it comes what such faces have besides. The
gradients of all readings, through the readers and the generator, at some faces, say what each layer's w does to each
reading. One linear system then gives the way, in each layer of its own, that changes one reading and no other on any
of these faces: in a sense the Jacobian's pseudoinverse, as in Zhu et al. 2021 (LowRankGAN), of readings for pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.directions.candidates import Candidate, Progress
from latent_editor.directions.naming import Namer

SOURCE = "gradient"
#: How much shortness counts beside leaving all else alone, as shares of what the leaks weigh. Shorter ways do more of
#: what is meant before the pictures leave what the gradients know.
SHORTNESS = (0.02, 0.1, 0.4)
#: Faces whose gradients are computed together.
TOGETHER = 8


def jacobian(namer: Namer, ws: Tensor, *, progress: Progress, dtype: torch.dtype | None = None) -> Tensor:
    """How the readings of a face change with its ws, in standard deviations of faces: float32 [N, S, num_ws · w_dim].

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
            rows = torch.empty(len(some), len(total), variable[0].numel())
            for k, reading in enumerate(total):
                (gradient,) = torch.autograd.grad(reading, variable, retain_graph=True)
                rows[:, k] = gradient.flatten(1).cpu()
                progress((i + (k + 1) / len(total)) / len(parts))
        found.append(rows)
    return torch.cat(found)


def least_leaking(own: Tensor, leaks: Tensor, *, shortness: float, products: Tensor | None = None) -> Tensor:
    """The way that changes what is meant, for what else it changes and for its length.

    v ∝ (LᵀL + λI)⁻¹ o, which among all v with oᵀv = 1 makes ‖L v‖² + λ‖v‖² least; solved in the space of the leaks, of
    which there are fewer than latent dimensions.

    Args:
        own: [D], the mean gradient of what is meant.
        leaks: [M, D], gradients of all else, a row for each face and reading.
        shortness: λ, as a share of the sum of the leaks' squared lengths.
        products: float64 [M, M], LLᵀ, where it is known already.

    Returns:
        float32 [D], with oᵀv = 1.
    """
    o, rows = own.double(), leaks.double()
    products = rows @ rows.t() if products is None else products
    even = torch.eye(len(rows), dtype=torch.float64) * (shortness * products.diagonal().sum())
    root = torch.linalg.cholesky(products + even)
    way = o - rows.t() @ torch.cholesky_solve((rows @ o)[:, None], root)[:, 0]
    return (way / (o @ way).clamp_min(1e-12)).float()


def gradient_candidates(namer: Namer, ws: Tensor, *, progress: Progress) -> list[Candidate]:
    """For each name that the namer gives, ways that change what it says alone, of each of :data:`SHORTNESS`.

    Args:
        namer: Who reads.
        ws: Faces to take gradients at, [N, num_ws, w_dim]; others than those that candidates are tried on.
        progress: Called with 0..1.
    """
    rates = jacobian(namer, ws, progress=progress)
    every = rates.flatten(0, 1).double()
    products = every @ every.t()
    found = []
    for k, name in enumerate(namer.names):
        others = torch.tensor([family != namer.families[k] for family in namer.families_seen]).repeat(len(ws))
        leaks, shared = every[others], products[others][:, others]
        for shortness in SHORTNESS:
            way = least_leaking(rates[:, k].mean(dim=0), leaks, shortness=shortness / len(ws), products=shared)
            detail = f"gradients of what reads it on {len(ws)} faces, away from those of all else"
            found.append(Candidate(SOURCE, f"gradient {name}", way.view_as(ws[0]), detail, label=name))
    return found
