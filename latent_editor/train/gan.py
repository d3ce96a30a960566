"""Training of generator, encoder and discriminator together, resumable at any moment.

The road for two CPU cores: an encoder–generator pair trained for reconstruction, with an adversarial term on its
reconstructions and on random faces (as VAE-GAN, Larsen et al. 2016, with the networks of StyleGAN2).
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.models.bundle import MODEL_FILE
from latent_editor.networks.perceptual import psnr_db
from latent_editor.networks.pixel_weights import NEEDED, face_weights
from latent_editor.train.growing import grown
from latent_editor.train.networks import Networks, average, load_state, save_state
from latent_editor.train.objective import Objective, discriminator_loss, forward, generator_loss, r1_penalty
from latent_editor.train.pictures import Pictures, read_labels, read_pictures
from latent_editor.train.sheets import contact_sheet

STATE_FILE = "gan.pt"
#: The discriminator should be right about real pictures this much more often than wrong (Karras et al. 2020, ADA, r_t).
ADAPTIVE_TARGET = 0.6

#: The discriminator learns this much faster (two time scales, Heusel et al. 2017): behind, it lets swirls pass for
#: skin.
JUDGE_AHEAD = 2.0


@dataclass
class Trainer:
    """Everything that changes while training, and how to write it down.

    Attributes:
        weights: How much each pixel counts, [1, 1, S, S] with mean 1.
        learn_from: Resolution of the first of the generator's blocks that learn; above 4, all that comes before them
            stays as it is, the mapping and the encoder too.
    """

    nets: Networks
    objective: Objective = field(default_factory=Objective)
    dtype: torch.dtype = torch.bfloat16
    weights: Tensor = field(default_factory=lambda: torch.ones(1, 1, 1, 1))
    images_seen: int = 0
    steps: int = 0
    augment: float = 0.2
    learn_from: int = 4

    def __post_init__(self) -> None:
        self.nets.trainable(self.learn_from)
        self.averaged = self.nets.copy()
        both = [*self.nets.generator.parameters(), *self.nets.encoder.parameters()]
        players = [p for p in both if p.requires_grad]
        self.player = torch.optim.Adam(players, betas=(0.0, 0.99))
        self.judge = torch.optim.Adam(self.nets.discriminator.parameters(), betas=(0.0, 0.99))

    def step(self, images: Tensor, rate: float) -> dict[str, float]:
        """One step of both players on uint8 pictures [B, 3, S, S], at learning rate ``rate``."""
        self.player.param_groups[0]["lr"] = rate
        self.judge.param_groups[0]["lr"] = rate * JUDGE_AHEAD
        f = forward(self.nets, images, self.objective, self.dtype)

        loss_discriminator, confidence = discriminator_loss(self.nets, f, self.augment, self.dtype)
        if self.steps % self.objective.r1_every == 0:
            loss_discriminator = loss_discriminator + r1_penalty(self.nets, f, self.objective, self.augment)
        self.judge.zero_grad(set_to_none=True)
        loss_discriminator.backward()
        self.judge.step()

        self.nets.discriminator.requires_grad_(False)
        loss, parts = generator_loss(self.nets, f, self.objective, self.augment, self.dtype, self.weights)
        self.player.zero_grad(set_to_none=True)
        loss.backward()
        self.player.step()
        self.nets.discriminator.requires_grad_(True)

        self.steps += 1
        self.images_seen += len(images)
        average(self.averaged, self.nets, decay=min(0.998, self.steps / (self.steps + 10)))
        self.augment = min(0.6, max(0.0, self.augment + math.copysign(4e-4, confidence - ADAPTIVE_TARGET)))
        return {**parts, "discriminator": loss_discriminator.item(), "confidence": confidence, "augment": self.augment}

    def save(self, path: Path) -> None:
        live = {k: m.state_dict() for k, m in self.nets.modules().items()}
        averaged = {k: m.state_dict() for k, m in self.averaged.modules().items()}
        counts = {"images_seen": self.images_seen, "steps": self.steps, "augment": self.augment}
        optimizers = {"player": self.player.state_dict(), "judge": self.judge.state_dict()}
        save_state(path, {"live": live, "averaged": averaged, "counts": counts, **optimizers})

    def load(self, path: Path) -> None:
        state: dict[str, Any] = load_state(path)
        for name, module in self.nets.modules().items():
            module.load_state_dict(state["live"][name])
            self.averaged.modules()[name].load_state_dict(state["averaged"][name])
        self.player.load_state_dict(state["player"])
        self.judge.load_state_dict(state["judge"])
        for name, value in state["counts"].items():
            setattr(self, name, value)


def sampling_weights(pictures: Pictures, labels_path: Path | None) -> Tensor:
    """How often to show each picture: what is rare in the data, more often. [N], all 1 without labels."""
    weights = torch.ones(len(pictures))
    if labels_path is None:
        return weights
    labels = {row["file"]: row["attributes"] for row in read_labels(labels_path)}
    for i, name in enumerate(pictures.names):
        a = labels.get(name, {})
        weights[i] *= {"dark": 5.0, "brown": 3.0}.get(a.get("skin"), 1.0)
        weights[i] *= {"smile": 1.5, "open smile": 3.0}.get(a.get("expression"), 1.0)
        weights[i] *= 1.5 if a.get("pose", "frontal") != "frontal" else 1.0
        weights[i] *= 2.0 if a.get("style") == "photographic" else 1.0
    return weights


@torch.no_grad()
def reconstruction_db(nets: Networks, pictures: Tensor) -> float:
    """Mean PSNR of the encoder's reconstruction of uint8 pictures [N, 3, S, S]."""
    values = []
    for batch in pictures.split(32):
        x = batch.float() / 127.5 - 1
        values.append(psnr_db(x, nets.generator.synthesize(nets.encoder(x))))
    return torch.cat(values).mean().item()


