"""StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"), skip architecture.

Written from the paper. Parameter names follow the public checkpoints, so that their tensors load by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.errors import BadModel
from latent_editor.generators.base import NOISE_MODES, Generator
from latent_editor.ops import bias_act, setup_filter, upfirdn2d, upsample2d
from latent_editor.ops.bias_act import ACTIVATIONS


@dataclass(frozen=True)
class StyleGAN2Config:
    """The shape of a StyleGAN2 generator; field names as in the public checkpoints.

    ``channels_at(res)`` is ``min(channel_base / res, channel_max)``. With ``mapping_layers`` 0 the mapping is only the
    normalisation of z, so w is spread evenly over a sphere. ``mapping_last_act`` is "lrelu" in public checkpoints;
    "linear" lets w take any sign, which this project's own training prefers.
    """

    z_dim: int = 512
    c_dim: int = 0
    w_dim: int = 512
    img_resolution: int = 128
    img_channels: int = 3
    channel_base: int = 32768
    channel_max: int = 512
    mapping_layers: int = 8
    mapping_lr_multiplier: float = 0.01
    conv_clamp: float | None = None
    resample_filter: tuple[float, ...] = (1, 3, 3, 1)
    architecture: str = "skip"
    mapping_last_act: str = "lrelu"

    def __post_init__(self) -> None:
        size = self.img_resolution
        if size < 8 or size & (size - 1):
            raise BadModel(f"Got a StyleGAN2 of {size} pixels; expected a power of two from 8. Is the file damaged?")
        if self.architecture != "skip":
            raise BadModel(
                f"Got a StyleGAN2 of architecture {self.architecture!r}; only 'skip' is read so far. "
                "Use a checkpoint trained with the default architecture."
            )

    @staticmethod
    def from_init_kwargs(kwargs: Mapping[str, Any]) -> StyleGAN2Config:
        """From the constructor arguments of a public checkpoint, flat or nested in ``synthesis_kwargs``."""
        flat = {k: v for k, v in kwargs.items() if k not in ("mapping_kwargs", "synthesis_kwargs")}
        flat.update(kwargs.get("synthesis_kwargs") or {})
        mapping = kwargs.get("mapping_kwargs") or {}
        known = {k: flat[k] for k in StyleGAN2Config.__dataclass_fields__ if k in flat}
        if known.get("resample_filter") is not None:
            known["resample_filter"] = tuple(known["resample_filter"])
        if "num_layers" in mapping:
            known["mapping_layers"] = mapping["num_layers"]
        if "lr_multiplier" in mapping:
            known["mapping_lr_multiplier"] = mapping["lr_multiplier"]
        if "last_act" in mapping:
            known["mapping_last_act"] = mapping["last_act"]
        return StyleGAN2Config(**known)

    def to_init_kwargs(self) -> dict[str, Any]:
        """The inverse of :meth:`from_init_kwargs`."""
        kwargs = {k: getattr(self, k) for k in self.__dataclass_fields__ if not k.startswith("mapping_")}
        mapping: dict[str, Any] = {"num_layers": self.mapping_layers, "lr_multiplier": self.mapping_lr_multiplier}
        if self.mapping_last_act != "lrelu":
            mapping["last_act"] = self.mapping_last_act
        return {**kwargs, "resample_filter": list(self.resample_filter), "mapping_kwargs": mapping}

    @property
    def resolutions(self) -> list[int]:
        return [2**i for i in range(2, int(math.log2(self.img_resolution)) + 1)]

    @property
    def num_ws(self) -> int:
        return 2 * len(self.resolutions)

    def channels_at(self, resolution: int) -> int:
        return min(self.channel_base // resolution, self.channel_max)


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
        x = x @ (self.weight * self.weight_gain).t()
        return bias_act(x, self.bias * self.bias_gain, act=self.act)


def normalize_2nd_moment(x: Tensor) -> Tensor:
    """Scales each row to a mean square of 1."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


