"""Trains the colorizer: pictures lose their colours, and it learns which they were.

Mean absolute differences are learned, so that its answer is the middle of the colours that fit: what cannot be known
stays pale.
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
from latent_editor.train.learning import Trainer, add_run_arguments, chance, train
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import save_rows

BATCH = 32
#: This share of batches is of pictures in other light and places, as photographs are.
PHOTOGRAPHIC = 0.15
#: Dabs at random places, in the figures.
DABS = 3


def started_from(encoder: Encoder) -> Colorizer:
    """A colorizer whose trunk sees what an encoder's does."""
    config = encoder.config
    colorizer = Colorizer(config["size_px"], width=config["width"], max_width=config["max_width"])
    colorizer.trunk.stem.load_state_dict(encoder.trunk.stem.state_dict())
    colorizer.trunk.levels.load_state_dict(encoder.trunk.levels.state_dict())
    return colorizer


def losses(colorizer: Colorizer, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, dict[str, float]]:
    """The mean absolute difference from the colours of pictures [N, 3, S, S]."""
    found, _ = colorizer.chroma(x, dtype)
    loss = (found - F.adaptive_avg_pool2d(x - luminance(x), found.shape[-1])).abs().mean()
    return loss, {"loss": loss.item()}


def new_trainer(colorizer: Colorizer, rate: float) -> Trainer[Colorizer]:
    return Trainer(colorizer, losses, rate, fastest_dtype(torch.device("cpu")))


@torch.no_grad()
def figures(colorizer: Colorizer, x: Tensor, dtype: torch.dtype) -> tuple[dict[str, float], list[Tensor]]:
    """What is left of the colours' error, without and with dabs, of pictures [N, 3, S, S]; and rows to look at."""
    found, rows = {}, [x, luminance(x).expand_as(x)]
    left = (x - luminance(x)).abs().mean()
    for name, known in {"colours": None, "dabbed": random_dabs(x, random.Random(0))}.items():
        picture = colorizer(x, known, dtype)
        found[name] = float((picture - x).abs().mean() / left)
        rows.append(picture)
    return found, rows


def random_dabs(x: Tensor, rng: random.Random) -> Tensor:
    """Where colours are known in figures: [N, 1, S, S], 1 in a few squares of each picture."""
    size = x.shape[-1]
    known, side = torch.zeros_like(x[:, :1]), max(1, size // 32)
    for one in known:
        for _ in range(DABS):
            top, left = rng.randint(0, size - side), rng.randint(0, size - side)
            one[:, top : top + side, left : left + side] = 1
    return known


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, rate=3e-3, start="a model's folder, with its encoder")


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``; begins with the folder's colorizer where it has one."""
    torch.set_num_threads(args.threads)
    there = args.start / COLORIZER_FILE
    colorizer = read_colorizer(there) if there.exists() else started_from(read_encoder(args.start / ENCODER_FILE))
    trainer, size = new_trainer(colorizer, args.rate), colorizer.config["size_px"]
    images = read_pictures(args.data, size).images
    held_out = read_pictures(args.validation, size, limit=128).images.float() / 127.5 - 1

    def draw(generator: torch.Generator) -> Tensor:
        x = images[torch.randint(len(images), (BATCH,), generator=generator)]
        x = mirror(x.float() / 127.5 - 1)
        if chance(generator).random() < PHOTOGRAPHIC:
            return photographic(x)
        return shift_turn_scale(x, shift=0.03, angle_deg=4, scale=0.08)

    def show() -> dict[str, float]:
        found, rows = figures(trainer.average, held_out, trainer.dtype)
        save_rows(rows, args.run, trainer.step)
        return found

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume, show=show)
    if args.export:
        save_colorizer(trainer.average, args.export / COLORIZER_FILE)
