"""Global text directions in StyleSpace: which channels of the styles do what a prompt says, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.stylespace import style_layers, style_offset
from latent_editor.networks.style_statistics import StyleStatistics

#: A channel takes part where the cosine between what it does and what is asked for is at least so much (β).
THRESHOLD = 0.2
#: So many channels take part in any case, those of the largest cosines: else some prompts would move nothing.
FEWEST = 12
#: How far styles may go beside w, as a share: a few channels leave what the network knows sooner than a w does.
SHARE = 0.35


@dataclass(frozen=True, eq=False)
class StyleWay:
    """A change of styles.

    Attributes:
        way: float32 [num_ws, w_dim], the change of ws that makes it; in styles its length is 1, each channel counted in
            its standard deviations.
        channels: How many take part.
        radius: Length of the styles of a random picture in the same measure, √C, times :data:`SHARE`.
        residual: How far the styles miss what was asked of them, as a share of it.
    """

    way: Tensor
    channels: int
    radius: float
    residual: float


def style_way(
    g: Generator,
    statistics: StyleStatistics,
    axis: Tensor,
    *,
    threshold: float = THRESHOLD,
    preserved: Tensor | None = None,
    weight: Tensor | None = None,
) -> StyleWay:
    """The global direction of StyleCLIP (Patashnik et al. 2021, §6).

    1. The relevance of a channel is the cosine between what it does to the CLIP's vector and the axis of the prompt.
    2. Channels whose relevance is below the threshold are left alone (β: the higher, the less comes along).
    3. Each of the others moves by its part along the axis, in its standard deviations. The paper takes the relevance
       itself, and so moves channels that hardly do anything as far as those that do it all.
    4. Of that, what guards read is taken out: the projection onto the span of what the same channels do to each guard
       (conditional manipulation, Shen et al. 2020, §3.2), so that to first order no guard moves.
    5. The ws that make this change of styles: :func:`~latent_editor.generators.stylespace.style_offset`.

    Args:
        g: The generator.
        statistics: Of it and its CLIP.
        axis: float [D], of length 1: where the prompt points.
        threshold: β, 0..1.
        guards: [K, D], unit vectors of what shall stay as it is.
        firmness: [K], 0..1, how firmly; entirely where not given.
    """
    effects = statistics.effects
    along = effects @ axis  # [C]
    relevance = along / effects.norm(dim=1).clamp_min(1e-12)  # 1.
    least = min(threshold, float(relevance.abs().topk(min(FEWEST, len(relevance))).values[-1]))
    taking = relevance.abs() >= least  # 2.
    change = along * taking  # 3.
    if preserved is not None and len(preserved):  # 4.
        others = (effects @ preserved.t()) * taking[:, None]  # [C, K]
        shares = torch.linalg.lstsq(others.double(), change.double()[:, None]).solution[:, 0].float()
        change = change - others @ (shares if weight is None else shares * weight)
    change = change / change.norm().clamp_min(1e-20)
    layers = style_layers(g)
    parts = change.split([layer.channels for layer in layers])
    wanted = {
        layer.index: part * layer.spread for layer, part in zip(layers, parts, strict=True) if bool((part != 0).any())
    }
    way, residual = style_offset(g, wanted)  # 5.
    return StyleWay(way, int(taking.sum()), SHARE * len(change) ** 0.5, residual)
