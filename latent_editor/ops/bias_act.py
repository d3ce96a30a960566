"""Bias, activation, gain and clamp in one operation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.ops import kernels


@dataclass(frozen=True)
class Activation:
    """An activation function, with its default slope and a gain that preserves unit variance (He et al. 2015)."""

    function: Callable[[Tensor, float], Tensor]
    alpha: float = 0.0
    gain: float = 1.0


ACTIVATIONS: dict[str, Activation] = {
    "linear": Activation(lambda x, alpha: x),
    "relu": Activation(lambda x, alpha: F.relu(x), gain=math.sqrt(2)),
    "lrelu": Activation(F.leaky_relu, alpha=0.2, gain=math.sqrt(2)),
    "tanh": Activation(lambda x, alpha: torch.tanh(x)),
    "sigmoid": Activation(lambda x, alpha: torch.sigmoid(x)),
    "elu": Activation(lambda x, alpha: F.elu(x)),
    "selu": Activation(lambda x, alpha: F.selu(x)),
    "softplus": Activation(lambda x, alpha: F.softplus(x)),
    "swish": Activation(lambda x, alpha: torch.sigmoid(x) * x, gain=math.sqrt(2)),
}


#: The kernels identify activations by their index in ACTIVATIONS (csrc/activation.h).
CODES = {name: code for code, name in enumerate(ACTIVATIONS)}
#: Piecewise linear activations, whose derivative follows from the sign of the output.
PIECEWISE = ("linear", "relu", "lrelu")


def resolve_defaults(act: str, alpha: float | None, gain: float | None) -> tuple[float, float]:
    """Slope and gain, with the activation's defaults for None.

    Raises:
        ValueError: an unknown activation.
    """
    if act not in ACTIVATIONS:
        raise ValueError(f"Got the activation {act!r}; expected one of {', '.join(ACTIVATIONS)}.")
    default = ACTIVATIONS[act]
    return default.alpha if alpha is None else alpha, default.gain if gain is None else gain


def has_fused_gradient(act: str, alpha: float, gain: float) -> bool:
    """Whether the gradient can be computed from the output alone."""
    return act in PIECEWISE and gain > 0 and (act != "lrelu" or alpha >= 0)


def bias_act(
    x: Tensor, b: Tensor | None = None, *, dim: int = 1, act: str = "linear",
    alpha: float | None = None, gain: float | None = None, clamp: float | None = None,
) -> Tensor:  # fmt: skip
    """Adds a bias, applies an activation, scales and clamps.

    1. Add ``b`` along axis ``dim``.
    2. Apply the activation ``act`` with slope ``alpha``.
    3. Multiply by ``gain``.
    4. Clamp to −``clamp`` … ``clamp``.

    Args:
        x: Any shape, any floating dtype.
        b: [x.shape[dim]] or None.
        dim: The axis of ``b``.
        act: A key of ``ACTIVATIONS``.
        alpha: Slope, for "lrelu" only; None for the activation's default.
        gain: Factor; None for the activation's default.
        clamp: Limit of the absolute value; None for no clamp.

    Returns:
        A tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: an unknown activation.
    """
    alpha, gain = resolve_defaults(act, alpha, gain)
    fused = x.ndim > 1 and kernels.use_kernel("bias_act", x)
    if fused and kernels.needs_gradient(x, b):
        fused = x.ndim == 4 and dim == 1 and has_fused_gradient(act, alpha, gain)
    if fused:
        y: Tensor = torch.ops.latent_editor.bias_act(x, b, dim, CODES[act], alpha, gain, clamp)
        return y
    return bias_act_reference(x, b, dim=dim, act=act, alpha=alpha, gain=gain, clamp=clamp)


def bias_act_reference(
    x: Tensor, b: Tensor | None = None, *, dim: int, act: str, alpha: float, gain: float, clamp: float | None
) -> Tensor:
    """:func:`bias_act` on plain PyTorch, differentiable to any order."""
    # 1. Bias.
    if b is not None:
        x = x + b.to(x.dtype).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    # 2. Activation.
    x = ACTIVATIONS[act].function(x, alpha)
    # 3. Gain.
    if gain != 1:
        x = x * gain
    # 4. Clamp.
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    return x
