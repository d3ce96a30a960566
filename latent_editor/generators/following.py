"""F-space features that follow the face while it is edited.

A residual is fitted at one latent, the pivot. If it stays where it is while the face below it turns or smiles, two
contours appear. Features that are warped by a flow follow, as in StyleHEAT (Yin et al. 2022); here the flow is measured
between two pictures of the generator itself, which no network has to learn:

1. At the features' resolution, the RGB sum without the residual is rendered for the ws, and once for the pivot.
2. Optical flow finds where each pixel of the first is in the second.
3. The residual is sampled there.

Rejected: the flow between full images at 256², which looks the same and takes a second pass through all layers;
fading the residual where the pictures differ by more than motion, which gave away identity along with hair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latent_editor.ops.optical_flow import MIN_PX, optical_flow, warp_features

#: Renders the pivot without a residual up to some resolution, given noise mode and dtype: [1, channels, R, R].
RenderPivot = Callable[[str, torch.dtype], Tensor]


class Following:
    """Moves the residual of one block along with what the block renders.

    Args:
        render_pivot: Renders the pivot at the block's resolution.
    """

    def __init__(self, render_pivot: RenderPivot) -> None:
        self._render_pivot = render_pivot
        # One for each way of rendering, which all round differently, so that the pivot itself has no flow.
        self._pivots: dict[tuple[str, torch.dtype, bool], Tensor] = {}

    def __call__(self, residual: Tensor, image: Tensor, noise: str, dtype: torch.dtype) -> Tensor:
        """The residual where the face is now.

        Args:
            residual: [1, C, R, R], fitted at the pivot.
            image: float [N, channels, R, R], the RGB sum without the residual.
            noise, dtype: What ``image`` was rendered with.

        Returns:
            [1, C, R, R] if nothing moved, else [N, C, R, R].
        """
        key = noise, dtype, torch.is_grad_enabled()
        if key not in self._pivots:
            self._pivots[key] = brightness(self._render_pivot(noise, dtype))[0].detach()
        flow = torch.stack([optical_flow(self._pivots[key], picture) for picture in brightness(image)])
        if not bool(flow.any()):
            return residual
        return warp_features(residual, flow.to(residual.device))


def can_follow(size_px: int, has_rgb: bool) -> bool:
    """Whether features of this resolution can follow: in the skip architecture, from where a face is recognizable."""
    return has_rgb and size_px >= MIN_PX


def brightness(image: Tensor) -> Tensor:
    """[N, channels, H, W] → [N, H, W], the mean of its colors."""
    return image[:, :3].float().mean(dim=1)
