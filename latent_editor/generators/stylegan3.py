"""StyleGAN3 (Karras et al. 2021, "Alias-Free Generative Adversarial Networks"), configurations T and R.

Written from the paper. Parameter names follow the public checkpoints, so that their tensors load by name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.generators.base import NOISE_MODES, Generator
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.generators.layers import FullyConnected, MappingNetwork, PivotGain
from latent_editor.generators.stylegan3_config import LayerShape, StyleGAN3Config
from latent_editor.generators.stylegan3_filters import low_pass
from latent_editor.ops import filtered_lrelu

__all__ = ["StyleGAN3", "StyleGAN3Config"]


class FourierInput(nn.Module):
    """Fourier features as the input (§3.2), rotated and translated by w and by the user's transform."""

    transform: Tensor
    freqs: Tensor
    phases: Tensor

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        first = config.layers[0]
        self.size_px, self.rate, self.bandwidth = first.in_size, first.in_rate, first.in_cutoff
        # Frequencies are distributed over a disc of radius `bandwidth`; those outside are pulled towards the center.
        freqs = torch.randn(first.inputs, 2)
        radii = freqs.square().sum(dim=1, keepdim=True).sqrt()
        freqs = freqs / (radii * radii.square().exp().pow(0.25)) * self.bandwidth
        self.weight = nn.Parameter(torch.randn(first.inputs, first.inputs))
        self.affine = FullyConnected(config.w_dim, 4)
        with torch.no_grad():  # initially no rotation and translation for any w
            self.affine.weight.zero_()
            self.affine.bias.copy_(torch.tensor([1.0, 0.0, 0.0, 0.0]))
        self.register_buffer("transform", torch.eye(3))
        self.register_buffer("freqs", freqs)
        self.register_buffer("phases", torch.rand(first.inputs) - 0.5)

    def forward(self, w: Tensor, transform: Tensor | None) -> Tensor:
        """w [N, w_dim], transform [3, 3] or [N, 3, 3] → float32 [N, C, size_px, size_px]

        1. w gives a rotation and a translation, applied after the network's own transform and the user's.
        2. Transform frequencies and phases, which is equivalent to transforming coordinates.
        3. Fade out frequencies beyond the bandwidth, towards the Nyquist frequency.
        4. Sample the sinusoids at the pixel centers, and mix the channels.
        """
        # 1.
        turn = self._rotation_and_shift(w) @ self.transform  # [N, 3, 3]
        if transform is not None:
            turn = turn @ transform.to(turn)
        # 2.
        phases = self.phases + (self.freqs @ turn[:, :2, 2:]).squeeze(2)  # [N, C]
        freqs = self.freqs @ turn[:, :2, :2]  # [N, C, 2]
        # 3.
        beyond = (freqs.norm(dim=2) - self.bandwidth) / (self.rate / 2 - self.bandwidth)
        amplitudes = (1 - beyond).clamp(0, 1)  # [N, C]
        # 4.
        at = (torch.arange(self.size_px, device=w.device) + 0.5 - self.size_px / 2) / self.rate
        waves = freqs[:, :, 1, None, None] * at[:, None] + freqs[:, :, 0, None, None] * at  # [N, C, H, W]
        waves = torch.sin((waves + phases[:, :, None, None]) * (2 * math.pi)) * amplitudes[:, :, None, None]
        mix = self.weight / math.sqrt(self.weight.shape[1])
        return (mix @ waves.flatten(2)).unflatten(2, (self.size_px, self.size_px))

    def _rotation_and_shift(self, w: Tensor) -> Tensor:
        """w [N, w_dim] → [N, 3, 3]: translates the coordinates by −(x, y), then rotates them by (cos, sin)."""
        cos_sin, shift = self.affine(w).split(2, dim=1)
        scale = cos_sin.norm(dim=1, keepdim=True)
        (cos, sin), (x, y) = (cos_sin / scale).unbind(1), (shift / scale).unbind(1)
        zero, one = torch.zeros_like(cos), torch.ones_like(cos)
        rows = [cos, -sin, sin * y - cos * x, sin, cos, -sin * x - cos * y, zero, zero, one]
        return torch.stack(rows, dim=1).unflatten(1, (3, 3))


