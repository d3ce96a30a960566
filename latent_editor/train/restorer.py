"""Trains the restorer: pictures are damaged in every way that a repair knows, and it learns what they were.

The generator, its encoder and its discriminator stay as they are. The restorer's features are what makes the render of
the encoder's guess the undamaged picture, once it is brought into agreement with what is known: in pixels, at four
scales, and in the discriminator's features, as in the ladder. Without the agreement, half of what it learned was what
is known.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from dataclasses import dataclass

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
from latent_editor.train.learning import Trainer, add_run_arguments, chance, train
from latent_editor.train.networks import Networks
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import save_rows

Agree = Callable[[Tensor], Tensor]
#: Gives likely colours to pictures that have none.
Colour = Callable[[Tensor], Tensor]

#: Weights of the terms: squared pixels and the discriminator's features beside the pyramid's 1 (as in the ladder's
#: objective), colours, which a picture without them leaves open, and the size of the features.
PIXELS, PERCEPTUAL, COLOURS, SIZE = 6.0, 24.0, 2.0, 0.002
#: How many times as much pixels count that are missing: those that are known are laid over the answer anyway.
MISSING = 3.0
BATCH = 8
#: This share of batches is of pictures in other light and places, as photographs are.
PHOTOGRAPHIC = 0.2
#: How often each kind of damage is shown, and how often another one with it.
SHARES = {"few": 0.6, "grey": 0.12, "hole": 0.18, "blur": 0.1}
TWO_AT_ONCE = 0.1


@dataclass(frozen=True, eq=False)
class Lesson:
    """A case, and what brings a picture into agreement with what is known in it."""

    case: Case
    agree: Agree


def random_lesson(x: Tensor, rng: random.Random, colour: Colour | None = None) -> Lesson:
    """Pictures [N, 3, S, S] damaged in one way, or in two at once; ``colour`` gives likely colours to grey ones."""
    kind = rng.choices(list(SHARES), list(SHARES.values()))[0]
    links: list[Degradation] = []
    hidden = None
    if kind == "few":
        links.append(Downsampled(8.0 if rng.random() < 0.7 else rng.choice((2.0, 4.0, 5.0, 6.0, 12.0))))
    elif kind == "grey":
        links.append(Grayscale())
    elif kind == "hole":
        hidden = random_hole(x.shape[-1], rng)
    else:
        links.append(Blurred(rng.uniform(1, 6)) if rng.random() < 0.5 else Noisy(rng.uniform(0.05, 0.4)))
    if rng.random() < TWO_AT_ONCE:
        links = [Grayscale(), *links] if not any(isinstance(link, Grayscale) for link in links) else [*links, Downsampled(4.0)]
        hidden = random_hole(x.shape[-1], rng) if hidden is None and rng.random() < 0.3 else hidden
    damage = Chain(tuple(links)) if links else None
    damaged = x if damage is None else damage(x)
    for link in links:
        if isinstance(link, Noisy):
            damaged = damaged + link.sigma * torch.randn_like(damaged)
    return lesson_of(damage, damaged, hidden, colour)


def lesson_of(damage: Degradation | None, damaged: Tensor, hidden: Tensor | None, colour: Colour | None = None) -> Lesson:
    """A lesson of damaged pictures; ``damage`` is what is wrong but for what is missing."""
    links = () if damage is None else links_of(damage)
    whole = Chain((*links, Masked(hidden))) if hidden is not None else damage
    seen = damaged if hidden is None else damaged * (1 - hidden)
    blurred = any(isinstance(link, Blurred | Noisy) for link in links)

    def agree(picture: Tensor) -> Tensor:
        # Sharp pictures of a blur are rough after it: they are learned as they are.
        return picture if whole is None or blurred else whole.agree(picture, seen)

    return Lesson(case_of(damage, damaged, hidden, colour), agree)


def random_hole(size_px: int, rng: random.Random) -> Tensor:
    """A rectangle of up to half the side, or some thick strokes: [1, 1, S, S]."""
    hidden = torch.zeros(1, 1, size_px, size_px)
    for _ in range(1 if rng.random() < 0.6 else rng.randint(3, 8)):
        wide, high = (round(size_px * rng.uniform(0.08, 0.55)) for _ in range(2))
        if rng.random() < 0.5:  # a scratch
            wide = max(2, wide // 10)
        left, top = rng.randint(0, size_px - wide), rng.randint(0, size_px - high)
        hidden[..., top : top + high, left : left + wide] = 1
    return hidden


class Teacher:
    """What lessons are made with: networks that stay as they are."""

    def __init__(self, nets: Networks, colorizer: Colorizer | None = None) -> None:
        self.nets, self.colorizer = nets, colorizer
        self.dtype = fastest_dtype(torch.device("cpu"))
        for module in nets.modules().values():
            module.requires_grad_(False)

    def new_restorer(self) -> Restorer:
        g = self.nets.generator
        size = min(max(g.size_px // 4, 4), 64)
        return Restorer(g.size_px, g.config.channels_at(size), size)

    def colour(self, picture: Tensor) -> Tensor:
        """What grey pictures are given before a restorer sees them."""
        if self.colorizer is None:
            return picture
        coloured: Tensor = self.colorizer(picture, dtype=self.dtype)
        return coloured

    def restored(self, restorer: Restorer, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The pictures that a restorer makes of a lesson, and the features, in standard deviations of activations."""
        g, size, case = self.nets.generator, restorer.config["features_px"], lesson.case

        def encode(picture: Tensor) -> Tensor:
            ws: Tensor = self.nets.encoder(picture, self.dtype)
            return ws

        with torch.no_grad():
            ws = first_guess(g, encode, case, lesson.agree)
            activations = g.activations(ws, size, dtype=self.dtype)
        features = restorer(case, activations, self.dtype)
        picture = with_changes(g, {size: features}, {}).synthesize(ws, dtype=self.dtype)
        return picture, features / activations.std()

    def losses(
        self, restorer: Restorer, batch: tuple[Tensor, Lesson], dtype: torch.dtype
    ) -> tuple[Tensor, dict[str, float]]:
        """How far a restorer is from pictures [N, 3, S, S] with what is left of them."""
        x, lesson = batch
        case = lesson.case
        picture, features = self.restored(restorer, lesson)  # [N, 3, S, S], [N, C, R, R]
        picture = lesson.agree(picture)
        weights = 1 + (MISSING - 1) * (1 - case.known)
        weights = weights / weights.mean()
        pixels = pyramid_l1(picture * weights, x * weights).mean() + PIXELS * (weights * (picture - x).square()).mean()
        discriminator = self.nets.discriminator
        with torch.no_grad():
            wanted = discriminator.maps(x, dtype)
        seen = discriminator.distance(discriminator.maps(picture, dtype), wanted).mean()
        colours = ((picture - luminance(picture)) - (x - luminance(x))).abs().mean()
        loss = pixels + PERCEPTUAL * seen + COLOURS * colours + SIZE * features.square().mean()
        return loss, {"pixels": pixels.item(), "perceptual": seen.item(), "colours": colours.item()}

    def trainer(self, restorer: Restorer, rate: float) -> Trainer[Restorer]:
        return Trainer(restorer, self.losses, rate, self.dtype)


