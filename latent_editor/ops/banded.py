"""Resampling of rows and columns as products with small banded matrices: fast on CPUs, for any number of channels.

A filter between two grids is a banded matrix whose rows repeat: a block of outputs is the same small matrix times a
window of inputs, one block further on. Products of small matrices are what CPUs do best. Refused, each measured at
576² pixels: a convolution of each channel by itself, which is fast only for multiples of 16 channels (7 times slower
for others); a transposed convolution (up to 8 times slower along columns); zeros between the pixels, which take three
quarters of the work for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

#: How many outputs or inputs, whichever are more, one block has: enough to feed a product, not so many that most of
#: the band's matrix is zero.
BLOCK = 24
#: Singular values below this part of the greatest are left out of a filter: they are below the rounding of float32.
NEGLIGIBLE = 1e-7


@dataclass(frozen=True)
class Band:
    """Upsampling, filtering and downsampling along one axis.

    Attributes:
        matrix: [R, outputs, inputs]: one block for each of R filters.
        step: By how many inputs the next block starts later.
        first: The input at which the first block starts; negative ones are zeros.
    """

    matrix: Tensor
    step: int
    first: int

    @property
    def outputs(self) -> int:
        """How many outputs a block has."""
        return int(self.matrix.shape[1])

    def reads(self, outputs: int) -> int:
        """How many inputs from ``first`` on are read for that many outputs."""
        return (-(-outputs // self.outputs) - 1) * self.step + int(self.matrix.shape[2])


def band(taps: Tensor, *, up: int, down: int, before: int) -> Band:
    """The matrix of ``y[j] = Σₖ taps[k] · u[j·down + k − before]``; u is x with ``up − 1`` zeros after each value.

    Args:
        taps: [R, T], in the order of a correlation.
        up, down: Factors of the two grids.
        before: Zeros before the upsampled values; negative where some are cut off.

    Returns:
        A band whose matrix has the dtype and the device of ``taps``.
    """
    length = taps.shape[1]
    repeats = max(BLOCK // max(up, down), 1)
    outputs, step = repeats * up, repeats * down
    first = -(before // up)  # the first input at or after −before, in upsampled places
    last = ((outputs - 1) * down + length - 1 - before) // up
    j = torch.arange(outputs, device=taps.device)[:, None]
    i = torch.arange(first, max(last, first) + 1, device=taps.device)
    k = i * up + before - j * down  # [outputs, inputs]: which tap takes input i to output j
    inside = (k >= 0) & (k < length)
    return Band(taps[:, k.clamp(0, length - 1)] * inside, step, first)


def separable_terms(f: Tensor) -> tuple[Tensor, Tensor]:
    """A two-dimensional filter as a sum of separable ones, by its singular values.

    Radially symmetric low-pass filters of 12 × 12 taps are such a sum of three to five.

    Args:
        f: [fh, fw].

    Returns:
        float64 rows [R, fh] and columns [R, fw] such that ``f = Σᵣ rows[r] ⊗ columns[r]``.
    """
    u, s, vt = torch.linalg.svd(f.detach().double(), full_matrices=False)
    rank = max(int((s > NEGLIGIBLE * s[0]).sum()), 1)
    return (u[:, :rank] * s[:rank]).t(), vt[:rank]


def resample(x: Tensor, rows: Band, columns: Band, size: tuple[int, int]) -> Tensor:
    """Applies bands to both axes, and adds up their R filters.

    1. Cut the last axis into windows, multiply them with the matrix of ``columns``; the result is transposed, which
       costs nothing and puts the other axis last.
    2. The same for ``rows``, which transposes back.

    Args:
        x: [P, H, W] in the dtype of the bands, where H and W are at least ``reads(size)``, from ``first`` on.
        rows, columns: The bands of the vertical and of the horizontal axis.
        size: Height and width of the result.

    Returns:
        [P, *size], usually a view of something slightly larger.
    """
    height, width = size
    planes = len(x)
    x = x[:, : rows.reads(height), : columns.reads(width)]
    # 1.
    terms, outputs, inputs = columns.matrix.shape
    x = x.unfold(2, inputs, columns.step)  # [P, H, blocks, inputs]
    blocks, high = x.shape[2], x.shape[1]
    x = x.transpose(1, 2).reshape(planes * blocks, high, inputs)
    x = torch.bmm(columns.matrix.reshape(1, -1, inputs).expand(len(x), -1, -1), x.transpose(1, 2))
    x = x.view(planes, blocks, terms, outputs, high)
    # 2.
    wide = blocks * outputs
    terms, outputs, inputs = rows.matrix.shape
    x = x.unfold(4, inputs, rows.step)  # [P, blocks of columns, R, columns, blocks of rows, inputs]
    x = x.permute(0, 4, 1, 3, 2, 5).reshape(-1, wide, terms * inputs)
    matrix = rows.matrix.transpose(0, 1).reshape(1, outputs, terms * inputs)
    x = torch.bmm(matrix.expand(len(x), -1, -1), x.transpose(1, 2))  # [P · blocks, outputs, wide]
    return x.view(planes, -1, wide)[:, :height, :width]


def placed(x: Tensor, rows: Band, columns: Band, size: tuple[int, int]) -> Tensor:
    """x [P, H, W] with the zeros around it, or without the edges, that :func:`resample` wants for ``size`` outputs."""
    x_pad = -columns.first, columns.first + columns.reads(size[1]) - x.shape[2]
    y_pad = -rows.first, rows.first + rows.reads(size[0]) - x.shape[1]
    return F.pad(x, [*x_pad, *y_pad])
