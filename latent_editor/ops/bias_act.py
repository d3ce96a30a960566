"""Bias, activation, gain and clamp in one operation. Reference implementation on plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Activation:
    """An activation function, with the slope and the gain that keep a unit variance (He et al. 2015)."""

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
        alpha: Slope; None takes the activation's own. Only "lrelu" looks at it.
        gain: Factor; None takes the activation's own.
        clamp: Limit of the absolute value; None does not clamp.

    Returns:
        A tensor of the shape and dtype of ``x``.

    Raises:
        ValueError: an unknown activation.
    """
    if act not in ACTIVATIONS:
        raise ValueError(f"Got the activation {act!r}; expected one of {', '.join(ACTIVATIONS)}.")
    activation = ACTIVATIONS[act]
    alpha = activation.alpha if alpha is None else alpha
    gain = activation.gain if gain is None else gain

    # 1. Bias.
    if b is not None:
        x = x + b.to(x.dtype).reshape([-1 if i == dim else 1 for i in range(x.ndim)])
    # 2. Activation.
    x = activation.function(x, alpha)
    # 3. Gain.
    if gain != 1:
        x = x * gain
    # 4. Clamp.
    if clamp is not None:
        x = x.clamp(-clamp, clamp)
    return x
