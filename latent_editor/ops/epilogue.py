"""The epilogue of a modulated convolution in one pass over memory (Karras et al. 2020, eq. 3 and fig. 2c)."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.ops import kernels
from latent_editor.ops.bias_act import (
    ACTIVATIONS,
    CODES,
    PIECEWISE,
    bias_act_reference,
    has_fused_gradient,
    resolve_defaults,
)
from latent_editor.ops.upfirdn2d import Pair, four_sides, upfirdn2d, upfirdn2d_reference


def modulation_epilogue(
    x: Tensor,
    scale: Tensor | None = None,
    b: Tensor | None = None,
    noise: Tensor | None = None,
    *,
    f: Tensor | None = None,
    padding: Pair = 0,
    filter_gain: float = 1.0,
    act: str = "lrelu",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
    inplace: bool = False,
) -> Tensor:
    """Filters, demodulates, adds bias and noise, activates, scales and clamps.

    1. Filter with ``f``, like ``upfirdn2d(x, f, padding=padding, gain=filter_gain)``, after a transposed convolution.
    2. Multiply each sample's channels by ``scale``.
    3. Add ``b`` to the channels, and ``noise`` to the pixels.
    4. Apply the activation, multiply by ``gain``, clamp to −``clamp`` … ``clamp``.

    Args:
        x: [N, C, H, W], any floating dtype.
        scale: [N, C], such as the demodulation ``(energy + 1e-8).rsqrt()``; None for 1.
        b: [C], None for 0.
        noise: [H', W'] or [N or 1, 1, H', W'], already multiplied by its strength, None for 0.
        f: As in :func:`latent_editor.ops.upfirdn2d`; None skips step 1, and requires padding 0.
        padding: One number, (x, y), or (x0, x1, y0, y1).
        filter_gain: Factor on the filter.
        act: A key of ``ACTIVATIONS``.
        alpha, gain, clamp: As in :func:`latent_editor.ops.bias_act`.
        inplace: Allow overwriting ``x`` with the result, to save memory. Only has an effect for the kernel, without
            ``f`` and gradients.

    Returns:
        [N, C, H', W'] in the dtype and the memory format of ``x``.

    Raises:
        ValueError: an unknown activation, or a padding without a filter.
    """
    alpha, gain = resolve_defaults(act, alpha, gain)
    sides = four_sides(padding)
    if f is None and any(sides):
        raise ValueError(f"Got the padding {padding} without a filter; expected 0, or a filter.")
    fused = kernels.use_kernel("modulation_epilogue", x)
    if fused and kernels.needs_gradient(x, scale, b, noise, f):
        fused = has_fused_gradient(act, alpha, gain)
        if f is not None:  # separately: the gradient of the scale needs the filtered x
            x, f, sides = upfirdn2d(x, f, padding=sides, gain=filter_gain), None, (0, 0, 0, 0)
        inplace = False
    if not fused:
        return modulation_epilogue_reference(
            x, scale, b, noise, f=f, padding=sides, filter_gain=filter_gain, act=act, alpha=alpha, gain=gain,
            clamp=clamp,
        )  # fmt: skip
    f = None if f is None else f.to(x.device)
    ops, code = torch.ops.latent_editor, CODES[act]
    if inplace and f is None and kernels.has_supported_format(x):
        ops.modulation_epilogue_(x, scale, b, noise, code, alpha, gain, clamp)
        return x
    y: Tensor = ops.modulation_epilogue(x, scale, b, noise, f, sides, filter_gain, code, alpha, gain, clamp)
    return y


def modulation_epilogue_reference(
    x: Tensor,
    scale: Tensor | None,
    b: Tensor | None,
    noise: Tensor | None,
    *,
    f: Tensor | None,
    padding: tuple[int, int, int, int],
    filter_gain: float,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> Tensor:
    """:func:`modulation_epilogue` on plain PyTorch, differentiable to any order."""
    # 1. Filter.
    if f is not None:
        x = upfirdn2d_reference(x, f, (1, 1), (1, 1), padding, gain=filter_gain)
    # A nonnegative gain commutes with piecewise linear activations, which saves two passes over memory.
    early, late = (gain, 1.0) if act in PIECEWISE and gain >= 0 else (1.0, gain)
    # 2., 3. Demodulate, add bias and noise.
    shift = None if b is None else (b * early).to(x.dtype)[:, None, None]
    if scale is not None:
        factor = (scale * early).to(x.dtype)[:, :, None, None]
        x = x * factor if shift is None else torch.addcmul(shift, x, factor)
    else:
        x = x if early == 1 else x * early
        x = x if shift is None else x + shift
    if noise is not None:
        x = x + (noise * early).to(x.dtype)
    # 4. Activate.
    x = ACTIVATIONS[act].function(x, alpha)
    return bias_act_reference(x, dim=1, act="linear", alpha=0.0, gain=late, clamp=clamp)
