"""Boundaries between two kinds of latents: the hyperplanes of InterFaceGAN (Shen et al. 2020).

A linear support vector machine separates latents with an attribute from latents without it; its normal is the direction
of the attribute. Everything happens in whitened coordinates, in which random latents have unit covariance, so that
directions stay where faces are, and a direction orthogonal to another's normal does not change that attribute.
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
#: Latents that the whitening is learned from, in multiples of w_dim; and its shrinkage towards a multiple of the
#: identity.
SAMPLES_PER_DIMENSION, SHRINKAGE = 4, 0.05
#: Penalties that are tried, from the smoothest to the most exact, and by how much a later one has to be better.
PENALTIES, BETTER = (1e-5, 1e-4, 1e-3), 0.005
#: Latents on each side at least, and folds for the held-out accuracy.
MIN_EXAMPLES, FOLDS = 3, 4
#: Share of a normal that has to remain after projecting out others.
MIN_LEFT = 0.15


@dataclass(frozen=True, eq=False)
class Whitening:
    """Whitening of random latents: x = (w − mean) · whiten has unit covariance.

    Attributes:
        mean: float32 [w_dim].
        whiten, color: float32 [w_dim, w_dim], symmetric, inverse to each other.
    """

    mean: Tensor
    whiten: Tensor
    color: Tensor

    def whitened(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] → the mean over layers in whitened coordinates, float32 [N, w_dim]."""
        return (ws.float().cpu().mean(dim=1) - self.mean) @ self.whiten


@per_model
def latent_whitening(g: Generator) -> Whitening:
    """The whitening of a generator's random latents, learned once."""
    seeds = list(range(SAMPLES_PER_DIMENSION * g.w_dim))
    w = random_ws(g, seeds, truncation_psi=1.0)[:, 0].double().cpu()
    mean = w.mean(dim=0)
    covariance = (w - mean).t() @ (w - mean) / len(w)
    even = torch.eye(g.w_dim, dtype=torch.float64) * covariance.diagonal().mean()
    values, vectors = torch.linalg.eigh(torch.lerp(covariance, even, SHRINKAGE))
    roots = values.clamp_min(1e-12).sqrt()
    whiten, color = (vectors * r @ vectors.t() for r in (1 / roots, roots))
    return Whitening(mean.float(), whiten.float(), color.float())


@dataclass(frozen=True, eq=False)
class Boundary:
    """A hyperplane in the coordinates of :class:`Whitening`.

    Attributes:
        name: The attribute on its positive side.
        normal: float32 [w_dim], of length 1.
        accuracy: Balanced accuracy on held-out latents; 0.5 is chance.
        count: Number of latents that it was fitted on.
        clip_probe: float32 [D], of length 1: a linear probe for the attribute on CLIP vectors of pictures, or None.
        encoder_probe: float32 [num_ws, w_dim], of length 1: a linear probe on the encoder's ws of pictures, or None.
    """

    name: str
    normal: Tensor
    accuracy: float
    count: int
    clip_probe: Tensor | None = None
    encoder_probe: Tensor | None = None

    def offset(self, whitening: Whitening) -> Tensor:
        """The direction in W, float32 [w_dim]: one standard deviation of random latents."""
        return whitening.color @ self.normal


