"""StyleSpace (Wu et al. 2021): the channels of the styles, and the W+ vectors that move them.

A network sees its ws through its affine layers alone, s = A·w + b. To change the styles that one w makes is therefore a
linear equation for a change of that w. It is solved exactly where all layers that read this w have together no more
channels than w has numbers, and A has full rank: in the embedded model everywhere, in FFHQ's StyleGAN2 where the layers
are narrow. Else the least squares solution leaves a residual, which is told. So a direction in StyleSpace is a vector
in W+ like every other, and renders as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators.base import Generator, random_ws
from latent_editor.models.per_model import per_model

#: Random latents that the spread of the channels is taken from.
SAMPLES = 512
#: Singular values below this share of the largest are noise of half precision.
CUTOFF = 1e-5


@dataclass(frozen=True, eq=False)
class StyleLayer:
    """A layer that a style modulates.

    Attributes:
        index: Its position in StyleSpace.
        row: The index of the w that it reads. A layer to RGB shares its w with the next block's first convolution.
        weight: float32 [C, w_dim], what turns w into the style.
        spread: float32 [C], standard deviation of each channel over random pictures.
    """

    index: int
    row: int
    weight: Tensor
    spread: Tensor

    @property
    def channels(self) -> int:
        return len(self.weight)


@per_model
def style_layers(g: Generator) -> Sequence[StyleLayer]:
    """The layers of StyleSpace in the order of the ws that they read; none where an architecture has no styles."""
    ws = random_ws(g, list(range(SAMPLES)), truncation_psi=1.0).float().cpu()
    found = []
    for index, (row, weight) in enumerate(g.style_weights()):
        weight = weight.float().cpu()
        spread = (ws[:, row] @ weight.t()).std(dim=0).clamp_min(1e-12)
        found.append(StyleLayer(index, row, weight, spread))
    return tuple(found)


def styles_of(g: Generator, offset: Tensor) -> list[Tensor]:
    """What adding ``offset`` [num_ws, w_dim] to the ws adds to the styles: float32 [C] for each layer."""
    return [layer.weight @ offset[layer.row].float().cpu() for layer in style_layers(g)]


def style_offset(g: Generator, wanted: Mapping[int, Tensor]) -> tuple[Tensor, float]:
    """The change of ws that changes styles as asked, and no others.

    For each w: min_v ‖(A·v − s) / σ‖, the shortest such v, where A stacks all the layers that read this w, s is what is
    asked of them (0 where nothing is) and σ the spread of the channels.

    Args:
        g: The generator.
        wanted: By the position of a layer in :func:`style_layers`: float [C], what to add to its style.

    Returns:
        float32 [num_ws, w_dim], and the residual: how far the styles miss what was asked, as a share of it, 0 where all
        is met (channels counted in their spreads).

    Raises:
        BadValue: a layer that there is not, or a change of another length than the layer has channels.
    """
    layers = style_layers(g)
    for index, change in wanted.items():
        if not 0 <= index < len(layers) or tuple(change.shape) != (layers[index].channels,):
            sizes = ", ".join(str(layer.channels) for layer in layers) or "none"
            raise BadValue(
                f"Got a change of shape {list(change.shape)} for the style layer {index}; the layers of {g.name!r} "
                f"have these numbers of channels: {sizes}. Choose one of them."
            )
    offset = torch.zeros(g.num_ws, g.w_dim)
    missed, asked = 0.0, 0.0
    for row in sorted({layers[index].row for index in wanted}):
        matrix, inverse = row_inverse(g, row)
        reading = [layer for layer in layers if layer.row == row]
        goal = torch.cat(
            [wanted.get(layer.index, torch.zeros(layer.channels)).float().cpu() / layer.spread for layer in reading]
        )
        offset[row] = inverse @ goal
        missed += float((matrix @ offset[row] - goal).square().sum())
        asked += float(goal.square().sum())
    return offset, (missed / max(asked, 1e-20)) ** 0.5


def row_matrix(g: Generator, row: int) -> Tensor:
    """Of the layers that read a w, stacked, their weights divided by the channels' spreads: [C, w_dim]."""
    return torch.cat([layer.weight / layer.spread[:, None] for layer in style_layers(g) if layer.row == row])


@per_model
def row_inverse(g: Generator, row: int) -> tuple[Tensor, Tensor]:
    """:func:`row_matrix` and its inverse [w_dim, C]."""

    matrix = row_matrix(g, row)
    return matrix, torch.linalg.pinv(matrix.double(), rtol=CUTOFF).float()


@per_model
def style_axes(g: Generator) -> Tensor:
    """For each w, orthonormal axes in which the styles that it makes are told apart.

    They are the right singular vectors of :func:`row_matrix`, the least telling first. Along them the numbers of a w
    hardly depend on each other, which Adam, that scales each number by itself, takes for granted: at the same seconds
    W+ comes half a decibel nearer.

    Returns:
        float32 [num_ws, w_dim, w_dim], a row for each axis; the identity where an architecture has no styles.
    """
    axes = torch.eye(g.w_dim).repeat(g.num_ws, 1, 1)
    for row in {layer.row for layer in style_layers(g)}:
        matrix = row_matrix(g, row).double()
        axes[row] = torch.linalg.eigh(matrix.t() @ matrix).eigenvectors.t().float()
    return axes
