"""The ToRGB layer and its skip connection in one pass (Karras et al. 2020, fig. 7b)."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.ops import kernels
from latent_editor.ops.modulated_conv import COLUMNS, unpack_weight
from latent_editor.ops.upfirdn2d import size_of, upfirdn2d_reference


def has_kernel(x: Tensor, channels: int) -> bool:
    """Whether there is a kernel of :func:`to_rgb` for x [N, I, H, W] and an image with ``channels`` channels."""
    if x.dtype != torch.bfloat16 or x.shape[1] == 1 or channels > COLUMNS:
        return False
    return kernels.use_kernel("to_rgb", x) and kernels.registered("to_rgb", x.device.type)


def to_rgb(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    b: Tensor,
    image: Tensor | None = None,
    *,
    f: Tensor | None = None,
    clamp: float | None = None,
) -> Tensor:
    """Converts activations to RGB, and adds the upsampled image so far.

    1. Multiply each sample's channels by ``styles``, and convolve with 1 × 1 weights.
    2. Add ``b``, clamp to −``clamp`` … ``clamp``.
    3. Add ``image``, upsampled like :func:`latent_editor.ops.upsample2d`.

    Args:
        x: [N, I, H, W], bfloat16.
        weight: From :func:`latent_editor.ops.modulated_conv.pack_weight`, of [C, I, 1, 1] with C up to 16.
        styles: float32 [N, I].
        b: float32 [C].
        image: float32 [N, C, H / 2, W / 2], None for none.
        f: The upsampling filter, as in :func:`latent_editor.ops.upfirdn2d`.
        clamp: Limit of the absolute value before the sum; None for no clamp.

    Returns:
        float32 [N, C, H, W].
    """
    x = x.contiguous(memory_format=torch.channels_last)
    y: Tensor = torch.ops.latent_editor.to_rgb(x, weight, styles, b, image, f, clamp)
    return y


def to_rgb_reference(
    x: Tensor,
    weight: Tensor,
    styles: Tensor,
    b: Tensor,
    image: Tensor | None,
    f: Tensor | None,
    clamp: float | None,
) -> Tensor:
    """:func:`to_rgb` on plain PyTorch, in any floating dtype, differentiable to any order."""
    # 1. Modulate and convolve: a matrix product per sample.
    kernel = unpack_weight(weight, len(b), x.shape[1])[:, :, 0, 0].to(x.dtype)
    y = ((x * styles.to(x.dtype)[:, :, None, None]).permute(0, 2, 3, 1) @ kernel.t()).permute(0, 3, 1, 2).float()
    # 2. Bias and clamp.
    y = y + b[:, None, None]
    if clamp is not None:
        y = y.clamp(-clamp, clamp)
    # 3. Sum.
    if image is None:
        return y
    assert f is not None
    fh, fw = size_of(f)
    padding = (fw + 1) // 2, (fw - 2) // 2, (fh + 1) // 2, (fh - 2) // 2
    return y + upfirdn2d_reference(image, f, (2, 2), (1, 1), padding, gain=4.0)
