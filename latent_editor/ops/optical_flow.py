"""Where each pixel of a picture was in another one, and features moved along."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Pictures smaller than this are too coarse for the patches of 8² that are searched for.
MIN_PX = 32
#: Standard deviation of the smoothing, relative to the height: the motion of single pixels is mostly noise, as on hair.
SMOOTHING = 1 / 32


def optical_flow(source: Tensor, target: Tensor) -> Tensor:
    """Dense inverse search (Kroeger et al. 2016) down to single pixels, smoothed.

    Args:
        source, target: float [H, W], −1..1, each side at least :data:`MIN_PX`.

    Returns:
        float32 [H, W, 2] on the CPU: from each pixel of ``target`` to the same place of the scene in ``source``, in
        pixels (x, y). Exactly 0 everywhere if the pictures are equal.
    """
    before, after = (_to_bytes(picture) for picture in (source, target))
    if np.array_equal(before, after):
        return torch.zeros(*before.shape, 2)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # has state: one for each call
    search.setFinestScale(0)
    flow = search.calc(after, before, None)
    return torch.from_numpy(cv2.GaussianBlur(flow, (0, 0), SMOOTHING * len(flow)))


def _to_bytes(picture: Tensor) -> np.ndarray:
    return ((picture.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def warp_features(features: Tensor, flow: Tensor) -> Tensor:
    """Moves features along a flow.

    Args:
        features: [1, C, H, W].
        flow: float32 [N, H, W, 2], in pixels, as :func:`optical_flow` gives it.

    Returns:
        [N, C, H, W], where pixel p is ``features`` at p + flow(p), bilinear; beyond the border, the border's.
    """
    height, width = features.shape[-2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    centers = torch.stack([x, y], dim=-1).to(flow)
    grid = (centers + flow) * flow.new_tensor([2 / width, 2 / height]) - 1
    return F.grid_sample(
        features.expand(len(flow), -1, -1, -1), grid.to(features), padding_mode="border", align_corners=False
    )
