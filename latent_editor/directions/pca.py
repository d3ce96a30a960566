"""GANSpace (Härkönen et al. 2020): principal components of activations and pictures, regressed to W."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import IncrementalPCA
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype

#: (generator, ws [B, num_ws, w_dim]) → features [B, D].
View = Callable[[Generator, Tensor], Tensor]

BATCH = 64


@dataclass(frozen=True, eq=False)
class Components:
    """Principal components of some view of the samples, regressed back to W (GANSpace, eq. 2–3).

    Attributes:
        vectors: float32 [K, w_dim]. Adding row k raises component k by one standard deviation of the samples, in the
            linear approximation.
        explained: float32 [K]: share of the view's variance, descending.
    """

    vectors: Tensor
    explained: Tensor


def structure_view(g: Generator, ws: Tensor) -> Tensor:
    """Activations at 16², averaged to 8²: shape, pose, hair. [N, D]"""
    size = min(g.activation_sizes, key=lambda size: abs(size - 16))
    maps = g.activations(ws, size, dtype=fastest_dtype(g.device))
    return F.adaptive_avg_pool2d(maps, min(8, size)).flatten(1)


def color_view(g: Generator, ws: Tensor) -> Tensor:
    """The picture at 16²: light and colors. [N, D]"""
    pictures = g.synthesize(ws, dtype=fastest_dtype(g.device)).clamp(-1, 1)
    return F.adaptive_avg_pool2d(pictures, 16).flatten(1)


def find_components(
    g: Generator,
    w: Tensor,
    view: View,
    count: int,
    *,
    progress: Callable[[float], None] | None = None,
) -> Components:
    """Finds the components along which ``view`` varies most.

    PCA of w alone was rejected: it needs a mapping network that stretches W, which small models do not have. In a view
    it works for every generator.

    Args:
        g: The generator.
        w: Samples [N, w_dim], N at least ``4 · count``.
        view: (generator, ws [B, num_ws, w_dim]) → [B, D].
        count: How many components.
        progress: Called with 0..1.

    Returns:
        The components, largest first.
    """
    pca = IncrementalPCA(n_components=count)
    views = []
    batches = list(w.split(max(BATCH, count)))
    for i, batch in enumerate(batches):
        with torch.inference_mode():
            seen = view(g, batch.unsqueeze(1).expand(-1, g.num_ws, -1)).float().cpu().numpy()
        views.append(seen)
        if len(seen) >= count:
            pca.partial_fit(seen)
        if progress is not None:
            progress((i + 1) / len(batches))
    scores = pca.transform(np.concatenate(views))
    scores = torch.from_numpy((scores / scores.std(axis=0)).astype(np.float32))  # [N, K], unit variance
    vectors = _fixed_signs(_regress(w.float().cpu(), scores))
    return Components(vectors, torch.from_numpy(pca.explained_variance_ratio_.astype(np.float32)))


def _regress(w: Tensor, scores: Tensor) -> Tensor:
    """Least-squares w = scores · vectors: rows [K, w_dim]. The scores are uncorrelated, so each row is a mean."""
    centered = w - w.mean(dim=0)
    return (scores - scores.mean(dim=0)).T @ centered / len(w)


def _fixed_signs(vectors: Tensor) -> Tensor:
    """The sign of a component is arbitrary; make the entry of largest magnitude positive, for reproducibility."""
    largest = vectors.gather(1, vectors.abs().argmax(dim=1, keepdim=True))
    return vectors * largest.sign()