def learning_rate(base: float, elapsed: float, total: float) -> float:
    """A short warm-up, then constant, then linear decay over the last third of the run's time."""
    warm = min(1.0, (elapsed + 5) / 60)
    return base * warm * min(1.0, max(0.02, (1 - elapsed / total) * 3))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a folder or a tar of pictures")
    parser.add_argument("--labels", type=Path, help="one JSON object a line; what is rare is shown more often")
    parser.add_argument("--validation", type=Path, help="pictures that are never trained on, for figures and sheets")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run's state, log and sheets")
    parser.add_argument(
        "--size", type=int, help="side of the pictures in pixels: of a new model (128), or to grow that of --start to"
    )
    parser.add_argument("--start", type=Path, help="a model's folder to start from, such as weights/portraits")
    parser.add_argument("--points", type=Path, help="a model.json with canonical_points (default: that of --start)")
    parser.add_argument("--resume", action="store_true", help="go on from the run's state where there is one")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate of Adam")
    parser.add_argument(
        "--adversarial",
        type=float,
        default=1.0,
        help="factor on the adversarial terms: less is smoother and more alike",
    )
    parser.add_argument(
        "--learn-from", type=int, default=4, help="train only the generator's blocks from this resolution on"
    )
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--export", type=Path, help="folder to write the averaged networks to at the end")


def pixel_weights(model_json: Path | None, size_px: int) -> Tensor:
    """Eyes, nose and mouth count most where a model's ``model.json`` says where its faces have them: [1, 1, S, S]."""
    about = json.loads(model_json.read_text(encoding="utf-8")) if model_json and model_json.is_file() else {}
    points = about.get("canonical_points") or {}
    return face_weights(points, size_px) if set(points) >= NEEDED else torch.ones(1, 1, 1, 1)


def make_trainer(args: argparse.Namespace) -> Trainer:
    nets = Networks.read(args.start) if args.start else Networks.new(args.size or 128)
    if args.size and args.size != nets.generator.size_px:
        nets = grown(nets, args.size)
    o = Objective()
    factor = args.adversarial
    o = replace(o, adversarial=o.adversarial * factor, adversarial_random=o.adversarial_random * factor)
    about = args.points or (args.start / MODEL_FILE if args.start else None)
    weights = pixel_weights(about, nets.generator.size_px)
    trainer = Trainer(nets, o, weights=weights, learn_from=args.learn_from)
    state = args.run / STATE_FILE
    if args.resume and state.exists():
        trainer.load(state)
        print(f"resumed at {trainer.images_seen:,} images", flush=True)
    return trainer


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, saving every few minutes."""
    if args.threads:
        torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    trainer = make_trainer(args)
    size = trainer.nets.generator.size_px
    pictures = read_pictures(args.data, size)
    weights = sampling_weights(pictures, args.labels)
    held_out = read_pictures(args.validation, size, limit=64).images if args.validation else pictures.images[:64]
    start, saved = time.monotonic(), time.monotonic()
    totals: dict[str, float] = {}
    first_step, first_seen = trainer.steps, trainer.images_seen
    while (elapsed := time.monotonic() - start) < args.minutes * 60:
        pick = torch.multinomial(weights, trainer.objective.batch, replacement=True)
        report = trainer.step(pictures.images[pick], learning_rate(args.rate, elapsed, args.minutes * 60))
        for k, v in report.items():
            totals[k] = totals.get(k, v) * 0.98 + v * 0.02
        if (trainer.steps - first_step) % 100 == 0:
            speed = (trainer.images_seen - first_seen) / (time.monotonic() - start)
            log(args.run, {"images": trainer.images_seen, "images_per_s": round(speed, 2), **totals})
        if time.monotonic() - saved > 240:
            checkpoint(trainer, args.run, held_out)
            saved = time.monotonic()
    checkpoint(trainer, args.run, held_out)
    if args.export:
        trainer.averaged.write(args.export)


def checkpoint(trainer: Trainer, run: Path, held_out: Tensor) -> None:
    """Writes the state, a contact sheet and the figures."""
    trainer.save(run / STATE_FILE)
    contact_sheet(trainer.averaged, held_out, run / "sheets" / f"{trainer.images_seen:08d}.jpg")
    log(run, {"images": trainer.images_seen, "validation_encoder_db": reconstruction_db(trainer.averaged, held_out)})


def log(run: Path, row: dict[str, float], *, name: str = "gan.jsonl") -> None:
    line = json.dumps({k: round(v, 4) for k, v in row.items()})
    print(line, flush=True)
    with (run / name).open("a", encoding="utf-8") as f:
        f.write(line + "\n")
