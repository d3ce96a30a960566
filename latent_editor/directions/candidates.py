"""Candidates for sliders: components, on all layers or some, and boundaries; and the selection among them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from latent_editor.core.provenance import Provenance
from latent_editor.directions.budget import COMPONENTS
from latent_editor.directions.calibration import unit_vector, within
from latent_editor.directions.namer import Name, Namer
from latent_editor.directions.pca import View, color_view, find_components, structure_view
from latent_editor.generators import Generator
from latent_editor.networks.boundaries import Boundary, latent_whitening

Progress = Callable[[float], None]

#: Two components more alike than this (cosine) are one.
ALIKE = 0.6
#: Two candidates whose effects are more alike than this (cosine) are duplicates.
SAME_EFFECT = 0.9
#: A larger change than this, in standard deviations over faces, makes no better slider.
STRONG_CHANGE = 3.0
#: Ranges of layers that a component is also tried on, as half-open ranges of ws: up to 8², up to 32².
RANGES = {"coarse layers": (0, 4), "middle layers": (4, 8)}


@dataclass(frozen=True, eq=False)
class Candidate:
    """A direction that has no name yet.

    Attributes:
        source: How it was found: "pca", "sefa", "boundary" or "gradient".
        origin: Identifies the vector; candidates of one origin differ only in their layers.
        vector: float32 [num_ws, w_dim], a row of any length for each layer.
        provenance: How it was made.
        layers: Half-open range of ws that it acts on; None for all.
        label: The label that it was learned from, its only possible name; None for unsupervised candidates.
    """

    source: str
    origin: str
    vector: Tensor
    provenance: Provenance
    layers: tuple[int, int] | None = None
    label: str | None = None

    @property
    def acting(self) -> Tensor:
        """The vector, 0 outside of its layers."""
        return within(self.vector, self.layers)

    def calibrated(self, g: Generator, trials: Tensor) -> Candidate:
        """The same candidate, scaled to one unit of a slider (:func:`unit_vector`)."""
        unit = unit_vector(g, trials, self.acting)
        gain = unit.norm() / self.acting.norm().clamp_min(1e-9)
        return replace(self, vector=self.vector * gain)

    def limited(self, words: str, layers: tuple[int, int]) -> Candidate:
        return replace(self, provenance=self.provenance.noted(words), layers=layers)


def find_candidates(
    g: Generator, w: Tensor, *, layered: bool, progress: Progress, components: Mapping[str, int] = COMPONENTS
) -> list[Candidate]:
    """The components of both views without duplicates, largest first within each view.

    Args:
        g: The generator.
        w: Samples [N, w_dim].
        layered: Whether to add each restricted to :data:`RANGES` of layers, as GANSpace does (Härkönen et al. 2020,
            §3.3).
        progress: Called with 0..1.
        components: Number of components of each view.
    """
    every: dict[str, View] = {"structure": structure_view, "color": color_view}
    views = {name: view for name, view in every.items() if components.get(name)}
    units: list[Tensor] = []
    found: list[Candidate] = []
    for i, (name, view) in enumerate(views.items()):
        count = min(components[name], len(w) // 4, g.w_dim)
        parts = find_components(g, w, view, count, progress=partial(_part, progress, i, len(views)))
        for k, vector in enumerate(parts.vectors):
            unit = vector / vector.norm().clamp_min(1e-9)
            if all((unit @ other).abs() < ALIKE for other in units):
                units.append(unit)
                origin = f"{name} component {k + 1}"
                provenance = Provenance(component=k + 1, decomposed=name, share=float(parts.explained[k]))
                found.append(Candidate("pca", origin, unit.expand(g.num_ws, -1).clone(), provenance))
    ranges = [(words, r) for words, r in RANGES.items() if layered and r[1] < g.num_ws]
    return found + [whole.limited(words, r) for whole in found for words, r in ranges]


def boundary_candidates(g: Generator, boundaries: Sequence[Boundary]) -> list[Candidate]:
    """Boundaries between labeled latents as candidates, on all layers."""
    if not boundaries:
        return []
    spread = latent_whitening(g)
    return [
        Candidate(
            "boundary",
            f"boundary {b.name}",
            b.offset(spread).expand(g.num_ws, -1).clone(),
            Provenance(accuracy=b.accuracy, note="labeled pictures"),
            label=b.name,
        )
        for b in boundaries
    ]


def _part(progress: Progress, part: int, parts: int, fraction: float) -> None:
    progress((part + fraction) / parts)


def select_candidates(
    candidates: list[Candidate], effects: Tensor, namer: Namer, *, min_score: float
) -> list[tuple[Candidate, Name]]:
    """Selects candidates that each change one attribute, all of them different.

    1. Rank every pair of candidate and name by the product of its score, the squared share of the name in all that
       changes, the squared size of the change, so that weak candidates do not win, and the worth of the name.
    2. Accept them in that order; skip names and components in use, and candidates with the effect of an accepted one,
       unless both were learned from labels.
    3. Stop when scores fall below ``min_score``.

    Args:
        candidates: K of them.
        effects: [K, T], a row of :meth:`Namer.effects` for each.
        namer: Measured ``effects``.
        min_score: The lowest score that is accepted.

    Returns:
        The selected candidates with their names, best first.
    """
    scores = namer.scores(effects)
    for k, candidate in enumerate(candidates):
        if candidate.label in namer.names:
            scores[k] *= torch.tensor([name == candidate.label for name in namer.names])
    strength = (effects.abs() / STRONG_CHANGE).clamp_max(1).square()
    rank = scores * namer.shares(effects).square() * strength * namer.worth
    unit = torch.nn.functional.normalize(effects, dim=1)
    chosen: dict[int, int] = {}
    for flat in rank.flatten().argsort(descending=True, stable=True).tolist():
        k, t = divmod(flat, len(namer.names))
        if scores[k, t] < min_score or t in chosen.values():
            continue
        if any(_repeats(candidates[k], candidates[j], float(unit[k] @ unit[j])) for j in chosen):
            continue
        chosen[k] = t
    return [(candidates[k], namer.name(effects[k], scores[k], t)) for k, t in chosen.items()]


def _repeats(a: Candidate, b: Candidate, alike: float) -> bool:
    """Whether two candidates whose effects have the cosine ``alike`` are duplicates."""
    labeled = a.label is not None and b.label is not None
    return _overlap(a, b) or (abs(alike) > SAME_EFFECT and not labeled)


def _overlap(a: Candidate, b: Candidate) -> bool:
    if a.origin != b.origin:
        return False
    if a.layers is None or b.layers is None:
        return True
    return a.layers[0] < b.layers[1] and b.layers[0] < a.layers[1]
