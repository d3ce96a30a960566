"""Trains the colorizer to predict the colors of images from their luminance.

The loss is the mean absolute error, whose minimizer is the median of the plausible colors: what cannot be known stays
pale instead of wrong.
"""

from __future__ import annotations

import argparse
import random

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.degradations import luminance
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.colorizer import COLORIZER_FILE, Colorizer, read_colorizer, save_colorizer
from latent_editor.networks.encoder import ENCODER_FILE, Encoder, read_encoder
from latent_editor.train.augmentation import mirror, photographic, shift_turn_scale
from latent_editor.train.learning import Trainer, add_run_arguments, batch_rng, train
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import save_rows

BATCH = 32
#: Share of batches that are augmented to look like photographs.
PHOTOGRAPHIC = 0.15
#: Color hints per image at validation.
COLOR_HINTS = 3


def initialized_from(encoder: Encoder) -> Colorizer:
    """A new colorizer whose trunk has the weights of an encoder's trunk."""
    config = encoder.config
    colorizer = Colorizer(config["size_px"], width=config["width"], max_width=config["max_width"])
    colorizer.trunk.stem.load_state_dict(encoder.trunk.stem.state_dict())
    colorizer.trunk.levels.load_state_dict(encoder.trunk.levels.state_dict())
    return colorizer


def losses(colorizer: Colorizer, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, dict[str, float]]:
    """Mean absolute error of the predicted chroma of images [N, 3, S, S], and a report for the log."""
    found, _ = colorizer.chroma(x, dtype)
    loss = (found - F.adaptive_avg_pool2d(x - luminance(x), found.shape[-1])).abs().mean()
    return loss, {"loss": loss.item()}


def new_trainer(colorizer: Colorizer, rate: float) -> Trainer[Colorizer]:
    return Trainer(colorizer, losses, rate, fastest_dtype(torch.device("cpu")))


@torch.no_grad()
def figures(colorizer: Colorizer, x: Tensor, dtype: torch.dtype) -> tuple[dict[str, float], list[Tensor]]:
    """Chroma error on images [N, 3, S, S] relative to leaving them gray, without and with color hints.

    Returns:
        The errors by name, and rows of images for a contact sheet: originals, grayscale, and both predictions.
    """
    found, rows = {}, [x, luminance(x).expand_as(x)]
    gray_error = (x - luminance(x)).abs().mean()
    for name, known in {"chroma_error": None, "chroma_error_hints": random_hint_mask(x, random.Random(0))}.items():
        picture = colorizer(x, known, dtype)
        found[name] = float((picture - x).abs().mean() / gray_error)
        rows.append(picture)
    return found, rows


def random_hint_mask(x: Tensor, rng: random.Random) -> Tensor:
    """Mask of pixels with known colors: [N, 1, S, S], 1 inside :data:`COLOR_HINTS` small squares per image."""
    size = x.shape[-1]
    known, side = torch.zeros_like(x[:, :1]), max(1, size // 32)
    for one in known:
        for _ in range(COLOR_HINTS):
            top, left = rng.randint(0, size - side), rng.randint(0, size - side)
            one[:, top : top + side, left : left + side] = 1
    return known


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, rate=3e-3, start="model folder with an encoder")


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, starting from the folder's colorizer if it has one."""
    torch.set_num_threads(args.threads)
    existing = args.start / COLORIZER_FILE
    colorizer = (
        read_colorizer(existing) if existing.exists() else initialized_from(read_encoder(args.start / ENCODER_FILE))
    )
    trainer, size = new_trainer(colorizer, args.rate), colorizer.config["size_px"]
    images = read_pictures(args.data, size).images
    held_out = read_pictures(args.validation, size, limit=128).images.float() / 127.5 - 1

    def draw(generator: torch.Generator) -> Tensor:
        x = images[torch.randint(len(images), (BATCH,), generator=generator)]
        x = mirror(x.float() / 127.5 - 1)
        if batch_rng(generator).random() < PHOTOGRAPHIC:
            return photographic(x)
        return shift_turn_scale(x, shift=0.03, angle_deg=4, scale=0.08)

    def validate() -> dict[str, float]:
        found, rows = figures(trainer.average, held_out, trainer.dtype)
        save_rows(rows, args.run, trainer.step)
        return found

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume, validate=validate)
    if args.export:
        save_colorizer(trainer.average, args.export / COLORIZER_FILE)
