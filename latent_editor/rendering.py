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


def render_tensor(g: Generator, ws: Tensor, *, precision: str = "auto", transform: Tensor | None = None) -> Tensor:
    """Renders latents without noise, in batches or alone.

    Args:
        g: The generator.
        ws: [N, num_ws, w_dim].
        precision: "auto" takes the fastest, "fp32" the exact.
        transform: float32 [3, 3] or [N, 3, 3]: where to draw, for a generator that has ``has_transform``, as made by
            :func:`latent_editor.generators.base.transform_matrix`; None draws in the usual place.

    Returns:
        float32 [N, channels, size_px, size_px], clamped to −1..1, on the generator's device.

    Raises:
        BadValue: another precision, or a transform for a generator that cannot move its pictures.
    """
    if precision not in PRECISIONS:
        raise BadValue(f"Got the precision {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    if transform is not None and not g.has_transform:
        raise BadValue(f"The model {g.name!r} cannot move its pictures. Leave the transform out, or use a StyleGAN3.")
    transform = None if transform is None else transform.to(g.device)
    dtype = torch.float32 if precision == "fp32" else fastest_dtype(g.device)
    with torch.inference_mode():
        return g.synthesize(ws.to(g.device), noise="const", dtype=dtype, transform=transform).clamp(-1, 1)


def render(
    g: Generator,
    latent: Latent | Tensor,
    *,
    size_px: int | None = None,
    precision: str = "auto",
    transform: Tensor | None = None,
    alpha: bool = False,
) -> Image.Image:
    """Renders one latent.

    Args:
        g: The generator.
        latent: A latent of this generator, or ws [num_ws, w_dim] or [1, num_ws, w_dim].
        size_px: Side of the result; None keeps the generator's.
        precision: "auto" or "fp32".
        transform: Where to draw, as in :func:`render_tensor`.
        alpha: Keep the alpha of a model that has it; otherwise it is laid on middle grey.

    Returns:
        RGB, or RGBA.

    Raises:
        BadLatent: a latent of another model.
    """
    if isinstance(latent, Latent):
        g.check(latent)
        latent = latent.ws
    ws = latent if latent.ndim == 3 else latent[None]
    return render_batch(g, ws, size_px=size_px, precision=precision, transform=transform, alpha=alpha)[0]


def render_batch(
    g: Generator,
    ws: Tensor,
    *,
    size_px: int | None = None,
    precision: str = "auto",
    transform: Tensor | None = None,
    alpha: bool = False,
) -> list[Image.Image]:
    """Renders ws [N, num_ws, w_dim] to N pictures; arguments as in :func:`render`."""
    images = [to_image(p, alpha=alpha) for p in render_tensor(g, ws, precision=precision, transform=transform)]
    if size_px is not None and size_px != g.size_px:
        filter_ = Image.Resampling.LANCZOS if size_px < g.size_px else Image.Resampling.BICUBIC
        images = [i.resize((size_px, size_px), filter_) for i in images]
    return images
