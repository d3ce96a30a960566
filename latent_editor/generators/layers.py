"""Layers shared by StyleGAN2 and StyleGAN3: linear layers with equalized learning rate, and the mapping network.

Written from the papers. Parameter names follow the public checkpoints, so that their tensors load by name.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from latent_editor.core.errors import BadModel
from latent_editor.ops import bias_act, modulation_styles, setup_filter

T = TypeVar("T")


class WeightCache:
    """Caches values computed from the tensors of a layer until one of them is modified or replaced.

    Caches only if the tensors are frozen or gradients are disabled; training gets differentiable values. Copies of a
    layer start with an empty cache.
    """

    def __init__(self) -> None:
        self._cache: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}

    def get(self, key: Hashable, tensors: Sequence[Tensor], build: Callable[[], T]) -> T:
        """The value of ``build()``, which may depend only on ``tensors`` and ``key``."""
        live = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if live or torch.compiler.is_compiling() or any(t.is_inference() for t in tensors):
            return build()
        versions = [(t.data_ptr(), t._version) for t in tensors]
        found = self._cache.get(key)
        if found is not None:
            (references, known), value = found
            if known == versions and all(r() is t for r, t in zip(references, tensors, strict=True)):
                cached: T = value
                return cached
        with torch.inference_mode(False), torch.no_grad():  # a normal tensor, usable in later autograd
            built = build()
        self._cache[key] = ([weakref.ref(t) for t in tensors], versions), built
        return built

    def clear(self) -> None:
        self._cache.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> WeightCache:
        return WeightCache()

    def __reduce__(self) -> tuple[type[WeightCache], tuple[()]]:
        return WeightCache, ()


class CachedModule(nn.Module):
    """A layer with a :class:`WeightCache`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_cache = WeightCache()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self.weight_cache.clear()  # .to() may change tensors without a new version
        return super()._apply(fn, recurse)


