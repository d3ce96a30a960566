"""One picture of several latents, each drawn in its own part: blended where the network has features, not colours.

Feature blending as in Suzuki et al. 2018 ("Spatially Controllable Image Synthesis with Internal Representation
Collaging"). One latent carries the picture, the others are drawn whole beside it. After every block, from a resolution
on, what the carrier has become is replaced by xᵤ ← xᵤ + Σ mᵢ·(xᵢ − xᵤ), where mᵢ is the part of the i-th:

- Inside, where mᵢ = 1, the picture is that of the i-th latent alone.
- Outside it is the carrier's, but for as far as the convolutions after the first blend reach.
- Between, the layers that follow join the two, as they do with all that they are given.

Mixing the colours of two finished pictures was refused: where contours differ both are seen, half transparent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent
from latent_editor.core.region import Blend
from latent_editor.generators.base import Generator
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.generators.wrapped import Wrapped

#: Blends begin where the network's activations are this wide, or a quarter of the picture where that is less.
BLEND_FROM_PX = 16


class Blended(Wrapped):
    """A generator whose pictures hold other latents in parts of them, as a :class:`Blend` says.

    It takes the ws of the carrier, so that whatever draws a latent draws one with regions too.

    Args:
        g: A generator that can blend: StyleGAN2, StyleGAN3, refined ones, and previews of them.
        blend: What else is drawn, and where.

    Raises:
        BadLatent: offsets of another shape than the generator's ws.
    """

    def __init__(self, g: Generator, blend: Blend) -> None:
        super().__init__(g)
        if tuple(blend.offsets.shape[1:]) != (g.num_ws, g.w_dim):
            raise BadLatent(
                f"The latent brings regions with ws of {list(blend.offsets.shape[1:])}; the model {g.name!r} takes "
                f"{[g.num_ws, g.w_dim]}. Load the model that it was made with."
            )
        self.blend, self.has_transform = blend, g.has_transform
        self._offsets = torch.cat([torch.zeros(1, g.num_ws, g.w_dim), blend.offsets]).to(g.device)
        features = {size: tensor.to(g.device).float()[None] for size, tensor in blend.features.items()}
        self._shares = BlendMasks(blend.weights.to(g.device), min(BLEND_FROM_PX, max(4, g.size_px // 4)), features)

    def synthesize(
        self, ws: Tensor, *, noise: str = "const", dtype: torch.dtype | None = None, transform: Tensor | None = None
    ) -> Tensor:
        image = self.inner.blended(self._spread(ws), self._shares, noise=noise, dtype=dtype, transform=transform)[1]
        assert image is not None
        return image

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        return self.inner.blended(self._spread(ws), self._shares, noise="none", dtype=dtype, until=size_px)[0]

    def early_picture(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor | None:
        return self.inner.blended(self._spread(ws), self._shares, noise="const", dtype=dtype, until=size_px)[1]

    def _spread(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] → [N · count, num_ws, w_dim], each carrier before those that it carries."""
        return (ws[:, None] + self._offsets.to(ws)).flatten(0, 1)
