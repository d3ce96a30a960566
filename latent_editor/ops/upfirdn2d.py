"""Upsample, FIR filter, downsample: the resampling of StyleGAN2 and StyleGAN3."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.ops import kernels

Pair = int | Sequence[int]


def setup_filter(taps: Sequence[float] | Sequence[Sequence[float]] | None, *, gain: float = 1.0) -> Tensor | None:
    """Makes a filter for :func:`upfirdn2d` from its taps.

    Args:
        taps: 1D taps, expanded to 2D by an outer product, or 2D taps. None or empty: no filter.
        gain: The sum of the result.

    Returns:
        float32 [fh, fw] with sum ``gain``, or None.
    """
    if taps is None or len(taps) == 0:
        return None
    f = torch.as_tensor(taps, dtype=torch.float32)
    if f.ndim == 1:
        f = f.outer(f)
    return f * (gain / f.sum())


def upfirdn2d(
    x: Tensor,
    f: Tensor | None,
    *,
    up: Pair = 1,
    down: Pair = 1,
    padding: Pair = 0,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Upsamples, pads, filters and downsamples a batch of images (Karras et al. 2021, appendix C.1).

    1. Upsample: insert ``up − 1`` zeros after every pixel.
    2. Pad with zeros, or crop where the padding is negative.
    3. Convolve every channel with ``f · gain``; correlate if ``flip_filter``.
    4. Downsample: keep every ``down``-th pixel.

    Args:
        x: [N, C, H, W], any floating dtype.
        f: float32 [fh, fw], or [taps] for a separable filter applied to rows and columns, or None for the identity.
        up, down: One factor for both axes, or (x, y).
        padding: One number, (x, y), or (x0, x1, y0, y1), counted in upsampled pixels.
        flip_filter: True correlates, False convolves.
        gain: Factor on the result.

    Returns:
        [N, C, H', W'] in the dtype of ``x``; H' = (H · up_y + pad_y − fh) // down_y + 1.
    """
    factors = _pair(up), _pair(down)
    sides = four_sides(padding)
    if kernels.use_kernel("upfirdn2d", x) and not (f is not None and kernels.needs_gradient(f)):
        f = None if f is None else f.to(x.device)
        y: Tensor = torch.ops.latent_editor.upfirdn2d(x, f, *factors, sides, flip_filter, gain)
        return y
    return upfirdn2d_reference(x, f, *factors, sides, flip_filter=flip_filter, gain=gain)


def upfirdn2d_reference(
    x: Tensor,
    f: Tensor | None,
    up: Sequence[int],
    down: Sequence[int],
    padding: Sequence[int],
    *,
    flip_filter: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """:func:`upfirdn2d` on plain PyTorch, differentiable to any order; factors [x, y], padding [x0, x1, y0, y1]."""
    (up_x, up_y), (down_x, down_y) = up, down
    n, c, h, w = x.shape

    # 1. Upsample.
    if up_x > 1 or up_y > 1:
        upsampled = x.new_zeros(n, c, h, up_y, w, up_x)
        upsampled[:, :, :, 0, :, 0] = x
        x = upsampled.reshape(n, c, h * up_y, w * up_x)  # [N, C, H·up_y, W·up_x]

    # 2. Pad or crop; F.pad crops where a number is negative.
    x = F.pad(x, list(padding))

    # 3. Filter each channel.
    if f is None:
        x = x * gain
    else:
        f = f.to(device=x.device, dtype=x.dtype)
        if not flip_filter:
            f = f.flip(list(range(f.ndim)))
        if f.ndim == 2:
            x = F.conv2d(x, (f * gain).expand(c, 1, *f.shape), groups=c)
        else:
            row = f.expand(c, 1, 1, -1)  # [C, 1, 1, taps]
            x = F.conv2d(x, row * gain, groups=c)
            x = F.conv2d(x, row.transpose(2, 3), groups=c)

    # 4. Downsample.
    return x[:, :, ::down_y, ::down_x]


def adjoint_padding(
    size: tuple[int, int], result: tuple[int, int], taps: tuple[int, int], up: Sequence[int], down: Sequence[int],
    padding: Sequence[int],
) -> list[int]:  # fmt: skip
    """The padding of the adjoint operation, which upsamples by ``down`` and downsamples by ``up``.

    The adjoint of a correlation is the correlation with the flipped filter; cropped or skipped pixels get zeros.

    Args:
        size, result, taps: Heights and widths of the input, of the output and of the filter.
        up, down: Factors [x, y] of the forward operation.
        padding: Its padding [x0, x1, y0, y1].
    """
    sides = []
    for axis in (0, 1):  # x, then y
        n, m, t = size[1 - axis], result[1 - axis], taps[1 - axis]
        before = padding[2 * axis]
        sides += [t - 1 - before, n * up[axis] - m * down[axis] + before - up[axis] + 1]
    return sides


def filter2d(x: Tensor, f: Tensor, *, padding: Pair = 0, flip_filter: bool = False, gain: float = 1.0) -> Tensor:
    """Filters a batch of images, preserving their size (plus ``padding``). Arguments as in :func:`upfirdn2d`."""
    fh, fw = size_of(f)
    px0, px1, py0, py1 = four_sides(padding)
    pad = [px0 + fw // 2, px1 + (fw - 1) // 2, py0 + fh // 2, py1 + (fh - 1) // 2]
    return upfirdn2d(x, f, padding=pad, flip_filter=flip_filter, gain=gain)


def upsample2d(
    x: Tensor, f: Tensor, *, up: int = 2, padding: Pair = 0, flip_filter: bool = False, gain: float = 1.0
) -> Tensor:
    """Upsamples a batch of images by ``up``, preserving their brightness. Arguments as in :func:`upfirdn2d`."""
    fh, fw = size_of(f)
    px0, px1, py0, py1 = four_sides(padding)
    pad = [px0 + (fw + up - 1) // 2, px1 + (fw - up) // 2, py0 + (fh + up - 1) // 2, py1 + (fh - up) // 2]
    return upfirdn2d(x, f, up=up, padding=pad, flip_filter=flip_filter, gain=gain * up * up)


def downsample2d(
    x: Tensor, f: Tensor, *, down: int = 2, padding: Pair = 0, flip_filter: bool = False, gain: float = 1.0
) -> Tensor:
    """Downsamples a batch of images by ``down``. Arguments as in :func:`upfirdn2d`."""
    fh, fw = size_of(f)
    px0, px1, py0, py1 = four_sides(padding)
    pad = [px0 + (fw - down + 1) // 2, px1 + (fw - down) // 2, py0 + (fh - down + 1) // 2, py1 + (fh - down) // 2]
    return upfirdn2d(x, f, down=down, padding=pad, flip_filter=flip_filter, gain=gain)


def size_of(f: Tensor) -> tuple[int, int]:
    return int(f.shape[0]), int(f.shape[-1])


def _pair(value: Pair) -> tuple[int, int]:
    x, y = (value, value) if isinstance(value, int) else value
    if x < 1 or y < 1:
        raise ValueError(f"Got a resampling factor of {value}; expected integers from 1.")
    return x, y


def four_sides(value: Pair) -> tuple[int, int, int, int]:
    """Expands a padding given as one number, (x, y) or (x0, x1, y0, y1) to the last form."""
    if isinstance(value, int):
        return value, value, value, value
    if len(value) == 2:
        return value[0], value[0], value[1], value[1]
    x0, x1, y0, y1 = value
    return x0, x1, y0, y1
