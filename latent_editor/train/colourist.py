"""Trains the colourist: pictures lose their colours, and it learns which they were.

Mean absolute differences are learned, so that its answer is the middle of the colours that fit: what cannot be known
stays pale. In half of the lessons a few dabs of the true colours are left in.
"""

from __future__ import annotations

import argparse
import random

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.degradations import luminance
from latent_editor.features.colourist import COLOURIST_FILE, Colourist, read_colourist, save_colourist
from latent_editor.features.encoder import ENCODER_FILE, Encoder, read_encoder
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.train.augmentation import mirror, photographic, shift_turn_scale
from latent_editor.train.learning import Trainer, add_run_arguments, train
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import save_rows

BATCH = 32
#: Of so many batches one is of pictures in other light and places, as photographs are; and one has dabs.
PHOTOGRAPHIC, DABBED = 0.15, 0.5
#: Most dabs, and sides of a dab as shares of the picture's.
MOST_DABS, DAB_SIDES = 6, (0.015, 0.08)


def started_from(encoder: Encoder) -> Colourist:
    """A colourist whose trunk sees what an encoder's does; of where colours are known it sees nothing yet."""
    config = encoder.config
    colourist = Colourist(config["size_px"], width=config["width"], max_width=config["max_width"])
    ours, theirs = colourist.trunk, encoder.trunk
    ours.levels.load_state_dict(theirs.levels.state_dict())
    with torch.no_grad():
        ours.stem.weight.zero_()
        inputs = theirs.stem.weight.shape[1]
        # Another number of inputs changes the layer's gain.
        ours.stem.weight[:, :inputs] = theirs.stem.weight * (theirs.stem.gain / ours.stem.gain)
        ours.stem.bias.copy_(theirs.stem.bias)
    return colourist


def random_dabs(x: Tensor, rng: random.Random) -> Tensor:
    """Where colours are known: [N, 1, S, S], 1 in a few squares of each picture, another number in each."""
    size = x.shape[-1]
    known = torch.zeros_like(x[:, :1])
    for one in known:
        for _ in range(rng.randint(0, MOST_DABS)):
            side = max(1, round(size * rng.uniform(*DAB_SIDES)))
            top, left = rng.randint(0, size - side), rng.randint(0, size - side)
            one[:, top : top + side, left : left + side] = 1
    return known


def dab_colours(x: Tensor, known: Tensor) -> Tensor:
    """What pictures [N, 3, S, S] have beside luminance where it is known, smoothed as of a dab, and 0 elsewhere."""
    return F.avg_pool2d(x - luminance(x), 5, stride=1, padding=2, count_include_pad=False) * known


def dabbed(x: Tensor, known: Tensor) -> Tensor:
    """Pictures [N, 3, S, S] without colours but where they are known."""
    return luminance(x) + dab_colours(x, known)


def losses(colourist: Colourist, batch: tuple[Tensor, Tensor], dtype: torch.dtype) -> tuple[Tensor, dict[str, float]]:
    """The mean absolute difference of colours; of pictures [N, 3, S, S], and where they are known [N, 1, S, S]."""
    x, known = batch
    found = colourist.colours(dabbed(x, known), known, dtype)
    loss = (found - F.adaptive_avg_pool2d(x - luminance(x), found.shape[-1])).abs().mean()
    return loss, {"loss": loss.item()}


def new_trainer(colourist: Colourist, rate: float) -> Trainer[Colourist]:
    return Trainer(colourist, losses, rate, fastest_dtype(torch.device("cpu")))


@torch.no_grad()
def figures(colourist: Colourist, x: Tensor, dtype: torch.dtype) -> tuple[dict[str, float], list[Tensor]]:
    """What is left of the colours' error, without and with dabs, of pictures [N, 3, S, S]; and rows to look at."""
    found, rows = {}, [x, luminance(x).expand_as(x)]
    left = (x - luminance(x)).abs().mean()
    for name, known in {"colours": torch.zeros_like(x[:, :1]), "dabbed": random_dabs(x, random.Random(0))}.items():
        picture = colourist(dabbed(x, known), known, dtype)
        found[name] = float((picture - x).abs().mean() / left)
        rows.append(picture)
    return found, rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, rate=3e-3, start="a model's folder, with its encoder")


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``; begins with the folder's colourist where it has one."""
    torch.set_num_threads(args.threads)
    there = args.start / COLOURIST_FILE
    colourist = read_colourist(there) if there.exists() else started_from(read_encoder(args.start / ENCODER_FILE))
    trainer, size = new_trainer(colourist, args.rate), colourist.config["size_px"]
    images = read_pictures(args.data, size).images
    held_out = read_pictures(args.validation, size, limit=128).images.float() / 127.5 - 1
    rng = random.Random(args.seed)

    def draw(generator: torch.Generator) -> tuple[Tensor, Tensor]:
        x = images[torch.randint(len(images), (BATCH,), generator=generator)]
        x = mirror(x.float() / 127.5 - 1)
        x = photographic(x) if rng.random() < PHOTOGRAPHIC else shift_turn_scale(x, shift=0.03, angle_deg=4, scale=0.08)
        return x, random_dabs(x, rng) if rng.random() < DABBED else torch.zeros_like(x[:, :1])

    def show() -> dict[str, float]:
        found, rows = figures(trainer.average, held_out, trainer.dtype)
        save_rows(rows, args.run, trainer.step)
        return found

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume, show=show)
    if args.export:
        save_colourist(trainer.average, args.export / COLOURIST_FILE)
