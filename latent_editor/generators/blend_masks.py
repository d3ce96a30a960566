"""Masks for blending several latents in one image."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.region import resized_share


class BlendMasks:
    """Masks of the latents of a group that are rendered as one image.

    Args:
        weights: float32 [S, M, M], the masks of all but the first of the S + 1 latents; the first is the base image.
        from_px: Lowest resolution at which activations are blended.
        features: By resolution: [1, C, R, R], added to the activations of that block before blending.
    """

    def __init__(self, weights: Tensor, from_px: int, features: Mapping[int, Tensor] | None = None) -> None:
        self.weights, self.from_px, self.features = weights, from_px, features or {}
        self.count = len(weights) + 1

    def blend(self, x: Tensor, size_px: int) -> Tensor:
        """Blends the base images at 0, count, … of x [N · count, C, size_px, size_px]."""
        if size_px < self.from_px or self.count == 1:
            return x
        return self.blend_with(x, resized_share(self.weights, size_px))

    def resample(self, size_px: int, px_per_picture: float, transform: Tensor | None = None) -> Tensor:
        """The masks on a canvas larger than the image, transformed with it.

        Args:
            size_px: Side of the canvas, which has the same center as the image.
            px_per_picture: Width of the image on the canvas, in pixels.
            transform: [3, 3] or [N, 3, 3], from image to content, as in ``transform_matrix``.

        Returns:
            [S, size_px, size_px], or [N, S, size_px, size_px] for N transforms.
        """
        # Downscale by averaging before sampling, to avoid aliasing.
        masks = resized_share(self.weights, min(self.weights.shape[-1], max(4, round(px_per_picture))))
        centers = (torch.arange(size_px, device=masks.device) + 0.5 - size_px / 2) / px_per_picture
        y, x = torch.meshgrid(centers, centers, indexing="ij")
        where = torch.stack([x, y, torch.ones_like(x)], dim=-1)  # [H, W, 3], in image widths from the center
        matrices = torch.eye(3).expand(1, 3, 3) if transform is None else transform.reshape(-1, 3, 3)
        grid = torch.einsum("hwk,njk->nhwj", where, matrices.to(where)[:, :2]) * 2  # −1..1 is the image
        maps = F.grid_sample(
            masks.expand(len(grid), *masks.shape), grid, mode="bilinear", padding_mode="border", align_corners=False
        )
        return maps if transform is not None and transform.ndim == 3 else maps[0]

    def blend_with(self, x: Tensor, shares: Tensor) -> Tensor:
        """:meth:`blend` with masks [S, H, W] or [N, S, H, W] at the resolution of x."""
        streams = x.unflatten(0, (-1, self.count))  # [N, count, C, H, W]
        base = streams[:, 0]
        mixed = base
        for i in range(1, self.count):
            share = shares[..., i - 1, :, :].to(x.dtype)  # [H, W] or [N, H, W]
            mixed = mixed + share.unsqueeze(-3) * (streams[:, i] - base)
        base_indices = torch.arange(0, len(x), self.count, device=x.device)
        # In place, because nothing else references a block's output; autograd needs it unchanged.
        return (
            x.index_copy(0, base_indices, mixed) if torch.is_grad_enabled() else x.index_copy_(0, base_indices, mixed)
        )
