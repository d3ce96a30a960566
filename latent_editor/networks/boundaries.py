"""Boundaries between two kinds of latents: the hyperplanes of InterFaceGAN (Shen et al. 2020).

A linear support vector machine separates latents that have something from latents that lack it; its normal is the way
from one to the other. Everything happens in coordinates in which random latents are spread evenly, so that a way goes
where there are faces, and so that a way at a right angle to another's normal leaves that other's reading as it is.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import LinearSVC
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, BadValue
from latent_editor.generators import Generator, random_ws
from latent_editor.models.per_model import per_model
from latent_editor.networks.clip import clip_fingerprint

BOUNDARIES_FILE = "boundaries.safetensors"
#: Latents that the spread is learned from, in multiples of their length; and how far it is drawn to an even one.
SAMPLES_PER_DIMENSION, SHRINKAGE = 4, 0.05
#: Strengths of the penalty that are tried, from most even to most exact, and by how much a later one has to be better.
PENALTIES, BETTER = (1e-5, 1e-4, 1e-3), 0.005
#: The fewest latents on one side, and parts for the held-out accuracy.
FEWEST, FOLDS = 3, 4
#: What is left of a way after others were taken out of it has to be so much.
MIN_LEFT = 0.15


@dataclass(frozen=True, eq=False)
class Spread:
    """How random latents are spread, to make them even: x = (w − mean) · whiten.

    Attributes:
        mean: float32 [w_dim].
        whiten, colour: float32 [w_dim, w_dim], symmetric, inverse to each other.
    """

    mean: Tensor
    whiten: Tensor
    colour: Tensor

    def even(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] → the mean over layers in even coordinates, float32 [N, w_dim]."""
        return (ws.float().cpu().mean(dim=1) - self.mean) @ self.whiten


@per_model
def latent_spread(g: Generator) -> Spread:
    """The spread of a generator's random latents, learned once."""
    seeds = list(range(SAMPLES_PER_DIMENSION * g.w_dim))
    w = random_ws(g, seeds, truncation_psi=1.0)[:, 0].double().cpu()
    mean = w.mean(dim=0)
    covariance = (w - mean).t() @ (w - mean) / len(w)
    even = torch.eye(g.w_dim, dtype=torch.float64) * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh(torch.lerp(covariance, even, SHRINKAGE))
    roots = values.clamp_min(1e-12).sqrt()
    whiten, colour = (vectors * r @ vectors.t() for r in (1 / roots, roots))
    return Spread(mean.float(), whiten.float(), colour.float())


@dataclass(frozen=True, eq=False)
class Boundary:
    """A hyperplane in the even coordinates of :class:`Spread`.

    Attributes:
        name: What lies on its positive side.
        normal: float32 [w_dim], of length 1.
        accuracy: Share of latents that were kept apart and are told rightly, each side counting half; 0.5 is chance.
        count: How many latents it was fitted on.
        reading: float32 [D], of length 1: what reads it off a CLIP's vector of a picture; None where unknown.
        opinion: float32 [num_ws, w_dim], of length 1: what reads it off the ws that the encoder sees in a picture; None
            where unknown.
    """

    name: str
    normal: Tensor
    accuracy: float
    count: int
    reading: Tensor | None = None
    opinion: Tensor | None = None

    def offset(self, spread: Spread) -> Tensor:
        """The way in W, float32 [w_dim]: one standard deviation of random latents."""
        return spread.colour @ self.normal


def fit_boundary(more: Tensor, less: Tensor, *, name: str, weights: Tensor | None = None) -> Boundary:
    """Separates two sets of latents.

    1. For each penalty, the accuracy in four rounds, each on the quarter that was kept apart.
    2. The most even penalty that is as good as the best fits all of them.

    Args:
        more, less: Even coordinates of latents that have it and that lack it, [N, w_dim] and [M, w_dim].
        name: What lies on the positive side.
        weights: [N + M], how much each counts, ``more`` first; both sides count the same in any case.

    Raises:
        BadValue: fewer than three on a side, or values that are not finite.
    """
    if min(len(more), len(less)) < FEWEST:
        raise BadValue(
            f"Got {len(more)} latents with {name!r} and {len(less)} without; expected {FEWEST} of each at least. "
            "Give more examples."
        )
    x = torch.cat([more, less]).float().numpy()
    if not np.isfinite(x).all():
        raise BadValue(f"The latents for {name!r} hold values that are not finite. Invert their pictures again.")
    y = np.repeat([1, 0], [len(more), len(less)])
    counts = np.ones(len(x)) if weights is None else weights.double().numpy()
    folds = StratifiedKFold(min(FOLDS, len(more), len(less)), shuffle=True, random_state=0)
    accuracies = []
    for penalty in PENALTIES:  # 1.
        told = np.zeros(len(x))
        for known, apart in folds.split(x, y):
            told[apart] = _fit(x[known], y[known], counts[known], penalty).predict(x[apart])
        accuracies.append(balanced_accuracy_score(y, told, sample_weight=counts))
    best = next(i for i, a in enumerate(accuracies) if a >= max(accuracies) - BETTER)
    machine = _fit(x, y, counts, PENALTIES[best])  # 2.
    normal = F.normalize(torch.from_numpy(machine.coef_[0]).float(), dim=0)
    return Boundary(name, normal, round(float(accuracies[best]), 3), len(x))


