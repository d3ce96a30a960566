"""From a latent to a picture, as fast as the device allows. Preview and full size differ only in the arguments."""

from __future__ import annotations

import functools

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.errors import BadValue
from latent_editor.generators import Generator
from latent_editor.types import Latent

PRECISIONS = ("auto", "fp32")


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


def render_tensor(g: Generator, ws: Tensor, *, precision: str = "auto") -> Tensor:
    """Renders latents without noise, in batches or alone.

    Args:
        g: The generator.
        ws: [N, num_ws, w_dim].
        precision: "auto" takes the fastest, "fp32" the exact.

    Returns:
        float32 [N, channels, size_px, size_px], clamped to −1..1, on the generator's device.
    """
    if precision not in PRECISIONS:
        raise BadValue(f"Got the precision {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    dtype = torch.float32 if precision == "fp32" else fastest_dtype(g.device)
    with torch.inference_mode():
        return g.synthesize(ws.to(g.device), noise="const", dtype=dtype).clamp(-1, 1)


def to_image(picture: Tensor) -> Image.Image:
    """float [channels, H, W], −1..1 → RGB picture."""
    pixels = ((picture.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    if len(pixels) == 1:
        pixels = pixels.expand(3, -1, -1)
    return Image.fromarray(np.ascontiguousarray(pixels[:3].permute(1, 2, 0).cpu().numpy()))


def to_tensor(image: Image.Image, size_px: int, device: torch.device | str = "cpu") -> Tensor:
    """RGB picture → float32 [1, 3, size_px, size_px], −1..1."""
    if image.size != (size_px, size_px):
        image = image.resize((size_px, size_px), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(image.convert("RGB")))
    return (pixels.permute(2, 0, 1)[None].float() / 127.5 - 1).to(device)


def render(
    g: Generator, latent: Latent | Tensor, *, size_px: int | None = None, precision: str = "auto"
) -> Image.Image:
    """Renders one latent.

    Args:
        g: The generator.
        latent: A latent of this generator, or ws [num_ws, w_dim] or [1, num_ws, w_dim].
        size_px: Side of the result; None keeps the generator's.
        precision: "auto" or "fp32".

    Raises:
        BadLatent: a latent of another model.
    """
    if isinstance(latent, Latent):
        g.check(latent)
        latent = latent.ws
    return render_batch(g, latent if latent.ndim == 3 else latent[None], size_px=size_px, precision=precision)[0]


def render_batch(g: Generator, ws: Tensor, *, size_px: int | None = None, precision: str = "auto") -> list[Image.Image]:
    """Renders ws [N, num_ws, w_dim] to N pictures; arguments as in :func:`render`."""
    images = [to_image(p) for p in render_tensor(g, ws, precision=precision)]
    if size_px is not None and size_px != g.size_px:
        filter_ = Image.Resampling.LANCZOS if size_px < g.size_px else Image.Resampling.BICUBIC
        images = [i.resize((size_px, size_px), filter_) for i in images]
    return images
