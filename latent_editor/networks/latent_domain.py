"""The distribution of a model's latents of typical pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LatentDomain:
    """The distribution of latents of typical pictures: a Gaussian in the first principal components, and the residual.

    Attributes:
        mean: float32 [w_dim], of the latents' means over their layers.
        basis: float32 [K, w_dim], orthonormal.
        variances: float32 [K], along the basis.
        rest: Mean squared distance from the subspace of the basis.
        limit: Distance that one in two hundred held-out pictures exceeds.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor
    rest: float
    limit: float

    def distances(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] → distances [N], relative to the limit.

        The mean of the Mahalanobis distance per dimension within the subspace and the distance from the subspace.
        """
        away = ws.mean(dim=1).float().cpu() - self.mean
        along = away @ self.basis.t()
        inside = (along.square() / self.variances).mean(dim=1)
        outside = (away.square().sum(dim=1) - along.square().sum(dim=1)).clamp_min(0) / self.rest
        return ((inside + outside) / 2).sqrt() / self.limit


def learn_domain(ws: Tensor, *, margin: float = 1.0) -> LatentDomain:
    """Fits three quarters of the latents [N, num_ws, w_dim], N ≥ 16, and sets the limit by the others."""
    x = ws.mean(dim=1).float().cpu()
    held = torch.arange(len(x)) % 4 == 3
    seen = x[~held]
    mean = seen.mean(dim=0)
    _, values, vectors = torch.linalg.svd(seen - mean, full_matrices=False)
    count = max(1, min(64, len(seen) // 4, x.shape[1] - 1))
    variances = values.square() / max(len(seen) - 1, 1)
    floor = 1e-6 * float(variances[0].clamp_min(1e-12))
    rest = max(float(variances[count:].sum()), floor)
    domain = LatentDomain(mean, vectors[:count].contiguous(), variances[:count].clamp_min(floor), rest, 1.0)
    limit = float(torch.quantile(domain.distances(x[held, None]), 0.995)) * margin
    return LatentDomain(domain.mean, domain.basis, domain.variances, rest, max(limit, 1e-3))
