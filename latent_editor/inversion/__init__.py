"""From an aligned picture to the latent that renders it. ``invert`` is the whole of it."""

from __future__ import annotations

import time

import torch
from PIL import Image
from torch import Tensor

from latent_editor.errors import BadValue
from latent_editor.features.encoder import ENCODER_FILE, has_encoder, load_encoder
from latent_editor.features.perceptual import load_critic, psnr_db
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, from_rgb, to_tensor
from latent_editor.inversion.optimization import Optimization, OptimizationConfig
from latent_editor.inversion.starting import best_start, in_units_of
from latent_editor.inversion.weighting import pixel_weights
from latent_editor.types import Crop, Latent, OnStep, Step

__all__ = ["METHODS", "invert"]

#: What each method optimizes after the encoder: nothing, one w for all layers, or one for each.
METHODS: dict[str, OptimizationConfig | None] = {
    "auto": OptimizationConfig(space="w+"),
    "encoder": None,
    "w": OptimizationConfig(space="w", pull=0.0),
    "w+": OptimizationConfig(space="w+"),
}


def invert(
    g: Generator,
    crop: Crop | Image.Image,
    *,
    method: str = "auto",
    seconds: float = 20.0,
    class_index: int | None = None,
    on_step: OnStep | None = None,
) -> Latent:
    """Finds the latent of a picture.

    1. Start from the encoder's answer; where the model has no encoder, from the nearest of some random latents and
       the mean.
    2. Optimize pixels and perceptual distance by Adam until the time is over or nothing improves ("auto" and "w+": one
       w per layer, Abdal et al. 2019; "w": one for all, Karras et al. 2020, §5).

    Args:
        g: The generator.
        crop: What :func:`align` gave, or a picture that is aligned already.
        method: "auto", "encoder", "w" or "w+".
        seconds: Time that the optimization may take, from 0.
        class_index: In a conditional model without an encoder, the class to start from; None finds it.
        on_step: Called after every step with the best so far; a true answer stops and keeps that.

    Returns:
        The latent, with its ``psnr_db``.

    Raises:
        BadValue: an unknown method, a time that is not a number from 0, or a class that the model does not have.
        MissingPart: method "encoder" with a model that has none.
    """
    if method not in METHODS:
        raise BadValue(f"Got the method {method!r}; expected one of {', '.join(METHODS)}.")
    if not 0 <= seconds < float("inf"):
        raise BadValue(f"Got {seconds} seconds; expected a number from 0, usually 5 to 60.")
    began = time.monotonic()
    target = picture_tensor(g, crop)
    config = METHODS[method]
    encoded = config is None or has_encoder(g)
    with torch.no_grad():
        if encoded:
            start = load_encoder(g)(as_rgb(target))
        else:
            start = best_start(g, target, load_critic(g), seconds=seconds, class_index=class_index)
        image = g.synthesize(start)
    first_db = psnr_db(image, target).item()
    step = Step(0, 1, time.monotonic() - began, 0.0 if config else 1.0, first_db, image[0], start[0])
    stop = on_step is not None and bool(on_step(step))
    if config is None or stop or seconds == 0:
        return g.latent(start[0], method="encoder" if encoded else "nearest", psnr_db=first_db)
    if not g.bundle.has(ENCODER_FILE):  # the project's own training gives w a spread of 1
        config = in_units_of(g, config)
    optimization = Optimization(g, load_critic(g), config, weights=pixel_weights(g, crop))
    best = optimization.run(target, start, began=began, seconds=seconds, on_step=on_step)
    return g.latent(best.ws, method=config.space, psnr_db=best.psnr_db)


def picture_tensor(g: Generator, crop: Crop | Image.Image) -> Tensor:
    """The picture as the generator would give it: float32 [1, channels, size_px, size_px], −1..1."""
    image = crop.image if isinstance(crop, Crop) else crop
    picture = to_tensor(image, g.size_px, g.device)
    return from_rgb(picture, g.channels)