def middle_hole(size_px: int) -> Tensor:
    """A square of a quarter of the picture, in the face: [1, 1, S, S]."""
    hidden = torch.zeros(1, 1, size_px, size_px)
    half, top, left = size_px // 2, round(0.35 * size_px), size_px // 4
    hidden[..., top : top + half, left : left + half] = 1
    return hidden


def validation_lessons(x: Tensor, colour: Colour | None = None) -> dict[str, Lesson]:
    """The three damages that are measured, on pictures [N, 3, S, S]."""
    few, grey = Downsampled(8.0), Grayscale()
    return {
        "8x": lesson_of(few, few(x), None),
        "grey": lesson_of(grey, grey(x), None, colour),
        "hole": lesson_of(None, x, middle_hole(x.shape[-1])),
    }


@torch.no_grad()
def figures(teacher: Teacher, restorer: Restorer, x: Tensor) -> tuple[dict[str, float], list[Tensor]]:
    """Distances of restored pictures as shares of those of the plain repair; and rows of pictures to look at."""
    found, rows = {}, [x]
    for name, lesson in validation_lessons(x, teacher.colour).items():
        case = lesson.case
        picture = lesson.agree(teacher.restored(restorer, lesson)[0].clamp(-1, 1)).clamp(-1, 1)
        plain = luminance(case.guess).expand_as(x) if name == "grey" else case.guess
        colour = [(p - luminance(p) - (x - luminance(x))).abs().mean() for p in (picture, plain)]
        seen = [perceptual_distance(teacher.nets.discriminator, p, x).mean() for p in (picture, plain)]
        found[f"{name}_perceptual"] = float(seen[0] / seen[1])
        found[f"{name}_colours"] = float(colour[0] / colour[1].clamp_min(1e-6))
        rows += [case.picture, picture]
    return found, rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_run_arguments(parser, rate=1.5e-3, start="a model's folder, with its encoder, discriminator and colorizer")


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``; begins with the folder's restorer where it has one."""
    torch.set_num_threads(args.threads)
    mine, colorizer = args.start / RESTORER_FILE, args.start / COLORIZER_FILE
    teacher = Teacher(Networks.read(args.start), read_colorizer(colorizer) if colorizer.exists() else None)
    trainer = teacher.trainer(read_restorer(mine) if mine.exists() else teacher.new_restorer(), args.rate)
    size = teacher.nets.generator.size_px
    images = read_pictures(args.data, size).images
    held_out = read_pictures(args.validation, size, limit=32).images.float() / 127.5 - 1

    def draw(generator: torch.Generator) -> tuple[Tensor, Lesson]:
        x = mirror(images[torch.randint(len(images), (BATCH,), generator=generator)].float() / 127.5 - 1)
        rng = chance(generator)
        x = photographic(x) if rng.random() < PHOTOGRAPHIC else shift_turn_scale(x, shift=0.02, angle_deg=3, scale=0.05)
        return x, random_lesson(x, rng, teacher.colour)

    def show() -> dict[str, float]:
        found, rows = figures(teacher, trainer.average, held_out)
        save_rows(rows, args.run, trainer.step)
        return found

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume, show=show)
    if args.export:
        save_restorer(trainer.average, args.export / RESTORER_FILE)
