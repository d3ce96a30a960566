"""StyleSpace (Wu et al. 2021): the style channels, and the W+ vectors that change them.

A network only uses its ws through affine layers, s = A·w + b, so a change of styles is a linear equation for a change
of w. It has an exact solution if the layers that share a w have at most w_dim channels in total and A has full rank:
always in the embedded model, and in the narrow layers of FFHQ's StyleGAN2. Otherwise the least-squares solution leaves
a residual, which is reported. A StyleSpace direction is thus a W+ vector like any other, and renders as fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators.base import Generator, random_ws
from latent_editor.models.per_model import per_model

#: Random latents for estimating the standard deviation of the channels.
SAMPLES = 512
#: Smaller singular values, relative to the largest, are half-precision noise.
CUTOFF = 1e-5


@dataclass(frozen=True, eq=False)
class StyleLayer:
    """A layer modulated by a style.

    Attributes:
        index: Its position in StyleSpace.
        row: The index of its w. A ToRGB layer shares its w with the first convolution of the next block.
        weight: float32 [C, w_dim], the affine map from w to the style.
        spread: float32 [C], standard deviation of each channel over random images.
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
    """The layers of StyleSpace, in the order of their ws; empty if the architecture has no styles."""
    ws = random_ws(g, list(range(SAMPLES)), truncation_psi=1.0).float().cpu()
    found = []
    for index, (row, weight) in enumerate(g.style_weights()):
        weight = weight.float().cpu()
        spread = (ws[:, row] @ weight.t()).std(dim=0).clamp_min(1e-12)
        found.append(StyleLayer(index, row, weight, spread))
    return tuple(found)


def styles_of(g: Generator, offset: Tensor) -> list[Tensor]:
    """The change of styles caused by ``offset`` [num_ws, w_dim]: float32 [C] for each layer."""
    return [layer.weight @ offset[layer.row].float().cpu() for layer in style_layers(g)]


def style_offset(g: Generator, wanted: Mapping[int, Tensor]) -> tuple[Tensor, float]:
    """The W+ offset that changes given styles and no others.

    For each w, the minimum-norm v of min_v ‖(A·v − s) / σ‖, where A stacks all layers that use this w, s is the wanted
    change (0 for other layers) and σ the standard deviation of the channels.

    Args:
        g: The generator.
        wanted: By layer index in :func:`style_layers`: float [C], the change of its style.

    Returns:
        float32 [num_ws, w_dim], and the relative residual, 0 if the change is met exactly.

    Raises:
        BadValue: no such layer, or a change of the wrong length.
    """
    layers = style_layers(g)
    for index, change in wanted.items():
        if not 0 <= index < len(layers) or tuple(change.shape) != (layers[index].channels,):
            sizes = ", ".join(str(layer.channels) for layer in layers) or "none"
            raise BadValue(
                f"Got a change of shape {list(change.shape)} for the style layer {index}; the layers of {g.name!r} "
                f"have these numbers of channels: {sizes}."
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
    """The stacked weights of the layers that use a w, divided by the channels' standard deviations: [C, w_dim]."""
    return torch.cat([layer.weight / layer.spread[:, None] for layer in style_layers(g) if layer.row == row])


@per_model
def row_inverse(g: Generator, row: int) -> tuple[Tensor, Tensor]:
    """:func:`row_matrix` and its pseudoinverse [w_dim, C]."""
    matrix = row_matrix(g, row)
    return matrix, torch.linalg.pinv(matrix.double(), rtol=CUTOFF).float()


@per_model
def style_axes(g: Generator) -> Tensor:
    """For each w, orthonormal axes that decorrelate its effect on the styles.

    They are the right singular vectors of :func:`row_matrix`, in ascending order. In these axes the problem is nearly
    separable, which suits the per-coordinate scaling of Adam: W+ inversion gains 0.5 dB in the same time.

    Returns:
        float32 [num_ws, w_dim, w_dim], one row per axis; the identity if the architecture has no styles.
    """
    axes = torch.eye(g.w_dim).repeat(g.num_ws, 1, 1)
    for row in {layer.row for layer in style_layers(g)}:
        matrix = row_matrix(g, row).double()
        axes[row] = torch.linalg.eigh(matrix.t() @ matrix).eigenvectors.t().float()
    return axes
