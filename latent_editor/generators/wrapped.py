"""Base class of generators that wrap another one."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.generators.base import Generator


class Wrapped(Generator):
    """A generator that renders by another one, and shares its latents, bundle, name and fingerprint.

    Args:
        g: The wrapped generator.

    Attributes:
        inner: The wrapped generator.
    """

    def __init__(self, g: Generator) -> None:
        super().__init__()
        self._inner = [g]  # in a list, so that it is not registered as a submodule
        self.size_px = g.size_px
        self.channels, self.num_ws, self.w_dim, self.z_dim, self.c_dim = g.channels, g.num_ws, g.w_dim, g.z_dim, g.c_dim
        self.bundle = g.bundle

    @property
    def inner(self) -> Generator:
        return self._inner[0]

    @property
    def w_avg(self) -> Tensor:
        return self.inner.w_avg

    @property
    def activation_sizes(self) -> list[int]:
        return self.inner.activation_sizes

    def map(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        return self.inner.map(z, c, truncation_psi=truncation_psi, truncation_cutoff=truncation_cutoff)

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        return self.inner.activations(ws, size_px, dtype=dtype)

    def style_weights(self) -> list[tuple[int, Tensor]]:
        return self.inner.style_weights()

    def _fingerprint(self) -> str:
        return self.inner.fingerprint