def fit_boundary(more: Tensor, less: Tensor, *, name: str, weights: Tensor | None = None) -> Boundary:
    """Separates two sets of latents.

    1. For each penalty, the balanced accuracy by 4-fold cross-validation.
    2. The smoothest penalty that is as good as the best is fitted to all latents.

    Args:
        more, less: Latents with the attribute and without it in whitened coordinates, [N, w_dim] and [M, w_dim].
        name: The attribute on the positive side.
        weights: [N + M], weight of each latent, ``more`` first; both sides have the same total weight.

    Raises:
        BadValue: fewer than three on a side, or values that are not finite.
    """
    if min(len(more), len(less)) < MIN_EXAMPLES:
        raise BadValue(
            f"Got {len(more)} latents with {name!r} and {len(less)} without; expected {MIN_EXAMPLES} of each at least. "
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
        predicted = np.zeros(len(x))
        for known, apart in folds.split(x, y):
            predicted[apart] = _fit(x[known], y[known], counts[known], penalty).predict(x[apart])
        accuracies.append(balanced_accuracy_score(y, predicted, sample_weight=counts))
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
    """Projects a normal onto the orthogonal complement of others: conditional manipulation (Shen et al. 2020, §3.2).

    Args:
        normal: [w_dim], of length 1, in whitened coordinates.
        others: Normals [w_dim] of attributes to preserve; QR gives an orthonormal basis of them.

    Returns:
        float32 [w_dim], of length 1, orthogonal to all others; and the share of the normal that is left, 0..1.

    Raises:
        BadValue: almost nothing is left.
    """
    if not others:
        return F.normalize(normal.float(), dim=0), 1.0
    basis = torch.linalg.qr(torch.stack([o.double() for o in others], dim=1))[0]  # [w_dim, K]
    rest = normal.double() - basis @ (basis.t() @ normal.double())
    left = float(rest.norm() / normal.double().norm().clamp_min(1e-20))
    if left < MIN_LEFT:
        raise BadValue(
            f"Only {left:.0%} of this direction is independent of what it should preserve: they are nearly the same. "
            "Choose something else to disentangle it from."
        )
    return F.normalize(rest.float(), dim=0), left


def write_boundaries(boundaries: Sequence[Boundary], path: str | Path, *, fingerprint: str) -> None:
    """Writes boundaries of one generator as safetensors in half precision.

    Args:
        boundaries: Probes are either present in all of them or in none.
        path: The file.
        fingerprint: Of the generator; with CLIP probes, also of the CLIP (:func:`boundaries_fingerprint`).
    """
    metadata = {
        "kind": "boundaries",
        "fingerprint": fingerprint,
        "names": "\n".join(b.name for b in boundaries),
        "accuracies": " ".join(str(b.accuracy) for b in boundaries),
        "counts": " ".join(str(b.count) for b in boundaries),
    }
    tensors = {"normals": torch.stack([b.normal for b in boundaries]).half()}
    clip_probes = [b.clip_probe for b in boundaries if b.clip_probe is not None]
    if clip_probes:
        tensors["readings"] = torch.stack(clip_probes).half()
    encoder_probes = [b.encoder_probe for b in boundaries if b.encoder_probe is not None]
    if encoder_probes:
        tensors["opinions"] = torch.stack(encoder_probes).half()
    tensor_files.write_tensors(path, tensors, metadata)


def read_boundaries(path: str | Path) -> tuple[tuple[Boundary, ...], str]:
    """Reads what :func:`write_boundaries` wrote: the boundaries, and the fingerprint of their generator.

    Raises:
        BadModel: the file is damaged or holds something else.
    """
    tensors, metadata = tensor_files.read_tensors(path)
    try:
        names, accuracies = metadata["names"].split("\n"), metadata["accuracies"].split()
        columns = [_unit_rows(tensors.get(key), len(names)) for key in ("normals", "readings", "opinions")]
        rows = zip(names, accuracies, metadata["counts"].split(), *columns, strict=True)
        found = [Boundary(name, n, float(a), int(c), r, o) for name, a, c, n, r, o in rows]
        return tuple(found), metadata["fingerprint"]
    except (KeyError, ValueError, TypeError) as e:
        raise BadModel(f"{Path(path).name} is not a file of boundaries ({e}). Make it again.") from e


def _unit_rows(tensor: Tensor | None, count: int) -> list:
    """The rows of a tensor, each of length 1, or None for each."""
    return [None] * count if tensor is None else [row / row.norm().clamp_min(1e-12) for row in tensor.float()]


def stored_boundaries(g: Generator) -> tuple[Boundary, ...]:
    """The boundaries in the model's folder that belong to this generator.

    Raises:
        BadModel: the file is damaged.
    """
    stored = g.bundle.read_optional(BOUNDARIES_FILE, "sliders", read_boundaries)
    if stored is None:
        return ()
    boundaries, fingerprint = stored
    if not boundaries or any(len(b.normal) != g.w_dim for b in boundaries):
        return ()
    with_clip = boundaries[0].clip_probe is not None
    return boundaries if fingerprint == boundaries_fingerprint(g, with_clip=with_clip) else ()


def boundaries_fingerprint(g: Generator, *, with_clip: bool) -> str:
    """The generator that boundaries belong to and, if they have CLIP probes, the CLIP."""
    return f"{g.fingerprint}+{clip_fingerprint(g)}" if with_clip else g.fingerprint
