"""Conversion between images and tensors."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


@functools.cache
def _cpu_has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 matrices natively; emulation is slower than float32."""
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """The fastest precision of a device without visible loss (bfloat16 has 52 dB to float32)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def as_rgb(picture: Tensor) -> Tensor:
    """Images with any number of channels → [N, 3, H, W]: repeats grayscale, drops alpha and further channels."""
    channels = picture.shape[1]
    if channels == 3:
        return picture
    return picture[:, :3] if channels > 3 else picture[:, :1].expand(-1, 3, -1, -1)


def resized(picture: Tensor, size_px: int) -> Tensor:
    """Images [N, C, H, W] → [N, C, size_px, size_px], resized with antialiasing if needed."""
    height, width = picture.shape[-2:]
    if (height, width) == (size_px, size_px):
        return picture
    if height % size_px == 0 and width == height:  # integer factor: area average, several times faster
        return F.adaptive_avg_pool2d(picture, size_px)
    return F.interpolate(picture, size=(size_px, size_px), mode="bilinear", antialias=True)


def to_image(picture: Tensor, *, alpha: bool = False) -> Image.Image:
    """Converts the output of a generator to an image.

    Args:
        picture: float [channels, H, W], −1..1: L, LA, RGB or RGBA; further channels are dropped.
        alpha: Keep alpha if there is any; otherwise composite over middle gray.

    Returns:
        RGB, or RGBA.
    """
    picture = picture.float()[:4]
    color, opacity = (picture[:-1], picture[-1:]) if len(picture) in (2, 4) else (picture, None)
    color = color.expand(3, -1, -1) if len(color) == 1 else color
    if opacity is not None:
        # Middle gray is 0.
        color = torch.cat([color, opacity]) if alpha else color.clamp(-1, 1) * ((opacity + 1) / 2).clamp(0, 1)
    pixels = (color + 1).mul_(127.5).round_().clamp_(0, 255)
    pixels = pixels.permute(1, 2, 0).to(torch.uint8, memory_format=torch.contiguous_format)
    return Image.fromarray(pixels.cpu().numpy())


def from_rgb(picture: Tensor, channels: int) -> Tensor:
    """RGB images [N, 3, H, W] → the channels of a generator: grayscale, RGB, or RGB with opaque alpha."""
    if channels == 3:
        return picture
    color = picture if channels > 3 else picture.mean(dim=1, keepdim=True)
    rest = channels - color.shape[1]
    return torch.cat([color, color.new_ones(1, 1, 1, 1).expand(len(color), rest, *color.shape[2:])], dim=1)


def to_tensor(image: Image.Image, size_px: int, device: torch.device | str = "cpu") -> Tensor:
    """RGB image → float32 [1, 3, size_px, size_px], −1..1."""
    if image.size != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return (pixels.permute(2, 0, 1)[None].float() / 127.5 - 1).to(device)