class Layer(nn.Module):
    """A modulated convolution and a filtered leaky ReLU (fig. 4b); the last layer is ToRGB.

    As in StyleGAN2, styles scale the activations before a convolution shared by the batch, and demodulation scales its
    output: equivalent to modulating the weights per sample, and several times faster on CPUs.
    """

    magnitude_ema: Tensor
    up_filter: Tensor | None
    down_filter: Tensor | None

    def __init__(self, shape: LayerShape, config: StyleGAN3Config) -> None:
        super().__init__()
        self.shape, self.clamp = shape, config.conv_clamp
        self.affine = FullyConnected(config.w_dim, shape.inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(shape.outputs, shape.inputs, shape.kernel, shape.kernel))
        self.bias = nn.Parameter(torch.zeros(shape.outputs))
        self.register_buffer("magnitude_ema", torch.ones([]))
        up = down = None
        if shape.up_taps > 1:
            cutoff, width = shape.in_cutoff, 2 * shape.in_half_width
            up = low_pass(shape.up_taps, cutoff=cutoff, width=width, rate=shape.fine_rate)
        if shape.down_taps > 1:
            # Critically sampled layers keep separable filters: no room for the transition band of a radial one.
            cutoff, width = shape.out_cutoff, 2 * shape.out_half_width
            radial = config.use_radial_filters and not shape.is_critical
            down = low_pass(shape.down_taps, cutoff=cutoff, width=width, rate=shape.fine_rate, radial=radial)
        self.register_buffer("up_filter", up)
        self.register_buffer("down_filter", down)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """x [N, I, in_size, in_size], w [N, w_dim] → [N, O, out_size, out_size] in the dtype of x"""
        shape = self.shape
        weight, styles, scale = self._modulation(w)
        x = x * styles.to(x.dtype)[:, :, None, None]
        x = F.conv2d(x, weight.to(x.dtype), padding=shape.kernel - 1)
        x = torch.addcmul(self.bias.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, :, None, None])
        before, after = shape.padding
        return filtered_lrelu(
            x, self.up_filter, self.down_filter, up=shape.up, down=shape.down, padding=(before, after, before, after),
            gain=1 if shape.is_torgb else math.sqrt(2), slope=1 if shape.is_torgb else 0.2, clamp=self.clamp,
        )  # fmt: skip

    def _modulation(self, w: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The weight [O, I, k, k], and the scales of input channels [N, I] and output channels [N, O].

        Weight and styles are normalized first; demodulation cancels this, but it keeps float16 in range.
        ``magnitude_ema`` is the tracked mean square of the input, which normalizes it (appendix C.2, "gain").
        """
        styles = self.affine(w)
        gain = self.magnitude_ema.rsqrt()
        if self.shape.is_torgb:
            styles = styles / math.sqrt(self.weight[0].numel())
            return self.weight, styles, gain.expand(len(w), len(self.weight))
        weight = self.weight * self.weight.square().mean(dim=[1, 2, 3], keepdim=True).rsqrt()
        styles = styles * styles.square().mean(dim=1, keepdim=True).clamp_min(1e-20).rsqrt()
        energy = styles.square() @ weight.square().sum(dim=[2, 3]).t()  # [N, O]
        return weight, styles, (energy + 1e-8).rsqrt() * gain


class StyleGAN3Synthesis(PivotGain):
    """The synthesis network: W+ → image."""

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.config = config
        self.input = FourierInput(config)
        for shape in config.layers:
            setattr(self, shape.name, Layer(shape, config))

    @property
    def layers(self) -> list[Layer]:
        return [getattr(self, shape.name) for shape in self.config.layers]

    def affines(self) -> Iterator[tuple[int, FullyConnected]]:
        """The affine layers that map ws to styles, with the index of their w."""
        yield from ((i + 1, layer.affine) for i, layer in enumerate(self.layers))

    def forward(
        self,
        ws: Tensor,
        dtype: torch.dtype,
        transform: Tensor | None = None,
        until: int | None = None,
        *,
        blend: Callable[[Tensor, LayerShape], Tensor] | None = None,
    ) -> Tensor:
        """ws [N, num_ws, w_dim] → the output of the layer ``until``, by default the last.

        ``blend`` is applied to the output of each layer.
        """
        ws = self.apply_gain(ws)
        x = self.input(ws[:, 0], transform).to(dtype)
        for i, layer in enumerate(self.layers[: None if until is None else until + 1]):
            x = layer(x, ws[:, i + 1])
            x = x if blend is None else blend(x, layer.shape)
        return x


class StyleGAN3(Generator):
    """A StyleGAN3 generator (configurations T and R)."""

    has_transform = True

    def __init__(self, config: StyleGAN3Config) -> None:
        super().__init__()
        self.config = config
        self.size_px, self.channels = config.img_resolution, config.img_channels
        self.num_ws, self.w_dim, self.z_dim, self.c_dim = config.num_ws, config.w_dim, config.z_dim, config.c_dim
        self.mapping = MappingNetwork(
            config.z_dim, config.c_dim, config.w_dim,
            layers=config.mapping_layers, lr_multiplier=config.mapping_lr_multiplier,
        )  # fmt: skip
        self.synthesis = StyleGAN3Synthesis(config)

    @property
    def w_avg(self) -> Tensor:
        return self.mapping.w_avg

    @property
    def activation_sizes(self) -> list[int]:
        """The sizes that :meth:`activations` takes, ascending."""
        return sorted(self.config.activation_layers)

    def map(
        self, z: Tensor, c: Tensor | None = None, *, truncation_psi: float = 1.0, truncation_cutoff: int | None = None
    ) -> Tensor:
        return self.mapping.truncate(self.mapping(z, c), self.num_ws, truncation_psi, truncation_cutoff)

    def synthesize(
        self,
        ws: Tensor,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
    ) -> Tensor:
        """As in the base class; ``noise`` has no effect, because StyleGAN3 has no noise inputs."""
        self._check(ws, noise)
        if transform is not None:
            if transform.shape not in ((3, 3), (len(ws), 3, 3)):
                raise ValueError(f"Got a transform of shape {list(transform.shape)}; expected [3, 3] or [N, 3, 3].")
            transform = self._in_input_units(transform)
        image = self.synthesis(ws.float(), dtype or torch.float32, transform)
        return (image.float() * self.config.output_scale).contiguous()

    def activations(self, ws: Tensor, size_px: int, *, dtype: torch.dtype | None = None) -> Tensor:
        """The output of the last layer at the resolution ``size_px``, without its margins.

        Args:
            ws: [N, num_ws, w_dim].
            size_px: One of ``activation_sizes``.
            dtype: Precision of the activations; None for float32.

        Returns:
            float32 [N, C, size_px, size_px].

        Raises:
            ValueError: another size.
        """
        self._check(ws, "none")
        if size_px not in self.config.activation_layers:
            raise ValueError(f"Got the resolution {size_px}; expected one of {self.activation_sizes}.")
        x = self.synthesis(ws.float(), dtype or torch.float32, until=self.config.activation_layers[size_px])
        margin = (x.shape[2] - size_px) // 2
        return x[:, :, margin : margin + size_px, margin : margin + size_px].float().contiguous()

    def blended(
        self,
        ws: Tensor,
        masks: BlendMasks,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
        until: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As in the base class; with ``until`` the image is None, because StyleGAN3 has no skip connections."""
        self._check(ws, noise)
        if until is not None and until not in self.config.activation_layers:
            raise ValueError(f"Got the resolution {until}; expected one of {self.activation_sizes}.")
        picture = self.size_px / self.config.layers[-1].out_rate

        def blend(x: Tensor, shape: LayerShape) -> Tensor:
            if shape.out_rate < masks.from_px:
                return x
            return masks.blend_with(x, masks.resample(shape.out_size, shape.out_rate * picture, transform))

        moved = None if transform is None else self._in_input_units(transform)
        if moved is not None and moved.ndim == 3:
            moved = moved.repeat_interleave(masks.count, dim=0)
        layer = None if until is None else self.config.activation_layers[until]
        x = self.synthesis(ws.float(), dtype or torch.float32, moved, layer, blend=blend)[:: masks.count].float()
        if until is None:
            return x, (x * self.config.output_scale).contiguous()
        margin = (x.shape[2] - until) // 2
        return x[:, :, margin : margin + until, margin : margin + until].contiguous(), None

    def style_weights(self) -> list[tuple[int, Tensor]]:
        return [(i, affine.weight.detach() * affine.weight_gain) for i, affine in self.synthesis.affines()]

    def _in_input_units(self, transform: Tensor) -> Tensor:
        """Converts translations from image widths to input units, which differ if size_px is not a power of two."""
        picture = self.size_px / self.config.layers[-1].out_rate
        return torch.cat(
            [transform[..., :2], transform[..., 2:] * transform.new_tensor([[picture], [picture], [1]])], -1
        )

    def _check(self, ws: Tensor, noise: str) -> None:
        if noise not in NOISE_MODES:
            raise ValueError(f"Got noise {noise!r}; expected one of {', '.join(NOISE_MODES)}.")
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"Got ws of shape {list(ws.shape)}; expected [N, {self.num_ws}, {self.w_dim}].")
