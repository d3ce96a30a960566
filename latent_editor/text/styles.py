"""Global text directions in StyleSpace: the channels that do what a prompt says, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.stylespace import style_layers, style_offset
from latent_editor.networks.style_statistics import StyleStatistics

#: Channels are selected whose effect has at least this cosine with the prompt (β).
THRESHOLD = 0.2
#: The number of channels that are selected in any case; otherwise some prompts would have no effect.
MIN_CHANNELS = 12
#: Limit of a change of styles relative to one of w: a few channels leave the generator's range sooner than a w does.
RADIUS_SHARE = 0.35


@dataclass(frozen=True, eq=False)
class StyleDirection:
    """A direction in StyleSpace.

    Attributes:
        vector: float32 [num_ws, w_dim], the change of ws that makes it; its length in styles is 1, in standard
            deviations of each channel.
        channels: Number of selected channels.
        radius: Length of the styles of a random picture in the same units, √C, times :data:`RADIUS_SHARE`.
        residual: Relative error of the styles that ``vector`` makes.
    """

    vector: Tensor
    channels: int
    radius: float
    residual: float


def style_direction(
    g: Generator,
    statistics: StyleStatistics,
    axis: Tensor,
    *,
    threshold: float = THRESHOLD,
    preserved: Tensor | None = None,
    weight: Tensor | None = None,
) -> StyleDirection:
    """The global direction of StyleCLIP (Patashnik et al. 2021, §6).

    1. The relevance of a channel is the cosine between its effect on the CLIP vector and the axis of the prompt.
    2. Channels with a relevance below the threshold are left unchanged (β: higher values have fewer side effects).
    3. Each of the others moves by its effect along the axis, in standard deviations. The paper uses the relevance
       itself, which moves weak channels as far as strong ones.
    4. The effect on preserved attributes is projected out: conditional manipulation (Shen et al. 2020, §3.2), within
       the selected channels, so that to first order they do not change.
    5. The ws that make this change of styles: :func:`~latent_editor.generators.stylespace.style_offset`.

    Args:
        g: The generator.
        statistics: Of the generator and its CLIP.
        axis: float [D], of length 1: the direction of the prompt in CLIP space.
        threshold: β, 0..1.
        preserved: [K, D], unit vectors in CLIP space of attributes to preserve.
        weight: [K], 0..1, how much of each is projected out; None for all of it.
    """
    effects = statistics.effects
    along = effects @ axis  # [C]
    relevance = along / effects.norm(dim=1).clamp_min(1e-12)  # 1.
    limit = min(threshold, float(relevance.abs().topk(min(MIN_CHANNELS, len(relevance))).values[-1]))
    selected = relevance.abs() >= limit  # 2.
    change = along * selected  # 3.
    if preserved is not None and len(preserved):  # 4.
        others = (effects @ preserved.t()) * selected[:, None]  # [C, K]
        shares = torch.linalg.lstsq(others.double(), change.double()[:, None]).solution[:, 0].float()
        change = change - others @ (shares if weight is None else shares * weight)
    change = change / change.norm().clamp_min(1e-20)
    layers = style_layers(g)
    parts = change.split([layer.channels for layer in layers])
    wanted = {
        layer.index: part * layer.spread for layer, part in zip(layers, parts, strict=True) if bool((part != 0).any())
    }
    vector, residual = style_offset(g, wanted)  # 5.
    return StyleDirection(vector, int(selected.sum()), RADIUS_SHARE * len(change) ** 0.5, residual)
