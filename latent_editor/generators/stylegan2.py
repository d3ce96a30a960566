"""StyleGAN2 (Karras et al. 2020, "Analyzing and Improving the Image Quality of StyleGAN"): skip, resnet and orig.

Written from the paper. Parameter names follow the public checkpoints, so that their tensors load by name.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.errors import BadModel
from latent_editor.generators.arguments import choice, mapping, real, refuse_unknown, truth, whole
from latent_editor.generators.base import NOISE_MODES, Generator
from latent_editor.generators.layers import FullyConnected, MappingNetwork, resampling_filter
from latent_editor.ops import bias_act, upfirdn2d, upsample2d
from latent_editor.ops.bias_act import ACTIVATIONS

ARCHITECTURES = ("skip", "resnet", "orig")
#: Activations for which f(s·x) = s·f(x) with s > 0, with their slopes for x < 0: a gain can be applied before them.
HOMOGENEOUS = {"lrelu": ACTIVATIONS["lrelu"].alpha, "relu": 0.0, "linear": 1.0}
#: What no public network exceeds; a file that does is not believed.
MOST_CLASSES, MOST_FEATURES, MOST_CHANNELS, MOST_LAYERS, LARGEST_PX, MOST_TAPS = 65536, 16384, 16384, 64, 2048, 64
#: Arguments of public constructors that concern precision, memory or training, not the pictures.
HARMLESS = (
    "channels_last", "fp16_channels_last", "fused_modconv_default", "num_fp16_res", "num_ws", "use_fp16",
)  # fmt: skip
#: Fields of the configuration by their names in ``mapping_kwargs``.
MAPPING_ARGUMENTS = {
    "num_layers": "mapping_layers",
    "lr_multiplier": "mapping_lr_multiplier",
    "activation": "mapping_activation",
    "last_act": "mapping_last_act",
    "embed_features": "mapping_embed_features",
    "layer_features": "mapping_layer_features",
    "joint_norm": "mapping_joint_norm",
}
#: stylegan3's StyleGAN2 takes its options flat and clamps by default; stylegan2-ada-pytorch nests them and does not.
FLAT_CONV_CLAMP = 256

Taps = tuple[float, ...] | tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class StyleGAN2Config:
    """The shape of a StyleGAN2 generator; field names as in the public checkpoints.

    ``channels_at(res)`` is ``min(channel_base // res, channel_max)``, or what ``channels`` says where that is given,
    one number for each resolution from 4 (networks of other programs). With ``mapping_layers`` 0 the mapping is only
    the normalisation of z, so w is spread evenly over a sphere. ``mapping_last_act`` is None in public checkpoints:
    that of the other layers; "linear" lets w take any sign, which this project's own training prefers.

    Raises:
        BadModel: a number or a name outside of what a StyleGAN2 can have.
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
    resample_filter: Taps = (1, 3, 3, 1)
    architecture: str = "skip"
    mapping_last_act: str | None = None
    mapping_activation: str = "lrelu"
    mapping_embed_features: int | None = None
    mapping_layer_features: int | None = None
    use_noise: bool = True
    activation: str = "lrelu"
    kernel_size: int = 3
    channels: tuple[int, ...] | None = None
    mapping_joint_norm: bool = False

    def __post_init__(self) -> None:
        size = whole("img_resolution", self.img_resolution, 0, 1 << 30)
        if not 4 <= size <= LARGEST_PX or size & (size - 1):
            raise BadModel(
                f"Got a StyleGAN2 of {size} pixels; expected a power of two from 4 to {LARGEST_PX}. "
                "Is the file damaged?"
            )
        checked: dict[str, Any] = {
            "img_resolution": size,
            "c_dim": whole("c_dim", self.c_dim, 0, MOST_CLASSES),
            "w_dim": whole("w_dim", self.w_dim, 1, MOST_FEATURES),
            "img_channels": whole("img_channels", self.img_channels, 1, 512),
            "channel_base": whole("channel_base", self.channel_base, size, MOST_CHANNELS * LARGEST_PX),
            "channel_max": whole("channel_max", self.channel_max, 1, 1 << 31),
            "mapping_layers": whole("mapping_kwargs.num_layers", self.mapping_layers, 0, MOST_LAYERS),
            "mapping_lr_multiplier": real("mapping_kwargs.lr_multiplier", self.mapping_lr_multiplier, 1e-8, 1e4),
            "resample_filter": _taps(self.resample_filter),
            "architecture": choice("architecture", self.architecture, ARCHITECTURES),
            "mapping_activation": choice("mapping_kwargs.activation", self.mapping_activation, ACTIVATIONS),
            "use_noise": truth("use_noise", self.use_noise),
            "activation": choice("activation", self.activation, ACTIVATIONS),
            "kernel_size": whole("kernel_size", self.kernel_size, 1, 15),
            "channels": _channel_table(self.channels, size),
            "mapping_joint_norm": truth("mapping_kwargs.joint_norm", self.mapping_joint_norm),
        }
        checked["z_dim"] = whole("z_dim", self.z_dim, 0 if checked["c_dim"] else 1, MOST_FEATURES)
        for name in ("mapping_embed_features", "mapping_layer_features"):
            value = getattr(self, name)
            checked[name] = None if value is None else whole(name, value, 1, MOST_FEATURES)
        if self.conv_clamp is not None:
            checked["conv_clamp"] = real("conv_clamp", self.conv_clamp, 0, 1e30)
        if self.mapping_last_act is not None:
            choice("mapping_kwargs.last_act", self.mapping_last_act, ACTIVATIONS)
        for name, value in checked.items():
            object.__setattr__(self, name, value)  # a float that is whole, or a number of NumPy, becomes a plain one
        if self.channels_at(4) > MOST_CHANNELS:
            raise BadModel(f"Got a StyleGAN2 of {self.channels_at(4)} channels; at most {MOST_CHANNELS} are read.")
        if self.kernel_size % 2 == 0:
            raise BadModel(f"Got a StyleGAN2 with kernel_size = {self.kernel_size}; expected an odd number.")

    @staticmethod
    def from_init_kwargs(kwargs: Mapping[str, Any]) -> StyleGAN2Config:
        """From the constructor arguments of a public checkpoint, flat or nested in ``synthesis_kwargs``.

        Raises:
            BadModel: an argument that no public version has, or a value that cannot be.
        """
        arguments = mapping("init_kwargs", kwargs)
        of_mapping = mapping("mapping_kwargs", arguments.pop("mapping_kwargs", None))
        nested = arguments.pop("synthesis_kwargs", None)
        flat = {**arguments, **mapping("synthesis_kwargs", nested)}
        fields = StyleGAN2Config.__dataclass_fields__
        refuse_unknown("a StyleGAN2", flat, fields, HARMLESS)
        refuse_unknown("its mapping network", of_mapping, MAPPING_ARGUMENTS, ("w_avg_beta", "num_ws"))
        known = {name: value for name, value in flat.items() if name in fields}
        known.update({MAPPING_ARGUMENTS[k]: v for k, v in of_mapping.items() if k in MAPPING_ARGUMENTS})
        if nested is None and "conv_clamp" not in known:
            known["conv_clamp"] = FLAT_CONV_CLAMP
        if "resample_filter" in known:
            known["resample_filter"] = _taps(known["resample_filter"])
        return StyleGAN2Config(**known)

    def to_init_kwargs(self) -> dict[str, Any]:
        """The inverse of :meth:`from_init_kwargs`, flat, of numbers, texts, lists and dicts."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        of_mapping = {k: values.pop(name) for k, name in MAPPING_ARGUMENTS.items()}
        values["resample_filter"] = [list(t) if isinstance(t, tuple) else t for t in self.resample_filter]
        return {**values, "mapping_kwargs": {k: v for k, v in of_mapping.items() if v is not None}}

    @property
    def resolutions(self) -> list[int]:
        return [2**i for i in range(2, self.img_resolution.bit_length())]

    @property
    def num_ws(self) -> int:
        """One w for each convolution (one at 4 pixels, two at each other size), one for the last layer to RGB.

        The same for each architecture: where other sizes have a layer to RGB, it shares the w of the next convolution.
        """
        return 2 * len(self.resolutions)

    def channels_at(self, resolution: int) -> int:
        if self.channels is not None:
            return self.channels[max(resolution.bit_length() - 3, 0)]
        return min(self.channel_base // resolution, self.channel_max)


def _channel_table(value: Any, size_px: int) -> tuple[int, ...] | None:
    """Channels by resolution, one number for each from 4 pixels; None for none.

    Raises:
        BadModel: another number of them, or one that cannot be.
    """
    if value is None:
        return None
    count = size_px.bit_length() - 2
    if not isinstance(value, (list, tuple)) or len(value) != count:
        raise BadModel(f"The model's file gives channels that are none; expected {count} numbers. Is the file damaged?")
    return tuple(whole("channels", number, 1, MOST_CHANNELS) for number in value)


def _taps(value: Any) -> Taps:
    """A filter's taps as tuples; None and empty are the identity.

    Raises:
        BadModel: not one or two axes of finite numbers, too many, or of the sum 0, which cannot be normalised.
    """
    try:
        given = np.asarray((1,) if value is None else value)
        taps = np.zeros(1) if given.dtype.kind == "c" else given.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        taps = np.zeros(1)
    if taps.ndim in (1, 2) and taps.size == 0:
        taps = np.ones(1)
    good = taps.ndim in (1, 2) and max(taps.shape) <= MOST_TAPS and np.isfinite(taps).all()
    if not good or abs(taps.sum()) <= 1e-6 * abs(taps).max():
        raise BadModel(
            "The model's file gives a resample_filter that is none; expected one row or equal rows of at most "
            f"{MOST_TAPS} numbers whose sum is not 0. Is the file damaged?"
        )
    if taps.ndim == 1:
        return tuple(taps.tolist())
    return tuple(tuple(row) for row in taps.tolist())


class Mapping2(MappingNetwork):
    """The mapping network of a configuration."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__(
            config.z_dim,
            config.c_dim,
            config.w_dim,
            layers=config.mapping_layers,
            act=config.mapping_activation,
            last_act=config.mapping_last_act,
            lr_multiplier=config.mapping_lr_multiplier,
            embed_features=config.mapping_embed_features,
            layer_features=config.mapping_layer_features,
            joint_norm=config.mapping_joint_norm,
        )


