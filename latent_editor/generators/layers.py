"""What the generators of StyleGAN2 and StyleGAN3 share: equalised linear layers and the mapping network.

Written from the papers. Parameter names follow the public checkpoints, so that their tensors load by name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from latent_editor.errors import BadModel
from latent_editor.ops import bias_act, setup_filter


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
        x = x @ (self.weight * self.weight_gain).t()
        return bias_act(x, self.bias * self.bias_gain, act=self.act)


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
