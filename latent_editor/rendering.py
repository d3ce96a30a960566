"""From a latent to a picture, as fast as the device allows. Preview and full size differ only in the arguments."""

from __future__ import annotations

import torch
from PIL import Image
from torch import Tensor

from latent_editor.errors import BadValue
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype, to_image, to_tensor
from latent_editor.types import Latent

__all__ = ["PRECISIONS", "render", "render_batch", "render_tensor", "to_image", "to_tensor"]

PRECISIONS = ("auto", "fp32")


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
