"""What the generators of StyleGAN2 and StyleGAN3 share: equalised linear layers and the mapping network.

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


class Prepared:
    """What is computed from the tensors of a layer once, and again where one of them was changed or replaced.

    It is remembered only of frozen tensors, or where no gradient is recorded: training gets what it differentiates.
    Copies of a layer begin with nothing.
    """

    def __init__(self) -> None:
        self._kept: dict[Hashable, tuple[tuple[Any, ...], Any]] = {}

    def get(self, key: Hashable, tensors: Sequence[Tensor], build: Callable[[], T]) -> T:
        """What ``build`` makes of ``tensors`` and of nothing else but ``key``."""
        live = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
        if live or torch.compiler.is_compiling() or any(t.is_inference() for t in tensors):
            return build()
        versions = [(t.data_ptr(), t._version) for t in tensors]
        found = self._kept.get(key)
        if found is not None:
            (references, known), value = found
            if known == versions and all(r() is t for r, t in zip(references, tensors, strict=True)):
                made: T = value
                return made
        with torch.inference_mode(False), torch.no_grad():  # so that gradients of something else may be taken with it
            built = build()
        self._kept[key] = ([weakref.ref(t) for t in tensors], versions), built
        return built

    def clear(self) -> None:
        self._kept.clear()

    def __deepcopy__(self, memo: dict[int, Any]) -> Prepared:
        return Prepared()

    def __reduce__(self) -> tuple[type[Prepared], tuple[()]]:
        return Prepared, ()


class PreparedModule(nn.Module):
    """A layer that computes something from its tensors once."""

    def __init__(self) -> None:
        super().__init__()
        self.prepared = Prepared()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        self.prepared.clear()  # a move to another device or precision changes what it can without counting a version
        return super()._apply(fn, recurse)


class Stretched(nn.Module):
    """A synthesis network that draws what is around one latent, the pivot, as if it were further from it.

    Attributes:
        pivot: float32 [num_ws, w_dim]; None in all but refined generators.
        gain: How many times as far.
    """

    pivot: Tensor | None

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("pivot", None, persistent=False)
        self.gain = 1.0

    def stretched(self, ws: Tensor) -> Tensor:
        """ws [N, num_ws, w_dim] as they are to be drawn; the pivot stays where it is."""
        return ws if self.pivot is None else self.pivot.lerp(ws, self.gain)


class _LinearMap(torch.autograd.Function):
    """A linear map whose gradient is a given other one; differentiable to any order."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.maps = there, back
        return there(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[override]
        there, back = ctx.maps
        return _LinearMap.apply(gradient, back, there), None, None


def linear_map(x: Tensor, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> Tensor:
    """``there(x)``, with ``back``, the transpose of ``there``, as its gradient."""
    if not (torch.is_grad_enabled() and x.requires_grad):
        return there(x)
    y: Tensor = _LinearMap.apply(x, there, back)
    return y


#: Up to so many samples are drawn to the same bits, whatever is drawn with them.
MAX_ALIKE = 16


def product(x: Tensor, matrix: Tensor) -> Tensor:
    """x [N, I] times matrix [I, O], rounded for each sample as if it were alone: [N, O].

    A product of matrices adds in an order that depends on N. In bfloat16 that grows to some grey levels in a few
    pixels, and the same face would look different when another visitor's is drawn with it.
    """
    if torch.is_grad_enabled() or len(x) > MAX_ALIKE:
        return x @ matrix
    return torch.bmm(x[:, None], matrix.expand(len(x), -1, -1))[:, 0]


class FullyConnected(nn.Module):
    """A linear layer with equalised learning rate (Karras et al. 2018, §4.1), then an activation."""

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
        if torch.is_grad_enabled() or len(x) > MAX_ALIKE:
            x = torch.addmm(self.bias, x, self.weight.t(), beta=self.bias_gain, alpha=self.weight_gain)
        else:
            x = product(x, self.weight.t()) * self.weight_gain + self.bias * self.bias_gain
        return x if self.act == "linear" else bias_act(x, act=self.act)

    def styles(
        self, w: Tensor, energies: Tensor | None = None, *, factor: float = 1.0, gain: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """w [N, inputs] → the layer times ``factor``, and what demodulates it: :func:`modulation_styles`."""
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
        z_dim, c_dim, w_dim: Lengths of the input, of the class weights (0: no classes), and of the result.
        layers: How many linear layers; 0 leaves only the normalisation.
        act: Activation of all layers; ``last_act`` that of the last one, None for the same.
        lr_multiplier: Of the layers; the embedding of the class has 1.
        embed_features: Length of the embedded class; None for ``w_dim``.
        layer_features: Length between layers; None for ``w_dim``.
        joint_norm: True normalises z and the embedded class as one, as StyleGAN2 did before its adaptive augmentation;
            False each by itself.
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
                f"Got a mapping without layers that takes {width} values to {w_dim}: such a mapping needs z_dim = w_dim"
                f"; got {z_dim} and {w_dim}. Is the file damaged?"
            )
        self.register_buffer("w_avg", torch.zeros(w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        """z [N, z_dim], c [N, c_dim] or None where there are no classes → float32 w [N, w_dim]"""
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

    def truncated(self, w: Tensor, num_ws: int, psi: float, cutoff: int | None) -> Tensor:
        """Repeats w [N, w_dim] for each layer and pulls the first ``cutoff`` (None: all) towards the mean.

        Returns:
            [N, num_ws, w_dim] (Karras et al. 2019, appendix B).
        """
        ws = w.unsqueeze(1).repeat(1, num_ws, 1)
        if psi != 1:
            ws[:, :cutoff] = self.w_avg.lerp(ws[:, :cutoff], psi)
        return ws


#: From this many taps on, a separable filter is applied to rows and to columns: two passes are then cheaper than one.
SEPARABLE_FROM = 8


def resampling_filter(taps: Sequence[float] | Sequence[Sequence[float]] | None) -> Tensor:
    """The filter of a network's layers, in memory even where the network is built without.

    Args:
        taps: One row of taps, or rows of taps; None or empty is the identity.

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
