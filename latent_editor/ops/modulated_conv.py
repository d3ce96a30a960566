"""The modulated convolution with its epilogue in one pass over memory (Karras et al. 2020, eq. 1 and 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.ops import kernels
from latent_editor.ops.bias_act import CODES, PIECEWISE, resolve_defaults
from latent_editor.ops.epilogue import modulation_epilogue_reference

#: Input and output channels of a packed block; supported number of filter taps.
DEPTH, COLUMNS, TAPS = 32, 16, 4


def pack_weight(weight: Tensor) -> Tensor:
    """Packs weights in the order in which the kernel reads them, with zero-padded channels.

    Args:
        weight: [O, I, k, k], any floating dtype.

    Returns:
        bfloat16 [⌈O/16⌉, k, ⌈I/32⌉, k, 16, 16, 2]: output blocks, kernel rows, input blocks, kernel columns; in
        each block input pairs, outputs, and the two of a pair.
    """
    outputs, inputs, size, _ = weight.shape
    w = F.pad(weight.to(torch.bfloat16), [0, 0, 0, 0, 0, -inputs % DEPTH, 0, -outputs % COLUMNS])
    w = w.reshape(w.shape[0] // COLUMNS, COLUMNS, w.shape[1] // DEPTH, DEPTH // 2, 2, size, size)
    return w.permute(0, 5, 2, 6, 3, 1, 4).contiguous()


def unpack_weight(weight: Tensor, outputs: int, inputs: int) -> Tensor:
    """The inverse of :func:`pack_weight`: [outputs, inputs, k, k] in the dtype of ``weight``."""
    w = weight.permute(0, 5, 2, 4, 6, 1, 3)
    return w.flatten(2, 4).flatten(0, 1)[:outputs, :inputs]


def has_kernel(x: Tensor, act: str) -> bool:
    """Whether there is a kernel of :func:`modulated_conv` for x [N, I, H, W]: for bfloat16, if the CPU supports it.

    Otherwise a convolution followed by :func:`latent_editor.ops.modulation_epilogue` is faster.
    """
    if x.dtype != torch.bfloat16 or x.shape[1] == 1 or act not in PIECEWISE:
        return False
    return kernels.use_kernel("modulated_conv", x) and kernels.registered("modulated_conv", x.device.type)


def has_taps(f: Tensor) -> bool:
    """Whether the kernel supports a filter: 4 × 4 taps that are an outer product."""
    return tuple(f.shape) == (TAPS, TAPS) and int(torch.linalg.matrix_rank(f.double(), rtol=1e-6)) == 1


def modulated_conv(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    scale: Tensor,
    b: Tensor | None = None,
    noise: Tensor | None = None,
    *,
    f: Tensor | None = None,
    act: str = "lrelu",
    alpha: float | None = None,
    gain: float | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Modulated 3 × 3 convolution, with upsampling if there is a filter, and epilogue.

    1. Multiply each sample's channels by ``styles`` (eq. 1).
    2. Convolve with "same" padding; with ``f``, a transposed convolution of stride 2, filtered by 4 · ``f``.
    3. Multiply by ``scale``, add bias and noise, activate, and clamp, like
       :func:`latent_editor.ops.modulation_epilogue`.

    Args:
        x: [N, I, H, W], bfloat16.
        weight: From :func:`pack_weight`.
        styles: float32 [N, I].
        scale: float32 [N, O]: the demodulation.
        b: float32 [O], None for 0.
        noise: float32 [H', W'] or [N or 1, 1, H', W'], already multiplied by its strength, None for 0.
        f: float32 [4, 4], an outer product, to upsample by 2; None for no upsampling.
        act: One of ``PIECEWISE``.
        alpha, gain, clamp: As in :func:`latent_editor.ops.bias_act`.

    Returns:
        bfloat16 [N, O, H', W'] in channels_last format; H', W' are H, W, or twice that.
    """
    alpha, gain = resolve_defaults(act, alpha, gain)
    x = x.contiguous(memory_format=torch.channels_last)
    y: Tensor = torch.ops.latent_editor.modulated_conv(
        x, weight, styles, scale, b, noise, f, CODES[act], alpha, gain, clamp
    )
    return y


def modulated_conv_reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    scale: Tensor,
    b: Tensor | None,
    noise: Tensor | None,
    f: Tensor | None,
    *,
    act: str,
    alpha: float,
    gain: float,
    clamp: float | None,
) -> Tensor:
    """:func:`modulated_conv` on plain PyTorch, in any floating dtype, differentiable to any order."""
    kernel = unpack_weight(weight, scale.shape[1], x.shape[1]).to(x.dtype)
    # 1. Modulate.
    x = x * styles.to(x.dtype)[:, :, None, None]
    # 2. Convolve; the filter of the epilogue reduces the output to twice the size of x.
    padding = (0, 0, 0, 0)
    if f is None:
        x = F.conv2d(x, kernel, padding=1)
    else:
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
        padding = (1, 1, 1, 1)
    # 3. Epilogue.
    return modulation_epilogue_reference(
        x, scale, b, noise, f=f, padding=padding, filter_gain=4.0, act=act, alpha=alpha, gain=gain, clamp=clamp
    )
