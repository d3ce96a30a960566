"""Between pictures and the tensors that networks take and give."""

from __future__ import annotations

import functools

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor


@functools.cache
def _cpu_has_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices natively; emulated ones are slower than float32."""
    checks = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)


def fastest_dtype(device: torch.device) -> torch.dtype:
    """The precision in which this device renders fastest without visible loss (52 dB to float32 in bfloat16)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.type == "cpu" and _cpu_has_bf16():
        return torch.bfloat16
    return torch.float32


def as_rgb(picture: Tensor) -> Tensor:
    """Pictures of any number of channels → [N, 3, H, W]: grey is repeated, alpha and what follows is left out."""
    channels = picture.shape[1]
    if channels == 3:
        return picture
    return picture[:, :3] if channels > 3 else picture[:, :1].expand(-1, 3, -1, -1)


def resized(picture: Tensor, size_px: int) -> Tensor:
    """Pictures [N, C, H, W] → [N, C, size_px, size_px]: the same where they have that size, else without aliasing."""
    height, width = picture.shape[-2:]
    if (height, width) == (size_px, size_px):
        return picture
    if height % size_px == 0 and width == height:  # whole pixels: the mean of each area, several times faster
        return F.adaptive_avg_pool2d(picture, size_px)
    return F.interpolate(picture, size=(size_px, size_px), mode="bilinear", antialias=True)


def to_image(picture: Tensor, *, alpha: bool = False) -> Image.Image:
    """A picture as the network gives it → one to look at.

    Args:
        picture: float [channels, H, W], −1..1: grey, grey with alpha, RGB, RGB with alpha; what follows is left out.
        alpha: Whether to keep alpha where there is some; otherwise it is laid on middle grey.

    Returns:
        RGB, or RGBA.
    """
    picture = picture.float()[:4]
    colour, opacity = (picture[:-1], picture[-1:]) if len(picture) in (2, 4) else (picture, None)
    colour = colour.expand(3, -1, -1) if len(colour) == 1 else colour
    if opacity is not None:
        # Middle grey is 0 here, so that nothing has to be added.
        colour = torch.cat([colour, opacity]) if alpha else colour.clamp(-1, 1) * ((opacity + 1) / 2).clamp(0, 1)
    pixels = (colour + 1).mul_(127.5).round_().clamp_(0, 255)
    pixels = pixels.permute(1, 2, 0).to(torch.uint8, memory_format=torch.contiguous_format)
    return Image.fromarray(pixels.cpu().numpy())


def from_rgb(picture: Tensor, channels: int) -> Tensor:
    """RGB pictures [N, 3, H, W] as a network of ``channels`` would give them: grey, with full alpha, or as they are."""
    if channels == 3:
        return picture
    colour = picture if channels > 3 else picture.mean(dim=1, keepdim=True)
    rest = channels - colour.shape[1]
    return torch.cat([colour, colour.new_ones(1, 1, 1, 1).expand(len(colour), rest, *colour.shape[2:])], dim=1)


def to_tensor(image: Image.Image, size_px: int, device: torch.device | str = "cpu") -> Tensor:
    """RGB picture → float32 [1, 3, size_px, size_px], −1..1."""
    if image.size != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return (pixels.permute(2, 0, 1)[None].float() / 127.5 - 1).to(device)