class ModulatedConv(nn.Module):
    """A convolution whose input channels are scaled by a style (eq. 1), and whose outputs are scaled back (eq. 3).

    The scales are applied to the activations before and after one shared convolution: equal to scaling the weights of
    each sample, and without a grouped convolution, which is several times slower on CPUs. Grouped convolution was
    refused for that reason.

    Args:
        up: 2 doubles the size: the filtered transposed convolution of Karras et al. 2020, appendix B.
        gain: Factor on the result, and on its clamp.
    """

    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, resolution: int, config: StyleGAN2Config, *, up: int = 1, gain: float = 1.0
    ) -> None:
        super().__init__()
        kernel = config.kernel_size
        self.up, self.act, self.use_noise = up, config.activation, config.use_noise
        self.gain = ACTIVATIONS[self.act].gain * gain
        self.clamp = None if config.conv_clamp is None else config.conv_clamp * gain
        self.affine = FullyConnected(config.w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if self.use_noise:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, f: Tensor, noise: str) -> Tensor:
        """x [N, I, H, W], w [N, w_dim] → [N, O, H·up, W·up]"""
        styles: Tensor = self.affine(w)  # [N, I]
        kernel: Tensor = self.weight  # [O, I, k, k]
        if x.dtype == torch.float16:
            # Half precision ends at 65504. The demodulation takes back whatever scale styles and weights have, so
            # that they are made small first.
            styles = styles / styles.abs().amax(dim=1, keepdim=True).clamp(min=1e-8)
            kernel = kernel / kernel.square().mean(dim=[1, 2, 3], keepdim=True).clamp(min=1e-16).sqrt()
            kernel = kernel / math.sqrt(kernel[0].numel())
        x = self._convolved(x * styles.to(x.dtype)[:, :, None, None], kernel.to(x.dtype), f)
        energy = styles.square() @ kernel.square().sum(dim=[2, 3]).t()  # [N, O]
        # The gain commutes with activations such as the leaky ReLU, so that it is folded into what is multiplied and
        # added before: three passes over memory instead of five.
        slope = HOMOGENEOUS.get(self.act)
        gain = 1.0 if slope is None else self.gain
        # Demodulate, add bias and noise, activate.
        scale = (energy + 1e-8).rsqrt() * gain
        x = torch.addcmul((self.bias * gain).to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, :, None, None])
        if noise != "none" and self.use_noise:
            image = self.noise_const if noise == "const" else torch.randn_like(x[:, :1])
            x = x + (image * (self.noise_strength * gain)).to(x.dtype)
        if slope is None:
            return bias_act(x, act=self.act, gain=self.gain, clamp=self.clamp)
        x = F.leaky_relu(x, slope)
        return x if self.clamp is None else x.clamp(-self.clamp, self.clamp)

    def _convolved(self, x: Tensor, kernel: Tensor, f: Tensor) -> Tensor:
        """Convolves x [N, I, H, W] with kernel [O, I, k, k], and enlarges it by ``up``."""
        size = kernel.shape[-1]
        if self.up == 1:
            return F.conv2d(x, kernel, padding=size // 2)
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)  # [N, O, 2H−2+k, 2W−2+k]
        # The filter sees the picture as if it came first, and as if the convolution kept the size.
        before, after = size // 2 + 1 - size, size // 2 + 2 - size
        fh, fw = f.shape[0], f.shape[-1]
        padding = [(fw + 1) // 2 + before, (fw - 2) // 2 + after, (fh + 1) // 2 + before, (fh - 2) // 2 + after]
        return upfirdn2d(x, f, padding=padding, gain=4)


class ToRGB(nn.Module):
    """A modulated convolution of one pixel to the picture's channels, without demodulation, noise and activation."""

    def __init__(self, inputs: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.affine = FullyConnected(config.w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, I, H, W], w [N, w_dim] → float32 [N, img_channels, H, W]"""
        styles = self.affine(w) / math.sqrt(self.weight[0].numel())  # [N, I]; the equalised learning rate
        x = F.conv2d(x * styles.to(x.dtype)[:, :, None, None], self.weight.to(x.dtype))
        return bias_act(x, self.bias, clamp=self.clamp).float()


class Skip(nn.Module):
    """The path around a block of a residual network: a convolution of one pixel without bias, then upsampling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

    def forward(self, x: Tensor, f: Tensor, gain: float) -> Tensor:
        """x [N, I, H, W] → [N, O, 2H, 2W]"""
        weight = self.weight * (gain / math.sqrt(self.weight.shape[1]))
        return upsample2d(F.conv2d(x, weight.to(x.dtype)), f)


class Block(nn.Module):
    """All layers of one resolution.

    Attributes:
        convolutions: How many ws its convolutions read; the layer to RGB, where there is one, reads the next.
    """

    resample_filter: Tensor

    def __init__(self, resolution: int, config: StyleGAN2Config) -> None:
        super().__init__()
        outputs = config.channels_at(resolution)
        inputs = config.channels_at(resolution // 2)
        self.first = resolution == 4
        self.convolutions = 1 if self.first else 2
        self.resnet = config.architecture == "resnet" and not self.first
        # Both paths of a residual block are scaled, so that their sum has a unit variance (§4.1).
        self.gain = math.sqrt(0.5) if self.resnet else 1.0
        self.register_buffer("resample_filter", resampling_filter(config.resample_filter), persistent=False)
        if self.first:
            self.const = nn.Parameter(torch.randn(outputs, 4, 4))
        else:
            self.conv0 = ModulatedConv(inputs, outputs, resolution, config, up=2)
        self.conv1 = ModulatedConv(outputs, outputs, resolution, config, gain=self.gain)
        self.has_rgb = config.architecture == "skip" or resolution == config.img_resolution
        if self.has_rgb:
            self.torgb = ToRGB(outputs, config)
        if self.resnet:
            self.skip = Skip(inputs, outputs)

    def affines(self) -> list[FullyConnected]:
        """The layers that turn ws into styles, in the order of the ws that they read."""
        layers = [self.conv1] if self.first else [self.conv0, self.conv1]
        return [layer.affine for layer in layers] + ([self.torgb.affine] if self.has_rgb else [])

    def forward(
        self, x: Tensor | None, image: Tensor | None, ws: Tensor, noise: str, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor | None]:
        """Activations and picture of half the resolution → of this one. ws [N, ≥ convolutions + 1, w_dim]."""
        f = self.resample_filter
        if x is None:
            const = self.const.to(dtype).contiguous(memory_format=torch.contiguous_format)
            x = const.expand(len(ws), *const.shape).contiguous(memory_format=torch.channels_last)
            x = self.conv1(x, ws[:, 0], f, noise)
        else:
            around = self.skip(x, f, self.gain) if self.resnet else None
            x = self.conv0(x, ws[:, 0], f, noise)
            x = self.conv1(x, ws[:, 1], f, noise)
            x = x if around is None else around + x
        if self.has_rgb:
            rgb = self.torgb(x, ws[:, self.convolutions])
            image = rgb if image is None else upsample2d(image, f) + rgb
        return x, image


class Synthesis(nn.Module):
    """The synthesis network g: W+ → picture (fig. 7: summed over the resolutions, residual, or plain)."""

    def __init__(self, config: StyleGAN2Config) -> None:
        super().__init__()
        self.config = config
        for resolution in config.resolutions:
            setattr(self, f"b{resolution}", Block(resolution, config))

    def blocks(self) -> Iterator[tuple[int, int, Block]]:
        """Every block with its resolution and the index of the first w that it reads.

        A block's layer to RGB shares its w with the next block's first convolution.
        """
        first = 0
        for resolution in self.config.resolutions:
            block: Block = getattr(self, f"b{resolution}")
            yield resolution, first, block
            first += block.convolutions

    def affines(self) -> Iterator[tuple[int, FullyConnected]]:
        """Every layer that turns a w into styles, with the index of the w that it reads."""
        for _, first, block in self.blocks():
            yield from enumerate(block.affines(), first)

    def forward(
        self, ws: Tensor, noise: str, dtype: torch.dtype, until: int | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """ws [N, num_ws, w_dim] → activations and picture of the resolution ``until``, by default the last."""
        x = image = None
        for resolution, first, block in self.blocks():
            x, image = block(x, image, ws[:, first:], noise, dtype)
            if resolution == until:
                break
        assert x is not None
        return x, image


class StyleGAN2(Generator):
    """A StyleGAN2 generator of any architecture, size and number of channels."""

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
        return self.mapping.truncated(self.mapping(z, c), self.num_ws, truncation_psi, truncation_cutoff)

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
        assert image is not None
        return image.contiguous()

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        self._check(ws, "none")
        if size_px not in self.config.resolutions:
            raise ValueError(f"Got the resolution {size_px}; expected one of {self.config.resolutions}.")
        x, _ = self.synthesis(ws.float(), "none", dtype or torch.float32, until=size_px)
        return x.float().contiguous()

    def early_picture(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor | None:
        if self.config.architecture != "skip" or size_px not in self.config.resolutions:
            return None
        self._check(ws, "const")
        return self.synthesis(ws.float(), "const", dtype or torch.float32, until=size_px)[1]

    def style_weights(self) -> list[tuple[int, Tensor]]:
        return [(i, affine.weight.detach() * affine.weight_gain) for i, affine in self.synthesis.affines()]

    def _check(self, ws: Tensor, noise: str) -> None:
        if noise not in NOISE_MODES:
            raise ValueError(f"Got noise {noise!r}; expected one of {', '.join(NOISE_MODES)}.")
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"Got ws of shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}].")