class PivotGain(nn.Module):
    """A synthesis network that amplifies the distance of its ws from a pivot.

    Attributes:
        pivot: float32 [num_ws, w_dim]; None except in refined generators.
        gain: Factor on the distance from the pivot.
    """

    pivot: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pivot", None, persistent=False)
        self.gain = 1.0

    def apply_gain(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] → pivot + gain · (ws − pivot)."""
        return ws if self.pivot is None else self.pivot.lerp(ws, self.gain)


class _LinearMap(torch.autograd.Function):
    """A linear map with a custom transpose as its gradient; differentiable to any order."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, forward: Callable[[Tensor], Tensor], transpose: Callable[[Tensor], Tensor]
    ) -> Tensor:
        ctx.maps = forward, transpose
        return forward(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        forward, transpose = ctx.maps
        return _LinearMap.apply(gradient, transpose, forward), None, None


def linear_map(x: Tensor, forward: Callable[[Tensor], Tensor], transpose: Callable[[Tensor], Tensor]) -> Tensor:
    """``forward(x)``, with its transpose as the gradient."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return forward(x)
    y: Tensor = _LinearMap.apply(x, forward, transpose)
    return y


#: Up to this batch size, each sample is bit-identical regardless of the rest of the batch.
MAX_INVARIANT_BATCH = 16


def batch_invariant_matmul(x: Tensor, matrix: Tensor) -> Tensor:
    """x [N, I] @ matrix [I, O], bit-identical for each sample regardless of the batch: [N, O].

    The summation order of a plain matrix product depends on N. In bfloat16 this grows to a few gray levels in some
    pixels, and a face would change when it is batched with that of another user.
    """
    if torch.is_grad_enabled() or len(x) > MAX_INVARIANT_BATCH:
        return x @ matrix
    return torch.bmm(x[:, None], matrix.expand(len(x), -1, -1))[:, 0]


class FullyConnected(nn.Module):
    """A linear layer with equalized learning rate (Karras et al. 2018, §4.1) and an activation."""

    def __init__(
        self, inputs: int, outputs: int, *, act: str = "linear", lr_multiplier: float = 1.0, bias_init: float = 0.0
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full([outputs], bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(inputs)
        self.bias_gain = lr_multiplier
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        """float32 [N, inputs] → [N, outputs]"""
        if torch.is_grad_enabled() or len(x) > MAX_INVARIANT_BATCH:
            x = torch.addmm(self.bias, x, self.weight.t(), beta=self.bias_gain, alpha=self.weight_gain)
        else:
            x = batch_invariant_matmul(x, self.weight.t()) * self.weight_gain + self.bias * self.bias_gain
        return x if self.act == "linear" else bias_act(x, act=self.act)

    def styles(
        self, w: Tensor, energies: Tensor | None = None, *, factor: float = 1.0, gain: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """w [N, inputs] → styles (times ``factor``) and demodulation factors, see :func:`modulation_styles`."""
        return modulation_styles(
            w, self.weight, self.bias, energies, weight_gain=self.weight_gain * factor,
            bias_gain=self.bias_gain * factor, gain=gain,
        )  # fmt: skip


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scales each row of x [N, C] to a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class MappingNetwork(nn.Module):
    """The mapping network f: Z → W (Karras et al. 2019, §2), conditional as in Karras et al. 2020b, appendix.

    Args:
        z_dim, c_dim, w_dim: Lengths of z, of the class vector (0: unconditional), and of w.
        layers: Number of linear layers; 0 leaves only the normalization.
        act: Activation of all layers; ``last_act`` overrides that of the last one.
        lr_multiplier: Learning rate multiplier of the layers; the class embedding has 1.
        embed_features: Length of the class embedding; None for ``w_dim``.
        layer_features: Width of the hidden layers; None for ``w_dim``.
        joint_norm: Normalize z and the class embedding together (StyleGAN2 before ADA) instead of separately.
    """

    w_avg: Tensor

    def __init__(
        self,
        z_dim: int,
        c_dim: int,
        w_dim: int,
        *,
        layers: int,
        act: str = "lrelu",
        last_act: str | None = None,
        lr_multiplier: float = 0.01,
        embed_features: int | None = None,
        layer_features: int | None = None,
        joint_norm: bool = False,
    ) -> None:
        super().__init__()
        self.c_dim, self.layers, self.joint_norm = c_dim, layers, joint_norm
        width = z_dim
        if c_dim:
            self.embed = FullyConnected(c_dim, embed_features or w_dim)
            width += embed_features or w_dim
        for i in range(layers):
            last = i == layers - 1
            outputs = w_dim if last else layer_features or w_dim
            layer_act = (last_act or act) if last else act
            setattr(self, f"fc{i}", FullyConnected(width, outputs, act=layer_act, lr_multiplier=lr_multiplier))
            width = outputs
        if width != w_dim:
            raise BadModel(
                f"Got a mapping network without layers, {width} inputs and {w_dim} outputs; expected z_dim = w_dim, "
                f"got {z_dim} and {w_dim}. Is the file damaged?"
            )
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """z [N, z_dim], c [N, c_dim] (None if unconditional) → float32 w [N, w_dim]"""
        x = normalize_2nd_moment(z.float())
        if self.c_dim:
            if c is None:
                raise ValueError(f"This generator is conditional: pass c of shape [N, {self.c_dim}].")
            if self.joint_norm:
                x = normalize_2nd_moment(torch.cat([z.float(), self.embed(c.float())], dim=1))
            else:
                x = torch.cat([x, normalize_2nd_moment(self.embed(c.float()))], dim=1)
        for i in range(self.layers):
            x = getattr(self, f"fc{i}")(x)
        return x

    def truncate(self, w: Tensor, num_ws: int, psi: float, cutoff: int | None) -> Tensor:
        """Broadcasts w [N, w_dim] to all layers and truncates the first ``cutoff`` (None: all) towards the mean.

        Returns:
            [N, num_ws, w_dim] (Karras et al. 2019, appendix B).
        """
        ws = w.unsqueeze(1).repeat(1, num_ws, 1)
        if psi != 1:
            ws[:, :cutoff] = self.w_avg.lerp(ws[:, :cutoff], psi)
        return ws


#: Separable filters of at least this many taps are applied in two 1D passes, which is then cheaper.
SEPARABLE_FROM = 8


def resampling_filter(taps: Sequence[float] | Sequence[Sequence[float]] | None) -> Tensor:
    """Builds a resampling filter, in real memory even under ``torch.device("meta")``.

    Args:
        taps: 1D or 2D taps; None or empty is the identity.

    Returns:
        float32 [fh, fw], or [taps] from ``SEPARABLE_FROM`` taps on; with sum 1.
    """
    with torch.device("cpu"):
        row = torch.as_tensor(taps if taps is not None and len(taps) else (1.0,), dtype=torch.float32)
        if row.ndim == 1 and len(row) >= SEPARABLE_FROM:
            return row / row.sum()
        f = setup_filter(row.tolist())
    assert f is not None
    return f
