"""Styles and demodulation factors of a layer, in one pass over its weights (Karras et al. 2020, eq. 1 and 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from latent_editor.ops import kernels


def has_kernel(w: Tensor) -> bool:
    """Whether there is a kernel of :func:`modulation_styles` for w [N, w_dim]."""
    return w.dtype == torch.float32 and kernels.use_kernel("modulation_styles", w)


def modulation_styles(
    w: Tensor, weight: Tensor, b: Tensor, energies: Tensor | None = None, *, weight_gain: float = 1.0,
    bias_gain: float = 1.0, gain: float = 1.0,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Computes the styles and the demodulation factors of a layer.

    1. styles = w · weightᵀ · ``weight_gain`` + b · ``bias_gain``: the affine map A.
    2. scale = ``gain`` / √(styles² · energiesᵀ + 1e-8): normalizes the variance of the output (eq. 3).

    Each sample is bit-identical regardless of the batch.

    Args:
        w: float32 [N, w_dim].
        weight: float32 [I, w_dim].
        b: float32 [I].
        energies: float32 [O, I]: sums of squares of the convolution weights; None for a layer without demodulation.
        weight_gain, bias_gain: Factors of the equalized learning rate.
        gain: Factor on ``scale``.

    Returns:
        styles float32 [N, I], and scale float32 [N, O], or [N, 0] without ``energies``.
    """
    styles, scale = torch.ops.latent_editor.modulation_styles(w, weight, b, energies, weight_gain, bias_gain, gain)
    return styles, scale


def modulation_styles_reference(
    w: Tensor, weight: Tensor, b: Tensor, energies: Tensor | None, weight_gain: float, bias_gain: float, gain: float
) -> tuple[Tensor, Tensor]:
    """:func:`modulation_styles` on plain PyTorch, differentiable to any order."""
    styles = w @ weight.t() * weight_gain + b * bias_gain
    if energies is None:
        return styles, w.new_empty(len(w), 0)
    return styles, (styles.square() @ energies.t() + 1e-8).rsqrt() * gain
