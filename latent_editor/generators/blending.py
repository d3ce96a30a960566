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

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.errors import BadLatent
from latent_editor.generators.base import Generator
from latent_editor.generators.wrapped import Wrapped
from latent_editor.regions import Blend, resized_share

#: Blends begin where the network's activations are this wide, or a quarter of the picture where that is less.
BLEND_FROM_PX = 16


class Shares:
    """Where each of several latents that are drawn together has its part.

    Args:
        weights: float32 [S, M, M]: of the second to last of each S + 1 latents; the first one carries the picture.
        from_px: The resolution at which blends begin.
        features: By resolution: [1, C, R, R], added to the activations of that block before they are blended.
    """

    def __init__(self, weights: Tensor, from_px: int, features: Mapping[int, Tensor] | None = None) -> None:
        self.weights, self.from_px, self.features = weights, from_px, features or {}
        self.count = len(weights) + 1

    def blended(self, x: Tensor, size_px: int) -> Tensor:
        """x [N · count, C, size_px, size_px], the carriers at 0, count, …: the same with blended carriers."""
        if size_px < self.from_px or self.count == 1:
            return x
        return self.laid(x, resized_share(self.weights, size_px))

    def at(self, size_px: int, px_per_picture: float, transform: Tensor | None = None) -> Tensor:
        """The weights on a canvas that is wider than the picture, and moved with it.

        Args:
            size_px: Side of the canvas, whose middle is the picture's.
            px_per_picture: How many of its pixels the picture is wide.
            transform: [3, 3] or [N, 3, 3], from the picture to the content seen there, as in ``transform_matrix``.

        Returns:
            [S, size_px, size_px], or [N, S, size_px, size_px] for N transforms.
        """
        # Where the content is reduced, neighbours are averaged before points are taken from it.
        known = resized_share(self.weights, min(self.weights.shape[-1], max(4, round(px_per_picture))))
        centres = (torch.arange(size_px, device=known.device) + 0.5 - size_px / 2) / px_per_picture
        y, x = torch.meshgrid(centres, centres, indexing="ij")
        where = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # [H, W, 3], in picture widths from the middle
        matrices = torch.eye(3).expand(1, 3, 3) if transform is None else transform.reshape(-1, 3, 3)
        grid = torch.einsum("hwk,njk->nhwj", where, matrices.to(where)[:, :2]) * 2  # −1..1 is the picture
        maps = F.grid_sample(
            known.expand(len(grid), *known.shape), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return maps if transform is not None and transform.ndim == 3 else maps[0]

    def laid(self, x: Tensor, shares: Tensor) -> Tensor:
        """:meth:`blended` with the weights [S, H, W] or [N, S, H, W] as they are at the resolution of x."""
        streams = x.unflatten(0, (-1, self.count))  # [N, count, C, H, W]
        carrier = streams[:, 0]
        mixed = carrier
        for i in range(1, self.count):
            share = shares[..., i - 1, :, :].to(x.dtype)  # [H, W] or [N, H, W]
            mixed = mixed + share.unsqueeze(-3) * (streams[:, i] - carrier)
        carriers = torch.arange(0, len(x), self.count, device=x.device)
        # Nobody else holds what a block has just given; where gradients are recorded it must stay as it is.
        return x.index_copy(0, carriers, mixed) if torch.is_grad_enabled() else x.index_copy_(0, carriers, mixed)


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
        self._shares = Shares(blend.weights.to(g.device), min(BLEND_FROM_PX, max(4, g.size_px // 4)), features)

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
