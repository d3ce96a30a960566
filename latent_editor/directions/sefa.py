"""SeFa (Shen & Zhou 2021, "Closed-Form Factorization of Latent Semantics in GANs"): directions from the weights
alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latent_editor.core.provenance import Provenance
from latent_editor.directions.candidates import ALIKE, Candidate
from latent_editor.generators import Generator

SOURCE = "sefa"
#: Groups of layers whose weights are factorized together: name, half-open range of ws, number of directions.
GROUPS: tuple[tuple[str, tuple[int, int] | None, int], ...] = (
    ("all layers", None, 6),
    ("coarse layers", (0, 4), 3),
    ("middle layers", (4, 8), 3),
    ("fine layers", (8, 1 << 20), 2),
)


def factorize(weights: Sequence[Tensor], count: int) -> tuple[Tensor, Tensor]:
    """The directions n of length 1 that move the styles A·w most: eigenvectors of AᵀA with the largest values (eq. 6).

    Args:
        weights: Rows of A, float32 [C_i, w_dim] each.
        count: How many; at most w_dim are returned.

    Returns:
        Directions [K, w_dim], orthonormal, largest first, the entry of largest magnitude positive; and their shares [K]
        of the squared change of all styles.
    """
    w_dim = weights[0].shape[1]
    # Summed layer by layer in float64: A itself may have ten thousand rows.
    product = torch.zeros(w_dim, w_dim, dtype=torch.float64)
    for weight in weights:
        rows = weight.detach().double().cpu()
        product += rows.t() @ rows
    values, vectors = torch.linalg.eigh(product)  # ascending
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1).t()
    shares = values / values.sum().clamp_min(1e-30)
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return (vectors * largest.sign())[:count].float(), shares[:count].float()


def style_candidates(g: Generator, *, apart_from: Sequence[Candidate] = (), count: int = 14) -> list[Candidate]:
    """Candidates from the style layers' weights, for all layers together and for groups of them.

    Args:
        g: The generator; one without style layers has none.
        apart_from: Known candidates; vectors that are nearly parallel to one of them in its layers are left out.
        count: Upper limit, distributed over the groups in proportion.

    Returns:
        Candidates of the source "sefa", those of all layers first.
    """
    layers = g.style_weights()
    share = min(1.0, count / sum(n for _, _, n in GROUPS))
    found: list[Candidate] = []
    for words, group, most in GROUPS:
        first, stop = group or (0, g.num_ws)
        stop = min(stop, g.num_ws)
        weights = [weight for at, weight in layers if first <= at < stop]
        if not weights:
            continue
        wanted = max(1, round(most * share))
        vectors, shares = factorize(weights, 3 * wanted)  # some are known already
        new: list[Candidate] = []
        for k, vector in enumerate(vectors):
            origin = f"weights of {words}, component {k + 1}"
            candidate = Candidate(
                SOURCE,
                origin,
                vector.expand(g.num_ws, -1).clone(),
                Provenance(component=k + 1, decomposed=f"the weights of {words}", share=float(shares[k])),
                None if group is None else (first, stop),
            )
            if len(new) < wanted and not any(_alike(candidate, other) for other in (*apart_from, *found, *new)):
                new.append(candidate)
        found += new
    return found[:count]


def _alike(a: Candidate, b: Candidate) -> bool:
    """Whether two candidates act on common layers in nearly the same direction."""
    both = a.acting.norm(dim=1) * b.acting.norm(dim=1) > 0
    if not both.any():
        return False
    row_a, row_b = a.vector[both].flatten(), b.vector[both].flatten()
    return bool((row_a @ row_b).abs() > ALIKE * row_a.norm() * row_b.norm())
