"""Trains the restorer: pictures are damaged in every way that a repair knows, and it learns what they were.

The generator, its encoder and its critic stay as they are. The restorer's features are what makes the render of the
encoder's guess the undamaged picture, once it is brought into agreement with what is known: in pixels, at four scales,
and in the critic's features, as in the ladder. Without the agreement, half of what it learned was what is known.
"""

from __future__ import annotations

import argparse
import copy
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.degradations import (
    Blurred,
    Chain,
    Damage,
    Downsampled,
    Grey,
    Masked,
    Noisy,
    links_of,
    luminance,
)
from latent_editor.features.perceptual import perceptual_distance, pyramid_l1
from latent_editor.features.restorer import LOOKS, RESTORER_FILE, Case, Restorer, case_of, first_guess, save_restorer
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.refined import changed
from latent_editor.train.augmentation import mirror, photographic, shift_turn_scale
from latent_editor.train.gan import learning_rate, log
from latent_editor.train.networks import Networks, load_state, save_state
from latent_editor.train.pictures import read_pictures
from latent_editor.train.sheets import grid

Agree = Callable[[Tensor], Tensor]

STATE_FILE, LOG_FILE = "restorer.pt", "restorer.jsonl"
#: Weights of the terms: squared pixels and the critic's features beside the pyramid's 1 (as in the ladder's objective),
#: colours, which a picture without them leaves open, and the size of the features.
PIXELS, PERCEPTUAL, COLOURS, SIZE = 6.0, 24.0, 2.0, 0.002
#: How many times as much pixels count that are missing: those that are known are laid over the answer anyway.
MISSING = 3.0
BATCH = 8
#: Of so many batches one is of pictures in other light and places, as photographs are.
PHOTOGRAPHIC = 0.3


@dataclass(frozen=True, eq=False)
class Lesson:
    """A case, what brings a picture into agreement with what is known in it, and how often the encoder looks."""

    case: Case
    agree: Agree
    looks: int


def random_lesson(x: Tensor, rng: random.Random) -> Lesson:
    """Pictures [N, 3, S, S] damaged in one way, or in two at once."""
    kind = rng.random()
    links: list[Damage] = []
    hidden = None
    if kind < 0.4:
        links.append(Downsampled(8.0 if rng.random() < 0.5 else rng.choice((2.0, 4.0, 5.0, 6.0, 12.0))))
    elif kind < 0.65:
        links.append(Grey())
    elif kind < 0.9:
        hidden = random_hole(x.shape[-1], rng)
    else:
        links.append(Blurred(rng.uniform(1, 6)) if rng.random() < 0.5 else Noisy(rng.uniform(0.05, 0.4)))
    if rng.random() < 0.2:  # another one too
        links = [Grey(), *links] if not any(isinstance(link, Grey) for link in links) else [*links, Downsampled(4.0)]
        hidden = random_hole(x.shape[-1], rng) if hidden is None and rng.random() < 0.3 else hidden
    damage = Chain(tuple(links)) if links else None
    damaged = x if damage is None else damage(x)
    for link in links:
        if isinstance(link, Noisy):
            damaged = damaged + link.sigma * torch.randn_like(damaged)
    return lesson_of(damage, damaged, hidden)


def lesson_of(damage: Damage | None, damaged: Tensor, hidden: Tensor | None) -> Lesson:
    """A lesson of damaged pictures; ``damage`` is what is wrong but for what is missing."""
    links = () if damage is None else links_of(damage)
    whole = Chain((*links, Masked(hidden))) if hidden is not None else damage
    seen = damaged if hidden is None else damaged * (1 - hidden)
    blurred, grey = (any(isinstance(link, kind) for link in links) for kind in (Blurred | Noisy, Grey))

    def agree(picture: Tensor) -> Tensor:
        # Sharp pictures of a blur are rough after it: they are learned as they are.
        return picture if whole is None or blurred else whole.agree(picture, seen)

    return Lesson(case_of(damage, damaged, hidden), agree, 1 if grey else LOOKS)


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


