"""Renders several latents as one image, each in its own region, by blending activations instead of pixels.

Feature blending as in Suzuki et al. 2018 ("Spatially Controllable Image Synthesis with Internal Representation
Collaging"). One latent is the base image; the others are rendered alongside it. After every block from a certain
resolution on, the activations of the base are replaced by xᵤ ← xᵤ + Σ mᵢ·(xᵢ − xᵤ), where mᵢ is the mask of the i-th:

- Inside, where mᵢ = 1, the image is that of the i-th latent.
- Outside it is the base image, except within the receptive field of the convolutions after the first blend.
- In between, the following layers join the two seamlessly.

Blending the pixels of two images was rejected: it shows both contours half transparent where they differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent
from latent_editor.core.region import Blend
from latent_editor.generators.base import Generator
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.generators.wrapped import Wrapped

#: Lowest resolution at which activations are blended (or a quarter of the image's, if that is less).
BLEND_FROM_PX = 16


class Blended(Wrapped):
    """A generator that renders a :class:`Blend` of latents.

    Its input is the ws of the base image, so that code that renders a latent also supports regions.

    Args:
        g: A StyleGAN2 or StyleGAN3, possibly refined, or a preview of one.
        blend: The other latents and their masks.

    Raises:
        BadLatent: the offsets do not have the shape of the generator's ws.
    """

    def __init__(self, g: Generator, blend: Blend) -> None:
        super().__init__(g)
        if tuple(blend.offsets.shape[1:]) != (g.num_ws, g.w_dim):
            raise BadLatent(
                f"The latent has regions with ws of shape {list(blend.offsets.shape[1:])}; the model {g.name!r} takes "
                f"{[g.num_ws, g.w_dim]}. Load the model that it was made with."
            )
        self.blend, self.has_transform = blend, g.has_transform
        self._offsets = torch.cat([torch.zeros(1, g.num_ws, g.w_dim), blend.offsets]).to(g.device)
        features = {size: tensor.to(g.device).float()[None] for size, tensor in blend.features.items()}
        self._masks = BlendMasks(blend.weights.to(g.device), min(BLEND_FROM_PX, max(4, g.size_px // 4)), features)

    def synthesize(
        self, ws: Tensor, *, noise: str = "const", dtype: torch.dtype | None = None, transform: Tensor | None = None
    ) -> Tensor:
        image = self.inner.blended(self._expand(ws), self._masks, noise=noise, dtype=dtype, transform=transform)[1]
        assert image is not None
        return image

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        return self.inner.blended(self._expand(ws), self._masks, noise="none", dtype=dtype, until=size_px)[0]

    def intermediate_image(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor | None:
        return self.inner.blended(self._expand(ws), self._masks, noise="const", dtype=dtype, until=size_px)[1]

    def _expand(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] → [N · count, num_ws, w_dim], each base image followed by its other latents."""
        return (ws[:, None] + self._offsets.to(ws)).flatten(0, 1)
