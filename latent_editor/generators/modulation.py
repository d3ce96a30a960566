"""The layers of StyleGAN2 whose weights a style modulates, as fast as the device allows.

Written from the paper (Karras et al. 2020). Parameter names follow the public checkpoints.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.generators.layers import FullyConnected, PreparedModule, T, linear_map, product
from latent_editor.generators.stylegan2_config import StyleGAN2Config
from latent_editor.ops import bias_act, kernels, modulated_conv, modulation_epilogue, to_rgb, upfirdn2d, upsample2d
from latent_editor.ops.bias_act import ACTIVATIONS
from latent_editor.ops.modulated_conv import has_kernel, has_taps, packed
from latent_editor.ops.styles import has_kernel as has_styles_kernel
from latent_editor.ops.to_rgb import has_kernel as has_rgb_kernel

#: Activations for which f(s·x) = s·f(x) with s > 0, with their slopes for x < 0: a gain can be applied before them.
HOMOGENEOUS = {"lrelu": ACTIVATIONS["lrelu"].alpha, "relu": 0.0, "linear": 1.0}
#: From this many input channels on, bfloat16 is enlarged by convolutions of phases on CPUs: transposed convolutions of
#: oneDNN take 10 to 30 ms for 512 channels at 16² and 32² pixels, two convolutions 2.5 to 10.
PHASES_FROM = 128


class ModulatedConv(PreparedModule):
    """A convolution whose input channels are scaled by a style (eq. 1), and whose outputs are scaled back (eq. 3).

    The scales are applied to the activations before and after one shared convolution: equal to scaling the weights of
    each sample, and without a grouped convolution, which is several times slower on CPUs. Grouped convolution was
    refused for that reason. The weights are scaled where a picture alone has far more activations than weights.

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
        self.resolution, self.up, self.act, self.use_noise = resolution, up, config.activation, config.use_noise
        self.gain = ACTIVATIONS[self.act].gain * gain
        self.clamp = None if config.conv_clamp is None else config.conv_clamp * gain
        # The gain commutes with activations such as the leaky ReLU: it is folded into what comes before them.
        self.early_gain, self.late_gain = (self.gain, 1.0) if self.act in HOMOGENEOUS else (1.0, self.gain)
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
        bias = self.prepared.get("bias", [self.bias], lambda: self.bias * self.early_gain)
        noises = self._noise(noise, x)
        if not torch.is_grad_enabled() and self._is_fused(x, f):
            blocks = self.prepared.get("packed", [weight], lambda: packed(weight))
            return modulated_conv(
                x, blocks, styles, scale, bias, noises, f=f if self.up == 2 else None, act=self.act,
                gain=self.late_gain, clamp=self.clamp,
            )  # fmt: skip
        if len(x) == 1 and not torch.is_grad_enabled() and x.numel() > 4 * weight.numel() and not self._in_phases(x):
            # A picture alone: scale the few weights instead of the many activations, in one pass.
            kernel = self._kernel(half) * scale[0][:, None, None, None] * styles[0][:, None, None]
            kernel = kernel.to(x.dtype, memory_format=torch.channels_last)
            if self.up == 1:
                x = F.conv2d(x, kernel, bias.to(x.dtype), padding=kernel.shape[-1] // 2)
                return self._finished(x, None, None, f, noises)
            x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2)
            return self._finished(x, None, bias, f, noises)
        x = self._convolved(x * styles.to(x.dtype)[:, :, None, None])
        return self._finished(x, scale, bias, f, noises)

    def _styles(self, w: Tensor, half: bool) -> tuple[Tensor, Tensor]:
        """w [N, w_dim] → the factors of the inputs [N, I], and of the outputs [N, O], which demodulate."""
        energies = self.prepared.get(
            ("energies", half), [self.weight], lambda: self._kernel(half).square().sum(dim=[2, 3])
        )
        if not half and not torch.is_grad_enabled() and has_styles_kernel(w):
            return self.affine.styles(w, energies, gain=self.early_gain)
        styles: Tensor = self.affine(w)
        if half:  # ends at 65504; the demodulation takes back whatever scale the styles have, so they are made small
            styles = styles / styles.abs().amax(dim=1, keepdim=True).clamp(min=1e-8)
        return styles, (product(styles.square(), energies.t()) + 1e-8).rsqrt() * self.early_gain

    def _kernel(self, half: bool) -> Tensor:
        """The weights [O, I, k, k]; made small where half precision must not overflow."""
        kernel: Tensor = self.weight
        if half:
            kernel = kernel / kernel.square().mean(dim=[1, 2, 3], keepdim=True).clamp(min=1e-16).sqrt()
            kernel = kernel / math.sqrt(kernel[0].numel())
        return kernel

    def _noise(self, noise: str, x: Tensor) -> Tensor | None:
        """Noise to add, with its strength: float32 [H, W], or [N, 1, H, W]."""
        if noise == "none" or not self.use_noise:
            return None
        if noise == "const":
            tensors = [self.noise_const, self.noise_strength]
            return self.prepared.get(
                "noise", tensors, lambda: self.noise_const * (self.noise_strength * self.early_gain)
            )
        image = torch.randn(len(x), 1, self.resolution, self.resolution, device=x.device)
        return image * (self.noise_strength * self.early_gain)

    def _is_fused(self, x: Tensor, f: Tensor) -> bool:
        """Whether one kernel does all, which wants no gradients."""
        if self.weight.shape[-1] != 3 or not has_kernel(x, self.act):
            return False
        return self.up == 1 or self.prepared.get("taps", [f], lambda: has_taps(f))

    def _in_phases(self, x: Tensor) -> bool:
        """Whether to enlarge by two convolutions: with many channels in bfloat16 three times faster on CPUs."""
        fast = x.dtype == torch.bfloat16 and x.device.type == "cpu"
        return fast and self.up == 2 and self.weight.shape[-1] == 3 and self.weight.shape[1] >= PHASES_FROM

    def _convolved(self, x: Tensor) -> Tensor:
        """Convolves x [N, I, H, W]; with ``up`` 2, to [N, O, 2H−2+k, 2W−2+k] or a column of zeros more."""
        weight, dtype, half = self.weight, x.dtype, x.dtype == torch.float16
        size = weight.shape[-1]

        def arranged(name: str, arrange: Callable[[Tensor], T]) -> T:
            return self.prepared.get((name, dtype), [weight], lambda: arrange(self._kernel(half).to(dtype)))

        # Another layout than the parameter's would double the memory of float32 for a few percent of time.
        kernel: Tensor = weight
        if dtype != torch.float32:
            kernel = arranged("kernel", lambda k: k.contiguous(memory_format=torch.channels_last))
        # oneDNN's gradients of bfloat16 convolutions take four times as long as the convolutions that equal them.
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
            return _enlarged(x, even, odd)
        swapped = arranged("swapped", lambda k: k.transpose(0, 1).contiguous(memory_format=torch.channels_last))
        return linear_map(x, lambda x: _enlarged(x, even, odd), lambda y: F.conv2d(y, swapped, stride=2))

    def _finished(
        self, x: Tensor, scale: Tensor | None, bias: Tensor | None, f: Tensor, noise: Tensor | None
    ) -> Tensor:
        """Filters what was enlarged; demodulates, adds bias and noise, activates."""
        padding = [0, 0, 0, 0]
        if self.up == 2:
            # The filter sees the picture as if it came first, and as if the convolution kept the size.
            size, (fh, fw) = self.weight.shape[-1], (f.shape[0], f.shape[-1])
            before = size // 2 + 1 - size
            x0, y0 = (fw + 1) // 2 + before, (fh + 1) // 2 + before
            padding = [x0, self.resolution + fw - 1 - x0 - x.shape[3], y0, self.resolution + fh - 1 - y0 - x.shape[2]]
        taps = f if self.up == 2 else None
        filter_gain = 4.0 if self.up == 2 else 1.0
        slope = HOMOGENEOUS.get(self.act)
        if slope is None or torch.is_grad_enabled() or kernels.chosen("modulation_epilogue", x):
            return modulation_epilogue(
                x, scale, bias, noise, f=taps, padding=padding, filter_gain=filter_gain, act=self.act,
                gain=self.late_gain, clamp=self.clamp, inplace=True,
            )  # fmt: skip
        # The same in place: memory that was just written is faster than new.
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
    """A transposed convolution of stride 2 as two convolutions, for the even and for the odd rows of the result.

    A result of twice as many channels in the order (row, column, phase, channel) lies in memory as the enlarged one:
    the columns' phases cost no copy, only a third more products.

    Args:
        kernel: [O, I, 3, 3].

    Returns:
        [2·O, I, 2, 2] and [2·O, I, 1, 2]
    """
    none = torch.zeros_like(kernel[..., 0])
    both = torch.cat(
        [torch.stack([kernel[..., 2], kernel[..., 0]], -1), torch.stack([none, kernel[..., 1]], -1)]
    )  # [2·O, I, 3, 2]: even columns read two inputs, odd ones the right of them
    even, odd = both[:, :, [2, 0]], both[:, :, [1]]
    return even.contiguous(memory_format=torch.channels_last), odd.contiguous(memory_format=torch.channels_last)


