"""The modulated layers of StyleGAN2, optimized for each device.

Written from the paper (Karras et al. 2020). Parameter names follow the public checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.generators.layers import CachedModule, FullyConnected, T, batch_invariant_matmul, linear_map
from latent_editor.generators.stylegan2_config import StyleGAN2Config
from latent_editor.ops import bias_act, kernels, modulated_conv, modulation_epilogue, to_rgb, upfirdn2d, upsample2d
from latent_editor.ops.bias_act import ACTIVATIONS
from latent_editor.ops.modulated_conv import has_kernel, has_taps, pack_weight
from latent_editor.ops.styles import has_kernel as has_styles_kernel
from latent_editor.ops.to_rgb import has_kernel as has_rgb_kernel

#: Positively homogeneous activations, f(s·x) = s·f(x), which commute with a gain; with their slopes for x < 0.
HOMOGENEOUS = {"lrelu": ACTIVATIONS["lrelu"].alpha, "relu": 0.0, "linear": 1.0}
#: From this many input channels on, bfloat16 is upsampled by phase convolutions on CPUs: for 512 channels at 16² and
#: 32² pixels, oneDNN takes 10 to 30 ms for the transposed convolution, but 2.5 to 10 for two convolutions.
MIN_PHASE_CHANNELS = 128


class ModulatedConv(CachedModule):
    """A convolution with modulated input channels (eq. 1) and demodulated output channels (eq. 3).

    The scales are applied to the activations before and after a shared convolution. This is equivalent to modulating
    the weights per sample, but avoids a grouped convolution, which is several times slower on CPUs. At batch 1 the
    weights are modulated if there are far more activations than weights.

    Args:
        inputs, outputs: Number of channels.
        resolution: Output resolution.
        config: The configuration of the network.
        up: 2 upsamples, by a filtered transposed convolution (Karras et al. 2020, appendix B).
        gain: Factor on the output and its clamp.
    """

    noise_const: Tensor

    def __init__(
        self, inputs: int, outputs: int, resolution: int, config: StyleGAN2Config, *, up: int = 1, gain: float = 1.0
    ) -> None:
        super().__init__()
        kernel = config.kernel_size
        self.resolution, self.up, self.act, self.use_noise = resolution, up, config.activation, config.use_noise
        self.gain = ACTIVATIONS[self.act].gain * gain
        self.clamp = None if config.conv_clamp is None else config.conv_clamp * gain
        # The gain commutes with homogeneous activations, and is folded into the preceding scales.
        self.pre_gain, self.post_gain = (self.gain, 1.0) if self.act in HOMOGENEOUS else (1.0, self.gain)
        self.affine = FullyConnected(config.w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        if self.use_noise:
            self.noise_strength = nn.Parameter(torch.zeros([]))
            self.register_buffer("noise_const", torch.randn(resolution, resolution))

    def forward(self, x: Tensor, w: Tensor, f: Tensor, noise: str) -> Tensor:
        """x [N, I, H, W], w [N, w_dim] → [N, O, H·up, W·up]"""
        half = x.dtype == torch.float16
        weight = self.weight
        styles, scale = self._styles(w, half)
        bias = self.weight_cache.get("bias", [self.bias], lambda: self.bias * self.pre_gain)
        noises = self._noise(noise, x)
        if not torch.is_grad_enabled() and self._is_fused(x, f):
            blocks = self.weight_cache.get("packed", [weight], lambda: pack_weight(weight))
            return modulated_conv(
                x, blocks, styles, scale, bias, noises, f=f if self.up == 2 else None, act=self.act,
                gain=self.post_gain, clamp=self.clamp,
            )  # fmt: skip
        if len(x) == 1 and not torch.is_grad_enabled() and x.numel() > 4 * weight.numel() and not self._in_phases(x):
            # Batch 1: modulate the few weights instead of the many activations.
            kernel = self._kernel(half) * scale[0][:, None, None, None] * styles[0][:, None, None]
            kernel = kernel.to(x.dtype, memory_format=torch.channels_last)
            if self.up == 1:
                x = F.conv2d(x, kernel, bias.to(x.dtype), padding=kernel.shape[-1] // 2)
                return self._epilogue(x, None, None, f, noises)
            x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
            return self._epilogue(x, None, bias, f, noises)
        x = self._convolve(x * styles.to(x.dtype)[:, :, None, None])
        return self._epilogue(x, scale, bias, f, noises)

    def _styles(self, w: Tensor, half: bool) -> tuple[Tensor, Tensor]:
        """w [N, w_dim] → styles of the inputs [N, I], and demodulation factors of the outputs [N, O]."""
        energies = self.weight_cache.get(
            ("energies", half), [self.weight], lambda: self._kernel(half).square().sum(dim=[2, 3])
        )
        if not half and not torch.is_grad_enabled() and has_styles_kernel(w):
            return self.affine.styles(w, energies, gain=self.pre_gain)
        styles: Tensor = self.affine(w)
        if half:  # avoid overflow in float16; demodulation cancels the scale of the styles
            styles = styles / styles.abs().amax(dim=1, keepdim=True).clamp(min=1e-8)
        return styles, (batch_invariant_matmul(styles.square(), energies.t()) + 1e-8).rsqrt() * self.pre_gain

    def _kernel(self, half: bool) -> Tensor:
        """The weights [O, I, k, k]; normalized for float16, to avoid overflow."""
        kernel: Tensor = self.weight
        if half:
            kernel = kernel / kernel.square().mean(dim=[1, 2, 3], keepdim=True).clamp(min=1e-16).sqrt()
            kernel = kernel / math.sqrt(kernel[0].numel())
        return kernel

    def _noise(self, noise: str, x: Tensor) -> Tensor | None:
        """The scaled noise: float32 [H, W], or [N, 1, H, W]."""
        if noise == "none" or not self.use_noise:
            return None
        if noise == "const":
            tensors = [self.noise_const, self.noise_strength]
            return self.weight_cache.get(
                "noise", tensors, lambda: self.noise_const * (self.noise_strength * self.pre_gain)
            )
        image = torch.randn(len(x), 1, self.resolution, self.resolution, device=x.device)
        return image * (self.noise_strength * self.pre_gain)

    def _is_fused(self, x: Tensor, f: Tensor) -> bool:
        """Whether a fused kernel (without gradients) supports this layer."""
        if self.weight.shape[-1] != 3 or not has_kernel(x, self.act):
            return False
        return self.up == 1 or self.weight_cache.get("taps", [f], lambda: has_taps(f))

    def _in_phases(self, x: Tensor) -> bool:
        """Whether to upsample by phase convolutions: three times faster for many bfloat16 channels on CPUs."""
        fast = x.dtype == torch.bfloat16 and x.device.type == "cpu"
        return fast and self.up == 2 and self.weight.shape[-1] == 3 and self.weight.shape[1] >= MIN_PHASE_CHANNELS

    def _convolve(self, x: Tensor) -> Tensor:
        """Convolves x [N, I, H, W]; with ``up`` 2, to [N, O, 2H−2+k, 2W−2+k], possibly plus a column of zeros."""
        weight, dtype, half = self.weight, x.dtype, x.dtype == torch.float16
        size = weight.shape[-1]

        def arranged(name: str, arrange: Callable[[Tensor], T]) -> T:
            return self.weight_cache.get((name, dtype), [weight], lambda: arrange(self._kernel(half).to(dtype)))

        # In float32 another memory format would double the memory for a few percent of time.
        kernel: Tensor = weight
        if dtype != torch.float32:
            kernel = arranged("kernel", lambda k: k.contiguous(memory_format=torch.channels_last))
        # oneDNN's gradients of bfloat16 convolutions take four times as long as equivalent convolutions.
        frozen = not weight.requires_grad and dtype == torch.bfloat16 and x.device.type == "cpu"
        if self.up == 1:
            if not (frozen and torch.is_grad_enabled() and x.requires_grad):
                return F.conv2d(x, kernel, padding=size // 2)
            turned = arranged(
                "turned", lambda k: k.flip([2, 3]).transpose(0, 1).contiguous(memory_format=torch.channels_last)
            )
            return linear_map(
                x,
                lambda x: F.conv2d(x, kernel, padding=size // 2),
                lambda y: F.conv2d(y, turned, padding=size // 2),
            )
        if not self._in_phases(x) or not (frozen or not torch.is_grad_enabled()):
            return F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
        even, odd = arranged("phases", _phases)
        if not (torch.is_grad_enabled() and x.requires_grad):
            return _upsample_in_phases(x, even, odd)
        swapped = arranged("swapped", lambda k: k.transpose(0, 1).contiguous(memory_format=torch.channels_last))
        return linear_map(x, lambda x: _upsample_in_phases(x, even, odd), lambda y: F.conv2d(y, swapped, stride=2))

    def _epilogue(
        self, x: Tensor, scale: Tensor | None, bias: Tensor | None, f: Tensor, noise: Tensor | None
    ) -> Tensor:
        """Applies the filter after upsampling, demodulation, bias, noise and activation."""
        padding = [0, 0, 0, 0]
        if self.up == 2:
            # Padding as if the filter came first and the convolution preserved the size.
            size, (fh, fw) = self.weight.shape[-1], (f.shape[0], f.shape[-1])
            before = size // 2 + 1 - size
            x0, y0 = (fw + 1) // 2 + before, (fh + 1) // 2 + before
            padding = [x0, self.resolution + fw - 1 - x0 - x.shape[3], y0, self.resolution + fh - 1 - y0 - x.shape[2]]
        taps = f if self.up == 2 else None
        filter_gain = 4.0 if self.up == 2 else 1.0
        slope = HOMOGENEOUS.get(self.act)
        if slope is None or torch.is_grad_enabled() or kernels.use_kernel("modulation_epilogue", x):
            return modulation_epilogue(
                x, scale, bias, noise, f=taps, padding=padding, filter_gain=filter_gain, act=self.act,
                gain=self.post_gain, clamp=self.clamp, inplace=True,
            )  # fmt: skip
        # In place, because cached memory is faster than new memory.
        if taps is not None:
            x = upfirdn2d(x, taps, padding=padding, gain=filter_gain)
        if scale is not None and bias is not None:
            x = torch.addcmul(bias.to(x.dtype)[:, None, None], x, scale.to(x.dtype)[:, :, None, None], out=x)
        elif bias is not None:
            x = x.add_(bias.to(x.dtype)[:, None, None])
        if noise is not None:
            x = x.add_(noise.to(x.dtype))
        x = F.leaky_relu_(x, slope)
        return x if self.clamp is None else x.clamp_(-self.clamp, self.clamp)


def _phases(kernel: Tensor) -> tuple[Tensor, Tensor]:
    """Splits a transposed convolution of stride 2 into two convolutions, for even and odd output rows.

    The column phases are computed as twice as many channels: in the order (row, column, phase, channel) this is the
    memory layout of the upsampled row, so they need no copy, only a third more multiplications.

    Args:
        kernel: [O, I, 3, 3].

    Returns:
        [2·O, I, 2, 2] and [2·O, I, 1, 2]
    """
    none = torch.zeros_like(kernel[..., 0])
    both = torch.cat(
        [torch.stack([kernel[..., 2], kernel[..., 0]], -1), torch.stack([none, kernel[..., 1]], -1)]
    )  # [2·O, I, 3, 2]: even columns use two inputs, odd ones the right one
    even, odd = both[:, :, [2, 0]], both[:, :, [1]]
    return even.contiguous(memory_format=torch.channels_last), odd.contiguous(memory_format=torch.channels_last)


def _upsample_in_phases(x: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """x [N, I, H, W] → [N, O, 2H+1, 2W+2] with the kernels of :func:`_phases`; the last column is zero."""
    n, _, h, w = x.shape
    rows = [F.conv2d(x, even, padding=1), F.conv2d(x, odd, padding=(0, 1))]
    y = x.new_empty(n, 2 * h + 1, 2 * w + 2, len(even) // 2)
    for i, row in enumerate(rows):
        y[:, i::2] = row.permute(0, 2, 3, 1).reshape(n, -1, 2 * w + 2, len(even) // 2)
    return y.permute(0, 3, 1, 2)


class ToRGB(CachedModule):
    """A modulated 1×1 convolution to RGB, without demodulation, noise and activation."""

    def __init__(self, inputs: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.affine = FullyConnected(config.w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))

    def forward(self, x: Tensor, w: Tensor, image: Tensor | None, f: Tensor) -> Tensor:
        """x [N, I, H, W], w [N, w_dim] → float32 [N, img_channels, H, W], plus ``image`` [N, img_channels, H/2, W/2]
        upsampled with the filter f, if not None."""
        weight_gain = 1 / math.sqrt(self.weight[0].numel())
        if not torch.is_grad_enabled() and has_styles_kernel(w):
            styles, _ = self.affine.styles(w, factor=weight_gain)
        else:
            styles = self.affine(w) * weight_gain  # [N, I]
        if not torch.is_grad_enabled() and has_rgb_kernel(x, len(self.weight)):
            blocks = self.weight_cache.get("packed", [self.weight], lambda: pack_weight(self.weight))
            return to_rgb(x, blocks, styles, self.bias, image, f=f, clamp=self.clamp)
        rgb = self._convolve(x, styles)
        return rgb if image is None else upsample2d(image, f) + rgb

    def _convolve(self, x: Tensor, styles: Tensor) -> Tensor:
        """x [N, I, H, W], styles [N, I] → float32 [N, img_channels, H, W]"""
        n, _, height, width = x.shape
        # A matrix product per sample: there are so few weights that modulating them costs nothing.
        weight = (styles[:, None] * self.weight[:, :, 0, 0]).to(x.dtype)  # [N, img_channels, I]
        if n == 1 and not torch.is_grad_enabled():
            y = F.conv2d(x, weight[0][:, :, None, None])
        else:
            y = x.permute(0, 2, 3, 1).reshape(n, height * width, -1) @ weight.transpose(1, 2)
            y = y.view(n, height, width, -1).permute(0, 3, 1, 2)
        y = y.to(torch.float32, memory_format=torch.contiguous_format).contiguous()
        if torch.is_grad_enabled():
            return bias_act(y, self.bias, clamp=self.clamp)
        y = y.add_(self.bias[:, None, None])
        return y if self.clamp is None else y.clamp_(-self.clamp, self.clamp)


class Skip(nn.Module):
    """The skip path of a residual block: a 1×1 convolution without bias, then upsampling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

    def forward(self, x: Tensor, f: Tensor, gain: float) -> Tensor:
        """x [N, I, H, W] → [N, O, 2H, 2W]"""
        weight = self.weight * (gain / math.sqrt(self.weight.shape[1]))
        return upsample2d(F.conv2d(x, weight.to(x.dtype)), f)
