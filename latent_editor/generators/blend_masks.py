"""Where each of several latents has its part of a picture that they draw together."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.region import resized_share


class BlendMasks:
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