class Mapping2(nn.Module):
    """The mapping network f: Z → W."""

    w_avg: Tensor

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        lr = config.mapping_lr_multiplier
        if config.c_dim:
            self.embed = FullyConnected(config.c_dim, config.w_dim)
        width = config.z_dim + (config.w_dim if config.c_dim else 0)
        for i in range(config.mapping_layers):
            act = config.mapping_last_act if i == config.mapping_layers - 1 else "lrelu"
            setattr(self, f"fc{i}", FullyConnected(width, config.w_dim, act=act, lr_multiplier=lr))
            width = config.w_dim
        if width != config.w_dim:
            raise BadModel(f"A mapping without layers needs z_dim = w_dim; got {config.z_dim} and {config.w_dim}.")
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    def forward(self, z: Tensor, c: Tensor | None) -> Tensor:
        x = normalize_2nd_moment(z.float())
        if self.config.c_dim:
            if c is None:
                raise ValueError(f"This generator is conditional: pass c of shape [N, {self.config.c_dim}].")
            x = torch.cat([x, normalize_2nd_moment(self.embed(c.float()))], dim=1)
        for i in range(self.config.mapping_layers):
            x = getattr(self, f"fc{i}")(x)
        return x


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style (eq. 1), and whose outputs are scaled back (eq. 3).

    The scales are applied to the activations before and after one shared convolution: equal to scaling the weights of
    each sample, and without a grouped convolution, which is several times slower on CPUs. Grouped convolution was
    refused for that reason.
    """

    noise_const: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        resolution: int,
        config: StyleGAN2Config,
        *,
        kernel: int = 3,
        up: int = 1,
        demodulate: bool = True,
    ) -> None:
        super().__init__()
        self.up, self.demodulate, self.clamp = up, demodulate, config.conv_clamp
        self.affine = FullyConnected(config.w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if demodulate:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, f: Tensor, noise: str) -> Tensor:
        """x [N, I, H, W], w [N, w_dim] → [N, O, H·up, W·up]"""
        styles = self.affine(w)  # [N, I]
        kernel = self.weight
        if not self.demodulate:
            styles = styles / math.sqrt(kernel[0].numel())
        x = x * styles.to(x.dtype)[:, :, None, None]
        weight = kernel.to(x.dtype)
        if self.up == 1:
            x = F.conv2d(x, weight, padding=kernel.shape[-1] // 2)
        else:
            x = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [N, O, 2H+1, 2W+1]
            x = upfirdn2d(x, f, padding=1, gain=4)
        if not self.demodulate:
            return bias_act(x, self.bias, clamp=self.clamp)
        # Demodulate, add noise and bias, activate. The activation's gain √2 commutes with the leaky ReLU, so that it
        # is folded into what is multiplied and added before: three passes over memory instead of five.
        gain = ACTIVATIONS["lrelu"].gain
        energy = styles.square() @ kernel.square().sum(dim=[2, 3]).t()  # [N, O]
        scale = (energy + 1e-8).rsqrt() * gain
        x = torch.addcmul((self.bias * gain).to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, :, None, None])
        if noise != "none":
            image = self.noise_const if noise == "const" else torch.randn_like(x[:, :1])
            x = x + (image * (self.noise_strength * gain)).to(x.dtype)
        x = F.leaky_relu(x, ACTIVATIONS["lrelu"].alpha)
        return x if self.clamp is None else x.clamp(-self.clamp * gain, self.clamp * gain)


class Block(nn.Module):
    """All layers of one resolution."""

    resample_filter: Tensor

    def __init__(self, resolution: int, config: StyleGAN2Config) -> None:
        super().__init__()
        outputs = config.channels_at(resolution)
        inputs = config.channels_at(resolution // 2)
        self.first = resolution == 4
        self.register_buffer("resample_filter", setup_filter(config.resample_filter), persistent=False)
        if self.first:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = ModulatedConv(inputs, outputs, resolution, config, up=2)
        self.conv1 = ModulatedConv(outputs, outputs, resolution, config)
        self.torgb = ModulatedConv(outputs, config.img_channels, resolution, config, kernel=1, demodulate=False)

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: str, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        f = self.resample_filter
        if x is None or image is None:
            const = self.const.to(dtype).contiguous(memory_format=torch.contiguous_format)
            x = const.expand(len(ws), *const.shape).contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, ws[:, 0], f, noise)
            return x, self.torgb(x, ws[:, 1], f, noise).float()
        x = self.conv0(x, ws[:, 0], f, noise)
        x = self.conv1(x, ws[:, 1], f, noise)
        return x, upsample2d(image, f) + self.torgb(x, ws[:, 2], f, noise).float()


class Synthesis(nn.Module):
    """The synthesis network g: W+ → picture, summed over the resolutions (fig. 7b)."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            setattr(self, f"b{resolution}", Block(resolution, config))

    def affines(self) -> Iterator[tuple[int, FullyConnected]]:
        """Every layer that turns a w into styles, with the index of the w that it reads."""
        first = 0
        for resolution in self.config.resolutions:
            block = getattr(self, f"b{resolution}")
            layers = [block.conv1, block.torgb] if block.first else [block.conv0, block.conv1, block.torgb]
            yield from ((first + i, layer.affine) for i, layer in enumerate(layers))
            first += len(layers) - 1

    def forward(self, ws: Tensor, noise: str, dtype: torch.dtype, until: int | None = None) -> tuple[Tensor, Tensor]:
        """ws [N, num_ws, w_dim] → activations and picture of the resolution ``until``, by default the last."""
        x = image = None
        first = 0
        for resolution in self.config.resolutions:
            # A block's torgb shares its w with the next block's first convolution.
            x, image = getattr(self, f"b{resolution}")(x, image, ws[:, first:], noise, dtype)
            first += 1 if resolution == 4 else 2
            if resolution == until:
                break
        assert x is not None
        assert image is not None
        return x, image


class StyleGAN2(Generator):
    """A StyleGAN2 generator of any power-of-two size."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        self.size_px, self.channels = config.img_resolution, config.img_channels
        self.num_ws, self.w_dim, self.z_dim, self.c_dim = config.num_ws, config.w_dim, config.z_dim, config.c_dim
        self.mapping = Mapping2(config)
        self.synthesis = Synthesis(config)

    @property
    def w_avg(self) -> Tensor:
        return self.mapping.w_avg

    def map(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        ws = self.mapping(z, c).unsqueeze(1).repeat(1, self.num_ws, 1)  # [N, num_ws, w_dim]
        if truncation_psi != 1:
            ws[:, :truncation_cutoff] = self.w_avg.lerp(ws[:, :truncation_cutoff], truncation_psi)
        return ws

    def synthesize(
        self,
        ws: Tensor,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        self._check(ws, noise)
        if transform is not None:
            raise ValueError("This generator has no transform of its input: leave `transform` out.")
        _, image = self.synthesis(ws.float(), noise, dtype or torch.float32)
        return image.contiguous()

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        self._check(ws, "none")
        if size_px not in self.config.resolutions:
            raise ValueError(f"Got the resolution {size_px}; expected one of {self.config.resolutions}.")
        x, _ = self.synthesis(ws.float(), "none", dtype or torch.float32, until=size_px)
        return x.float().contiguous()

    def _check(self, ws: Tensor, noise: str) -> None:
        if noise not in NOISE_MODES:
            raise ValueError(f"Got noise {noise!r}; expected one of {', '.join(NOISE_MODES)}.")
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"Got ws of shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}].")