class RestorerTrainer:
    """A restorer and its average, beside networks that stay as they are."""

    def __init__(self, nets: Networks, features_px: int | None = None) -> None:
        self.nets = nets
        g = nets.generator
        size = features_px or min(max(g.size_px // 4, 4), 64)
        self.restorer = Restorer(g.size_px, g.config.channels_at(size), size)
        self.averaged = copy.deepcopy(self.restorer)
        self.adam = torch.optim.Adam(self.restorer.parameters(), betas=(0.9, 0.99))
        self.dtype = fastest_dtype(torch.device("cpu"))
        self.steps = 0
        for module in nets.modules().values():
            module.requires_grad_(False)

    def restored(self, restorer: Restorer, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """The pictures that a restorer makes of a lesson, and the features, in standard deviations of activations."""
        g, size, case = self.nets.generator, restorer.config["features_px"], lesson.case

        def encode(picture: Tensor) -> Tensor:
            ws: Tensor = self.nets.encoder(picture, self.dtype)
            return ws

        with torch.no_grad():
            ws = first_guess(g, encode, case, lesson.agree, looks=lesson.looks)
            activations = g.activations(ws, size, dtype=self.dtype)
        features = restorer(case, activations, self.dtype)
        picture = changed(g, {size: features}, {}).synthesize(ws, dtype=self.dtype)
        return picture, features / activations.std()

    def step(self, x: Tensor, lesson: Lesson, rate: float) -> dict[str, float]:
        """One step on pictures [N, 3, S, S] and what is left of them."""
        case = lesson.case
        self.adam.param_groups[0]["lr"] = rate
        picture, features = self.restored(self.restorer, lesson)  # [N, 3, S, S], [N, C, R, R]
        picture = lesson.agree(picture)
        weights = 1 + (MISSING - 1) * (1 - case.known)
        weights = weights / weights.mean()
        pixels = pyramid_l1(picture * weights, x * weights).mean() + PIXELS * (weights * (picture - x).square()).mean()
        critic = self.nets.critic
        with torch.no_grad():
            wanted = critic.maps(x, self.dtype)
        seen = critic.distance(critic.maps(picture, self.dtype), wanted).mean()
        colours = ((picture - luminance(picture)) - (x - luminance(x))).abs().mean()
        loss = pixels + PERCEPTUAL * seen + COLOURS * colours + SIZE * features.square().mean()
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.restorer.parameters(), 1.0)
        self.adam.step()
        self.steps += 1
        with torch.no_grad():
            for a, b in zip(self.averaged.parameters(), self.restorer.parameters(), strict=True):
                a.lerp_(b, max(0.003, 1 / (self.steps + 1)))
        return {"pixels": pixels.item(), "perceptual": seen.item(), "colours": colours.item()}

    def state(self) -> dict[str, Any]:
        parts = {"restorer": self.restorer, "averaged": self.averaged, "adam": self.adam}
        return {"steps": self.steps, **{name: part.state_dict() for name, part in parts.items()}}  # type: ignore[attr-defined]

    def load(self, state: dict[str, Any]) -> None:
        for name in ("restorer", "averaged", "adam"):
            getattr(self, name).load_state_dict(state[name])
        self.steps = state["steps"]


def validation_lessons(x: Tensor) -> dict[str, Lesson]:
    """The three damages that are measured, on pictures [N, 3, S, S]."""
    size = x.shape[-1]
    hidden = torch.zeros(1, 1, size, size)
    hidden[..., round(0.35 * size) : round(0.85 * size), size // 4 : size // 4 + size // 2] = 1
    few, grey = Downsampled(8.0), Grey()
    return {
        "8x": lesson_of(few, few(x), None),
        "grey": lesson_of(grey, grey(x), None),
        "hole": lesson_of(None, x, hidden),
    }


@torch.no_grad()
def figures(trainer: RestorerTrainer, x: Tensor) -> tuple[dict[str, float], list[Tensor]]:
    """Distances of restored pictures as shares of those of the plain repair; and rows of pictures to look at."""
    found, rows = {}, [x]
    for name, lesson in validation_lessons(x).items():
        case = lesson.case
        picture = lesson.agree(trainer.restored(trainer.averaged, lesson)[0].clamp(-1, 1)).clamp(-1, 1)
        colour = [(p - luminance(p) - (x - luminance(x))).abs().mean() for p in (picture, case.guess)]
        seen = [perceptual_distance(trainer.nets.critic, p, x).mean() for p in (picture, case.guess)]
        found[f"{name}_perceptual"] = float(seen[0] / seen[1])
        found[f"{name}_colours"] = float(colour[0] / colour[1].clamp_min(1e-6))
        rows += [case.picture, picture]
    return found, rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a folder or a tar of pictures")
    parser.add_argument("--validation", type=Path, required=True, help="pictures that are never trained on")
    parser.add_argument("--start", type=Path, required=True, help="a model's folder, with its encoder and critic")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run's state, log and sheets")
    parser.add_argument("--resume", action="store_true", help="go on from the run's state where there is one")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate of Adam")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--export", type=Path, help="folder to write the restorer to at the end")


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, saving every few minutes."""
    if args.threads:
        torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    trainer = RestorerTrainer(Networks.read(args.start))
    if args.resume and (args.run / STATE_FILE).exists():
        trainer.load(load_state(args.run / STATE_FILE))
        print(f"resumed at {trainer.steps:,} steps", flush=True)
    size = trainer.nets.generator.size_px
    images = read_pictures(args.data, size).images
    held_out = read_pictures(args.validation, size, limit=32).images.float() / 127.5 - 1
    rng = random.Random(trainer.steps)
    start = saved = time.monotonic()
    first, totals = trainer.steps, dict[str, float]()
    while (elapsed := time.monotonic() - start) < args.minutes * 60:
        x = mirror(images[torch.randint(len(images), (BATCH,))].float() / 127.5 - 1)
        x = photographic(x) if rng.random() < PHOTOGRAPHIC else shift_turn_scale(x, shift=0.02, angle_deg=3, scale=0.05)
        report = trainer.step(x, random_lesson(x, rng), learning_rate(args.rate, elapsed, args.minutes * 60))
        totals = {k: totals.get(k, v) * 0.98 + v * 0.02 for k, v in report.items()}
        if (trainer.steps - first) % 50 == 0:
            speed = (trainer.steps - first) * BATCH / (time.monotonic() - start)
            log(args.run, {"steps": trainer.steps, "images_per_s": round(speed, 2), **totals}, name=LOG_FILE)
        if time.monotonic() - saved > 300:
            checkpoint(trainer, args.run, held_out)
            saved = time.monotonic()
    checkpoint(trainer, args.run, held_out)
    if args.export:
        save_restorer(trainer.averaged, args.export / RESTORER_FILE)


def checkpoint(trainer: RestorerTrainer, run: Path, held_out: Tensor) -> None:
    """Writes the state, a sheet and the figures."""
    save_state(run / STATE_FILE, trainer.state())
    found, rows = figures(trainer, held_out)
    sheet = run / "sheets" / f"{trainer.steps:06d}.jpg"
    sheet.parent.mkdir(parents=True, exist_ok=True)
    grid(torch.cat([row[:8] for row in rows]), 8).save(sheet, quality=90)
    log(run, {"steps": trainer.steps, **found}, name=LOG_FILE)