def _fit(x: np.ndarray, y: np.ndarray, weights: np.ndarray, penalty: float) -> LinearSVC:
    sides = np.array([weights[y == side].sum() for side in (0, 1)])
    even = weights * (len(y) / 2 / sides)[y]  # each side counts half
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a direction near the best is as good
        return LinearSVC(C=penalty, dual=True, max_iter=400, random_state=0).fit(x, y, sample_weight=even)


def apart_from(normal: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, float]:
    """A normal without what lies in the span of others: conditional manipulation (Shen et al. 2020, §3.2).

    Args:
        normal: [w_dim], of length 1, in even coordinates.
        others: Normals [w_dim] of what shall stay as it is; an orthonormal basis of them comes from QR.

    Returns:
        float32 [w_dim], of length 1, at right angles to all others; and how much of the normal was left, 0..1.

    Raises:
        BadValue: nearly nothing is left: the others say the same.
    """
    if not others:
        return F.normalize(normal.float(), dim=0), 1.0
    basis = torch.linalg.qr(torch.stack([o.double() for o in others], dim=1))[0]  # [w_dim, K]
    rest = normal.double() - basis @ (basis.t() @ normal.double())
    left = float(rest.norm() / normal.double().norm().clamp_min(1e-20))
    if left < MIN_LEFT:
        raise BadValue(
            f"Only {left:.0%} of this direction is left without what it shall leave alone: they are nearly the same. "
            "Clean it of something else."
        )
    return F.normalize(rest.float(), dim=0), left


def write_boundaries(boundaries: Sequence[Boundary], path: str | Path, *, fingerprint: str) -> None:
    """Writes boundaries of one generator as safetensors in half precision.

    Args:
        boundaries: All of them with readings, or none; so with opinions.
        path: The file.
        fingerprint: Of the generator; where there are readings, with that of the CLIP (:func:`boundaries_fingerprint`).
    """
    metadata = {
        "kind": "boundaries",
        "fingerprint": fingerprint,
        "names": "\n".join(b.name for b in boundaries),
        "accuracies": " ".join(str(b.accuracy) for b in boundaries),
        "counts": " ".join(str(b.count) for b in boundaries),
    }
    tensors = {"normals": torch.stack([b.normal for b in boundaries]).half()}
    readings = [b.reading for b in boundaries if b.reading is not None]
    if readings:
        tensors["readings"] = torch.stack(readings).half()
    opinions = [b.opinion for b in boundaries if b.opinion is not None]
    if opinions:
        tensors["opinions"] = torch.stack(opinions).half()
    tensor_files.write_tensors(path, tensors, metadata)


def read_boundaries(path: str | Path) -> tuple[tuple[Boundary, ...], str]:
    """Reads what :func:`write_boundaries` wrote: the boundaries, and the fingerprint of their generator.

    Raises:
        BadModel: the file is damaged or holds something else.
    """
    tensors, metadata = tensor_files.read_tensors(path)
    try:
        names, accuracies = metadata["names"].split("\n"), metadata["accuracies"].split()
        columns = [_even_rows(tensors.get(key), len(names)) for key in ("normals", "readings", "opinions")]
        rows = zip(names, accuracies, metadata["counts"].split(), *columns, strict=True)
        found = [Boundary(name, n, float(a), int(c), r, o) for name, a, c, n, r, o in rows]
        return tuple(found), metadata["fingerprint"]
    except (KeyError, ValueError, TypeError) as e:
        raise BadModel(f"{Path(path).name} is not a file of boundaries ({e}). Make it again.") from e


def _even_rows(tensor: Tensor | None, count: int) -> list:
    """The rows of a tensor, each of length 1, or as many times None."""
    return [None] * count if tensor is None else [row / row.norm().clamp_min(1e-12) for row in tensor.float()]


def kept_boundaries(g: Generator) -> tuple[Boundary, ...]:
    """The boundaries in the model's folder; none where there are none of this generator.

    Raises:
        BadModel: the file is damaged.
    """
    kept = g.bundle.kept(BOUNDARIES_FILE, "sliders", read_boundaries)
    if kept is None or not kept[0] or any(len(b.normal) != g.w_dim for b in kept[0]):
        return ()
    with_readings = kept[0][0].reading is not None
    return kept[0] if kept[1] == boundaries_fingerprint(g, readings=with_readings) else ()


def boundaries_fingerprint(g: Generator, *, readings: bool) -> str:
    """Which generator boundaries belong to, and where they have readings, which CLIP."""
    return f"{g.fingerprint}+{clip_fingerprint(g)}" if readings else g.fingerprint
