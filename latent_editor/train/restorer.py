"""Trains the restorer on images with all supported kinds of damage.

The generator, its encoder and its discriminator are frozen. The restorer predicts features with which the render of the
encoder's result matches the undamaged image, after projection onto the known data: in pixels, at four scales, and in
discriminator features, as in inversion. Without the projection, half of its capacity went into what is already known.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.degradations import (
    Blurred,
    Chain,
    Degradation,
    Downsampled,
    Grayscale,
    Masked,
    Noisy,
    links_of,
    luminance,
)
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.refined import with_changes
from latent_editor.networks.colorizer import COLORIZER_FILE, Colorizer, read_colorizer
from latent_editor.networks.perceptual import perceptual_distance, pyramid_l1
from latent_editor.networks.restorer import (
    RESTORER_FILE,
    Case,
    Restorer,
    case_of,
    first_guess,
    read_restorer,
    save_restorer,
)
from latent_editor.train.augmentation import mirror, photographic, shift_turn_scale
from latent_editor.train.learning import Trainer, add_run_arguments, batch_rng, train
from latent_editor.train.networks import Networks
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import save_rows
from latent_editor.train.widening import rechanneled

#: Projects images onto the known data.
Agree = Callable[[Tensor], Tensor]
#: Predicts the colors of grayscale images.
Colorize = Callable[[Tensor], Tensor]

#: Loss weights relative to the pyramid's: squared pixel error and discriminator features (as in inversion), chroma,
#: which a grayscale image leaves open, and the squared size of the predicted features.
PIXELS, PERCEPTUAL, CHROMA, SIZE = 6.0, 24.0, 2.0, 0.002
#: Weight of missing pixels relative to known ones, which the projection restores anyway.
MISSING = 3.0
BATCH = 8
#: Share of batches that are augmented to look like photographs.
PHOTOGRAPHIC = 0.2
#: Probability of each kind of damage, and of a second one on top.
SHARES = {"downsampled": 0.6, "grayscale": 0.12, "hole": 0.18, "blur": 0.1}
SECOND_DAMAGE = 0.1


@dataclass(frozen=True, eq=False)
class Example:
    """A training example: the input of the restorer, and the projection onto its known data."""

    case: Case
    agree: Agree


def random_example(x: Tensor, rng: random.Random, colorize: Colorize | None = None) -> Example:
    """Damages images [N, 3, S, S] in one way, or in two; ``colorize`` predicts the colors of grayscale ones."""
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    links: list[Degradation] = []
    hidden = None
    if kind == "downsampled":
        links.append(Downsampled(8.0 if rng.random() < 0.7 else rng.choice((2.0, 4.0, 5.0, 6.0, 12.0))))
    elif kind == "grayscale":
        links.append(Grayscale())
    elif kind == "hole":
        hidden = random_hole(x.shape[-1], rng)
    else:
        links.append(Blurred(rng.uniform(1, 6)) if rng.random() < 0.5 else Noisy(rng.uniform(0.05, 0.4)))
    if rng.random() < SECOND_DAMAGE:
        links = [*links, Downsampled(4.0)] if kind == "grayscale" else [Grayscale(), *links]
        hidden = random_hole(x.shape[-1], rng) if hidden is None and rng.random() < 0.3 else hidden
    damage = Chain(tuple(links)) if links else None
    damaged = x if damage is None else damage(x)
    for link in links:
        if isinstance(link, Noisy):
            damaged = damaged + link.sigma * torch.randn_like(damaged)
    return example_of(damage, damaged, hidden, colorize)


def example_of(
    damage: Degradation | None, damaged: Tensor, hidden: Tensor | None, colorize: Colorize | None = None
) -> Example:
    """A training example.

    Args:
        damage: The degradation except for holes; None for none.
        damaged: The degraded images [N, 3, S, S], before holes are cut.
        hidden: [1, 1, S, S], 1 inside holes; None without.
        colorize: Predicts the colors of grayscale images; None leaves them gray.
    """
    links = () if damage is None else links_of(damage)
    whole = Chain((*links, Masked(hidden))) if hidden is not None else damage
    seen = damaged if hidden is None else damaged * (1 - hidden)
    blurred = any(isinstance(link, Blurred | Noisy) for link in links)

    def agree(picture: Tensor) -> Tensor:
        # For blur and noise, the projection roughens a sharp image, so the output is compared without it.
        return picture if whole is None or blurred else whole.agree(picture, seen)

    return Example(case_of(damage, damaged, hidden, colorize), agree)


def random_hole(size_px: int, rng: random.Random) -> Tensor:
    """One rectangle, or several rectangles and scratches: [1, 1, S, S], 1 inside."""
    hidden = torch.zeros(1, 1, size_px, size_px)
    for _ in range(1 if rng.random() < 0.6 else rng.randint(3, 8)):
        wide, high = (round(size_px * rng.uniform(0.08, 0.55)) for _ in range(2))
        if rng.random() < 0.5:  # a scratch
            wide = max(2, wide // 10)
        left, top = rng.randint(0, size_px - wide), rng.randint(0, size_px - high)
        hidden[..., top : top + high, left : left + wide] = 1
    return hidden


class FrozenModel:
    """The frozen networks that the restorer is trained with."""

    def __init__(self, nets: Networks, colorizer: Colorizer | None = None) -> None:
        self.nets, self.colorizer = nets, colorizer
        self.dtype = fastest_dtype(torch.device("cpu"))
        for module in nets.modules().values():
            module.requires_grad_(False)

    def new_restorer(self) -> Restorer:
        """An untrained restorer of the right shape."""
        g = self.nets.generator
        size = min(max(g.size_px // 4, 4), 64)
        return Restorer(g.size_px, g.config.channels_at(size), size)

    def restorer_from(self, path: Path) -> Restorer:
        """A trained restorer, widened if the generator has become wider since."""
        return rechanneled(read_restorer(path), self.new_restorer().config["channels"])

    def colorize(self, picture: Tensor) -> Tensor:
        """Predicts the colors of grayscale images; returns them unchanged without a colorizer."""
        if self.colorizer is None:
            return picture
        colored: Tensor = self.colorizer(picture, dtype=self.dtype)
        return colored

    def restored(self, restorer: Restorer, example: Example) -> tuple[Tensor, Tensor]:
        """The restored images, and the predicted features in standard deviations of the activations."""
        g, size, case = self.nets.generator, restorer.config["features_px"], example.case

        def encode(picture: Tensor) -> Tensor:
            ws: Tensor = self.nets.encoder(picture, self.dtype)
            return ws

        with torch.no_grad():
            ws = first_guess(g, encode, case, example.agree)
            activations = g.activations(ws, size, dtype=self.dtype)
        features = restorer(case, activations, self.dtype)
        picture = with_changes(g, {size: features}, {}).synthesize(ws, dtype=self.dtype)
        return picture, features / activations.std()

    def losses(
        self, restorer: Restorer, batch: tuple[Tensor, Example], dtype: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]:
        """The training loss for undamaged images [N, 3, S, S] and their damaged versions, and its terms for the log."""
        x, example = batch
        case = example.case
        picture, features = self.restored(restorer, example)  # [N, 3, S, S], [N, C, R, R]
        picture = example.agree(picture)
        weights = 1 + (MISSING - 1) * (1 - case.known)
        weights = weights / weights.mean()
        pixels = pyramid_l1(picture * weights, x * weights).mean() + PIXELS * (weights * (picture - x).square()).mean()
        discriminator = self.nets.discriminator
        with torch.no_grad():
            target_maps = discriminator.maps(x, dtype)
        perceptual = discriminator.distance(discriminator.maps(picture, dtype), target_maps).mean()
        chroma = ((picture - luminance(picture)) - (x - luminance(x))).abs().mean()
        loss = pixels + PERCEPTUAL * perceptual + CHROMA * chroma + SIZE * features.square().mean()
        return loss, {"pixels": pixels.item(), "perceptual": perceptual.item(), "chroma": chroma.item()}

    def trainer(self, restorer: Restorer, rate: float) -> Trainer[Restorer]:
        return Trainer(restorer, self.losses, rate, self.dtype)


def middle_hole(size_px: int) -> Tensor:
    """A square hole of a quarter of the image, inside the face: [1, 1, S, S]."""
    hidden = torch.zeros(1, 1, size_px, size_px)
    half, top, left = size_px // 2, round(0.35 * size_px), size_px // 4
    hidden[..., top : top + half, left : left + half] = 1
    return hidden


def validation_examples(x: Tensor, colorize: Colorize | None = None) -> dict[str, Example]:
    """The three kinds of damage in validation, applied to images [N, 3, S, S]."""
    downsampled, grayscale = Downsampled(8.0), Grayscale()
    return {
        "8x": example_of(downsampled, downsampled(x), None),
        "grayscale": example_of(grayscale, grayscale(x), None, colorize),
        "hole": example_of(None, x, middle_hole(x.shape[-1])),
    }


@torch.no_grad()
def figures(model: FrozenModel, restorer: Restorer, x: Tensor) -> tuple[dict[str, float], list[Tensor]]:
    """Errors of restored images relative to a plain repair without a model; and rows of images for a contact sheet."""
    found, rows = {}, [x]
    for name, example in validation_examples(x, model.colorize).items():
        case = example.case
        picture = example.agree(model.restored(restorer, example)[0].clamp(-1, 1)).clamp(-1, 1)
        plain = luminance(case.guess).expand_as(x) if name == "grayscale" else case.guess
        chroma = [(p - luminance(p) - (x - luminance(x))).abs().mean() for p in (picture, plain)]
        perceptual = [perceptual_distance(model.nets.discriminator, p, x).mean() for p in (picture, plain)]
        found[f"{name}_perceptual"] = float(perceptual[0] / perceptual[1])
        found[f"{name}_chroma"] = float(chroma[0] / chroma[1].clamp_min(1e-6))
        rows += [case.picture, picture]
    return found, rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(
        parser, rate=1.5e-3, start="model folder with encoder, discriminator and, if available, colorizer"
    )


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, starting from the folder's restorer if it has one."""
    torch.set_num_threads(args.threads)
    existing, colorizer = args.start / RESTORER_FILE, args.start / COLORIZER_FILE
    model = FrozenModel(Networks.read(args.start), read_colorizer(colorizer) if colorizer.exists() else None)
    trainer = model.trainer(model.restorer_from(existing) if existing.exists() else model.new_restorer(), args.rate)
    size = model.nets.generator.size_px
    images = read_pictures(args.data, size).images
    held_out = read_pictures(args.validation, size, limit=32).images.float() / 127.5 - 1

    def draw(generator: torch.Generator) -> tuple[Tensor, Example]:
        x = mirror(images[torch.randint(len(images), (BATCH,), generator=generator)].float() / 127.5 - 1)
        rng = batch_rng(generator)
        x = photographic(x) if rng.random() < PHOTOGRAPHIC else shift_turn_scale(x, shift=0.02, angle_deg=3, scale=0.05)
        return x, random_example(x, rng, model.colorize)

    def validate() -> dict[str, float]:
        found, rows = figures(model, trainer.average, held_out)
        save_rows(rows, args.run, trainer.step)
        return found

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume, validate=validate)
    if args.export:
        save_restorer(trainer.average, args.export / RESTORER_FILE)