def _enlarged(x: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """x [N, I, H, W] → [N, O, 2H+1, 2W+2] by the kernels of :func:`_phases`; the last column is zero."""
    n, _, h, w = x.shape
    rows = [F.conv2d(x, even, padding=1), F.conv2d(x, odd, padding=(0, 1))]
    y = x.new_empty(n, 2 * h + 1, 2 * w + 2, len(even) // 2)
    for i, row in enumerate(rows):
        y[:, i::2] = row.permute(0, 2, 3, 1).reshape(n, -1, 2 * w + 2, len(even) // 2)
    return y.permute(0, 3, 1, 2)


class ToRGB(PreparedModule):
    """A modulated convolution of one pixel to the picture's channels, without demodulation, noise and activation."""

    def __init__(self, inputs: int, config: StyleGAN2Config) -> None:
        super().__init__()
        self.clamp = config.conv_clamp
        self.affine = FullyConnected(config.w_dim, inputs, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(config.img_channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(config.img_channels))

    def forward(self, x: Tensor, w: Tensor, image: Tensor | None, f: Tensor) -> Tensor:
        """x [N, I, H, W], w [N, w_dim], image float32 [N, img_channels, H/2, W/2] or None, which is enlarged by f and
        added → float32 [N, img_channels, H, W]"""
        equalised = 1 / math.sqrt(self.weight[0].numel())
        if not torch.is_grad_enabled() and has_styles_kernel(w):
            styles, _ = self.affine.styles(w, factor=equalised)
        else:
            styles = self.affine(w) * equalised  # [N, I]
        if not torch.is_grad_enabled() and has_rgb_kernel(x, len(self.weight)):
            blocks = self.prepared.get("packed", [self.weight], lambda: packed(self.weight))
            return to_rgb(x, blocks, styles, self.bias, image, f=f, clamp=self.clamp)
        rgb = self._colours(x, styles)
        return rgb if image is None else upsample2d(image, f) + rgb

    def _colours(self, x: Tensor, styles: Tensor) -> Tensor:
        """x [N, I, H, W], styles [N, I] → float32 [N, img_channels, H, W], without what was there before."""
        n, _, height, width = x.shape
        # A product of matrices for each sample: the weights are so few that scaling them costs nothing.
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
    """The path around a block of a residual network: a convolution of one pixel without bias, then upsampling."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))

    def forward(self, x: Tensor, f: Tensor, gain: float) -> Tensor:
        """x [N, I, H, W] → [N, O, 2H, 2W]"""
        weight = self.weight * (gain / math.sqrt(self.weight.shape[1]))
        return upsample2d(F.conv2d(x, weight.to(x.dtype)), f)
