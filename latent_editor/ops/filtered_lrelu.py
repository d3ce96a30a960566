"""An alias-free leaky ReLU (Karras et al. 2021, §3.2 and appendix C.4)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.ops import kernels
from latent_editor.ops.banded import Band, band, pad_for, resample, separable_terms
from latent_editor.ops.bias_act import bias_act
from latent_editor.ops.upfirdn2d import Pair, four_sides, upfirdn2d

#: Number of values of the fine grid processed at a time. They fit a CPU's cache, so that the fine grid, four times as
#: large as input and output, is never in memory as a whole. 2²⁰ took 1.7 times as long for 276² pixels.
VALUES_AT_A_TIME = 1 << 18


def filtered_lrelu(
    x: Tensor,
    fu: Tensor | None = None,
    fd: Tensor | None = None,
    b: Tensor | None = None,
    *,
    up: int = 1,
    down: int = 1,
    padding: Pair = 0,
    gain: float = math.sqrt(2),
    slope: float = 0.2,
    clamp: float | None = None,
    flip_filter: bool = False,
) -> Tensor:
    """Adds a bias, upsamples, applies a leaky ReLU on the finer grid, and downsamples.

    1. Add ``b`` to the channels.
    2. Upsample: insert ``up − 1`` zeros after every pixel.
    3. Pad with zeros, or crop where the padding is negative.
    4. Convolve with ``fu · up²``, which preserves brightness (correlate if ``flip_filter``).
    5. Leaky ReLU with ``slope``, multiply by ``gain``, clamp to −``clamp`` … ``clamp``.
    6. Convolve with ``fd`` (correlate if ``flip_filter``).
    7. Downsample: keep every ``down``-th pixel.

    Args:
        x: [N, C, H, W], any floating dtype.
        fu, fd: float32 [fh, fw], or [taps] for a separable filter, or None for the identity.
        b: [C] or None.
        up, down: Factors of both axes.
        padding: One number, (x, y), or (x0, x1, y0, y1), counted in upsampled pixels.
        gain: Factor after the leaky ReLU.
        slope: The leaky ReLU's slope for negative values.
        clamp: Limit of the absolute value before step 6; None for no clamp.
        flip_filter: True correlates, False convolves.

    Returns:
        [N, C, H', W'] in the dtype of ``x``; H' = (H · up + pad_y − fu_h − fd_h + 1) // down + 1. On CPUs,
        intermediate values are at least float32.

    Raises:
        ValueError: a factor below 1, or a picture smaller than the filters.
    """
    if up < 1 or down < 1:
        raise ValueError(f"Got the resampling factors {up} and {down}; expected integers from 1.")
    sides = four_sides(padding)
    separable = fu is None or fu.ndim == 1  # as the kernels require; true for all public networks
    if separable and kernels.use_kernel("filtered_lrelu", x) and not kernels.needs_gradient(x, fu, fd, b):
        fu, fd = (None if f is None else f.to(x.device) for f in (fu, fd))
        y: Tensor = torch.ops.latent_editor.filtered_lrelu(
            x, fu, fd, b, up, down, sides, gain, slope, clamp, flip_filter
        )
        return y
    return filtered_lrelu_reference(
        x, fu, fd, b, up=up, down=down, padding=sides, gain=gain, slope=slope, clamp=clamp, flip_filter=flip_filter
    )


def filtered_lrelu_reference(
    x: Tensor,
    fu: Tensor | None,
    fd: Tensor | None,
    b: Tensor | None,
    *,
    up: int,
    down: int,
    padding: Pair,
    gain: float,
    slope: float,
    clamp: float | None,
    flip_filter: bool,
) -> Tensor:
    """:func:`filtered_lrelu` by PyTorch and the other operations, differentiable to any order."""
    # 1. Bias.
    x = bias_act(x, b)
    by_bands = x.device.type == "cpu" and (fu is not None or fd is not None)
    if by_bands and not any(f is not None and f.requires_grad for f in (fu, fd)):
        return _by_bands(
            x, fu, fd, up=up, down=down, padding=padding, gain=gain, slope=slope, clamp=clamp, flip_filter=flip_filter
        )
    # 2.–4. Upsample.
    x = upfirdn2d(x, fu, up=up, padding=padding, flip_filter=flip_filter, gain=up**2)
    # 5. Activation.
    x = bias_act(x, act="lrelu", alpha=slope, gain=gain, clamp=clamp)
    # 6.–7. Downsample.
    return upfirdn2d(x, fd, down=down, flip_filter=flip_filter)


def _by_bands(
    x: Tensor, fu: Tensor | None, fd: Tensor | None, *, up: int, down: int, padding: Pair, gain: float, slope: float,
    clamp: float | None, flip_filter: bool,
) -> Tensor:  # fmt: skip
    """Steps 2–7 on a CPU, for a few channels or a strip of one at a time. Arguments as in :func:`filtered_lrelu`."""
    n, c, h, w = x.shape
    px0, px1, py0, py1 = four_sides(padding)
    dtype = torch.promote_types(x.dtype, torch.float32)
    # A nonnegative gain commutes with the leaky ReLU, and is folded into the filter.
    before, after = (gain, 1.0) if gain >= 0 else (1.0, gain)
    up_rows, up_columns = _bands(fu, dtype, up=up, before=(py0, px0), gain=up * up * before, flip=flip_filter)
    rows, columns = _bands(fd, dtype, down=down, gain=after, flip=flip_filter)
    height = (h * up + py0 + py1 - sum(_size(f)[0] - 1 for f in (fu, fd)) - 1) // down + 1
    width = (w * up + px0 + px1 - sum(_size(f)[1] - 1 for f in (fu, fd)) - 1) // down + 1
    if height < 1 or width < 1:
        raise ValueError(f"Got an image of {w} × {h} pixels and padding {padding}, which is smaller than the filters.")

    fine = rows.reads(height), columns.reads(width)
    # Strips start at whole blocks of the fine grid.
    unit = up_rows.outputs // math.gcd(up_rows.outputs, down)
    strip = unit * max(VALUES_AT_A_TIME // (fine[1] * unit * down), 1)
    done = []
    for some in x.reshape(n * c, h, w).split(max(VALUES_AT_A_TIME // (fine[0] * fine[1]), 1)):
        some = pad_for(some.to(dtype), up_rows, up_columns, fine)
        strips = []
        for top in range(0, height, strip):
            high = min(strip, height - top)
            y = some[:, top * down // up_rows.outputs * up_rows.step :]
            y = resample(y, up_rows, up_columns, (rows.reads(high), fine[1]))
            y = _activate(y, slope, None if clamp is None else clamp / abs(after))
            strips.append(resample(y, rows, columns, (high, width)))
        done.append(torch.cat(strips, dim=1).to(x.dtype))
    return torch.cat(done).view(n, c, height, width)


def _activate(y: Tensor, slope: float, clamp: float | None) -> Tensor:
    """Leaky ReLU and clamp, in place unless gradients are recorded."""
    if torch.is_grad_enabled() and y.requires_grad:
        y = F.leaky_relu(y, slope)
        return y if clamp is None else y.clamp(-clamp, clamp)
    y = F.leaky_relu_(y, slope)
    return y if clamp is None else y.clamp_(-clamp, clamp)


def _bands(
    f: Tensor | None, dtype: torch.dtype, *, up: int = 1, down: int = 1, before: tuple[int, int] = (0, 0), gain: float,
    flip: bool,
) -> tuple[Band, Band]:  # fmt: skip
    """The bands of a filter's rows and columns; None for the identity."""
    f = torch.ones(1) if f is None else f
    f = f if flip else f.flip(list(range(f.ndim)))
    rows, columns = (f[None].double(), f[None].double()) if f.ndim == 1 else separable_terms(f)
    # In double precision up to here, so that the filter is rounded only once.
    return (
        band((rows * gain).to(dtype), up=up, down=down, before=before[0]),
        band(columns.to(dtype), up=up, down=down, before=before[1]),
    )


def _size(f: Tensor | None) -> tuple[int, int]:
    return (1, 1) if f is None else (int(f.shape[0]), int(f.shape[-1]))
