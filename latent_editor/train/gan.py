"""Joint training of generator, encoder and discriminator, resumable at any time.

Designed for two CPU cores: an encoder–generator pair trained for reconstruction, with an adversarial loss on its
reconstructions and on random faces (like VAE-GAN, Larsen et al. 2016, with the networks of StyleGAN2).
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
from latent_editor.train.growing import grown, halved, rejoined
from latent_editor.train.networks import Networks, average, load_state, save_state
from latent_editor.train.objective import Faces, Objective, discriminator_loss, forward, generator_loss, r1_penalty
from latent_editor.train.pictures import read_pictures
from latent_editor.train.projected import ProjectedHeads
from latent_editor.train.sheets import contact_sheet
from latent_editor.train.sources import Sources, archive_weight, painting_weight, photograph_weight, read_source
from latent_editor.train.teacher import FaceTeacher, read_teacher
from latent_editor.train.widening import deepened, widened

STATE_FILE = "gan.pt"
#: Target mean sign of the discriminator's logits on real images (r_t in ADA, Karras et al. 2020).
ADAPTIVE_TARGET = 0.6

#: Learning rate of the discriminator relative to the generator's (TTUR, Heusel et al. 2017): a discriminator that falls
#: behind accepts swirls as skin.
DISCRIMINATOR_RATE_FACTOR = 2.0
#: Decay of the weight average, a half-life of about 700 steps: batches of a dozen images are noisy.
DECAY = 0.999
#: Input size of the face teacher: for networks of up to :data:`SMALL_TEACHER_PX` pixels, and for larger ones.
SMALL_TEACHER_PX, TEACHER_PX = 160, 224


@dataclass
class Trainer:
    """The full training state, and its file format.

    Attributes:
        weights: Pixel weights of the reconstruction loss, [1, 1, S, S] with mean 1.
        augment: Current probability of the discriminator's augmentations, 0..1.
        learn_from: Lowest resolution of the generator blocks to train. Above 4, everything before them is frozen,
            including the mapping network and the encoder.
        faces: Face teacher and its discriminator heads; None without.
        last_gray: Number of grayscale images at the end of each batch, compared by luminance only.
    """

    nets: Networks
    objective: Objective = field(default_factory=Objective)
    dtype: torch.dtype = torch.bfloat16
    weights: Tensor = field(default_factory=lambda: torch.ones(1, 1, 1, 1))
    images_seen: int = 0
    steps: int = 0
    augment: float = 0.2
    learn_from: int = 4
    faces: Faces | None = None
    last_gray: int = 0

    def __post_init__(self) -> None:
        self.nets.trainable(self.learn_from)
        self.averaged = self.nets.copy()
        parameters = [*self.nets.generator.parameters(), *self.nets.encoder.parameters()]
        trained = [p for p in parameters if p.requires_grad]
        self.generator_optimizer = torch.optim.Adam(trained, betas=(0.0, 0.99))
        heads = [] if self.faces is None else self.faces.heads.trainable()
        discriminators = [*self.nets.discriminator.parameters(), *heads]
        self.discriminator_optimizer = torch.optim.Adam(discriminators, betas=(0.0, 0.99))

    def step(self, images: Tensor, rate: float) -> dict[str, float]:
        """One step of generator and discriminator on uint8 images [B, 3, S, S], at learning rate ``rate``."""
        self.generator_optimizer.param_groups[0]["lr"] = rate
        self.discriminator_optimizer.param_groups[0]["lr"] = rate * DISCRIMINATOR_RATE_FACTOR
        f = forward(self.nets, images, self.objective, self.dtype, last_gray=self.last_gray)

        loss_discriminator, confidence = discriminator_loss(self.nets, f, self.augment, self.dtype, self.faces)
        if self.steps % self.objective.r1_every == 0:
            loss_discriminator = loss_discriminator + r1_penalty(self.nets, f, self.objective, self.augment)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss_discriminator.backward()
        self.discriminator_optimizer.step()

        self._set_discriminators_trainable(False)
        loss, parts = generator_loss(self.nets, f, self.objective, self.augment, self.dtype, self.weights, self.faces)
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.generator_optimizer.step()
        self._set_discriminators_trainable(True)

        self.steps += 1
        self.images_seen += len(images)
        average(self.averaged, self.nets, decay=min(DECAY, self.steps / (self.steps + 10)))
        self.augment = min(0.6, max(0.0, self.augment + math.copysign(4e-4, confidence - ADAPTIVE_TARGET)))
        return {**parts, "discriminator": loss_discriminator.item(), "confidence": confidence, "augment": self.augment}

    def _set_discriminators_trainable(self, enabled: bool) -> None:
        self.nets.discriminator.requires_grad_(enabled)
        if self.faces is not None:
            self.faces.heads.heads.requires_grad_(enabled)

    def save(self, path: Path) -> None:
        live = {k: m.state_dict() for k, m in self.nets.modules().items()}
        averaged = {k: m.state_dict() for k, m in self.averaged.modules().items()}
        counts = {"images_seen": self.images_seen, "steps": self.steps, "augment": self.augment}
        optimizers = {
            "generator_optimizer": self.generator_optimizer.state_dict(),
            "discriminator_optimizer": self.discriminator_optimizer.state_dict(),
        }
        heads = {} if self.faces is None else {"heads": self.faces.heads.state_dict()}
        save_state(path, {"live": live, "averaged": averaged, "counts": counts, **heads, **optimizers})

    def load(self, path: Path) -> None:
        state: dict[str, Any] = load_state(path)
        for name, module in self.nets.modules().items():
            module.load_state_dict(state["live"][name])
            self.averaged.modules()[name].load_state_dict(state["averaged"][name])
        if self.faces is not None:
            self.faces.heads.load_state_dict(state["heads"])
        self.generator_optimizer.load_state_dict(state["generator_optimizer"])
        self.discriminator_optimizer.load_state_dict(state["discriminator_optimizer"])
        for name, value in state["counts"].items():
            setattr(self, name, value)


@torch.no_grad()
def reconstruction_db(nets: Networks, pictures: Tensor) -> float:
    """Mean PSNR in dB of the encoder's reconstructions of uint8 images [N, 3, S, S]."""
    values = []
    for batch in pictures.split(32):
        x = batch.float() / 127.5 - 1
        values.append(psnr_db(x, nets.generator.synthesize(nets.encoder(x))))
    return torch.cat(values).mean().item()


@torch.no_grad()
def identity_similarity(nets: Networks, pictures: Tensor, teacher: FaceTeacher) -> float:
    """Mean cosine of a face teacher's identity vectors between uint8 images [N, 3, S, S] and their reconstructions."""
    values = []
    for batch in pictures.split(16):
        x = batch.float() / 127.5 - 1
        y = nets.generator.synthesize(nets.encoder(x)).clamp(-1, 1)
        values.append((teacher.identity(teacher.maps(x)) * teacher.identity(teacher.maps(y))).sum(dim=1))
    return torch.cat(values).mean().item()


def learning_rate(base: float, elapsed: float, total: float) -> float:
    """A short warm-up, a constant rate, then linear decay over the last third of the run; times in seconds."""
    warm = min(1.0, (elapsed + 5) / 60)
    return base * warm * min(1.0, max(0.02, (1 - elapsed / total) * 3))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    data = parser.add_argument_group("images (a folder, or a tar with labels of the same name next to it)")
    data.add_argument("--data", type=Path, required=True, help="the main dataset, such as paintings")
    data.add_argument("--labels", type=Path, help="JSON Lines; rare attributes are oversampled")
    data.add_argument("--photographs", type=Path, help="photographs, mixed into each batch")
    data.add_argument("--photo-share", type=float, default=0.6, help="share of photographs in a batch (default: 0.6)")
    data.add_argument("--grayscale", type=Path, help="old photographs, trained on by luminance only")
    data.add_argument("--grayscale-count", type=int, default=3, help="grayscale images per batch (default: 3)")
    data.add_argument("--validation", type=Path, help="held-out images for metrics and contact sheets")
    parser.add_argument("--run", type=Path, required=True, help="folder for state, log and contact sheets")
    parser.add_argument("--resume", action="store_true", help="continue from the run's state if there is one")
    parser.add_argument("--minutes", type=float, default=60, help="training time (default %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--export", type=Path, help="folder for the averaged networks at the end")
    nets = parser.add_argument_group("networks")
    nets.add_argument("--start", type=Path, help="model folder to start from, such as weights/portraits")
    nets.add_argument("--points", type=Path, help="a model.json with canonical_points (default: that of --start)")
    nets.add_argument(
        "--size", type=int, help="image size in pixels: of a new model (128), or twice that of --start to grow it"
    )
    nets.add_argument(
        "--half", action="store_true", help="train at half resolution, without the highest-resolution layers"
    )
    nets.add_argument("--channels", type=_numbers, help="widen the generator to these channels at 4², 8², …: 256,256,…")
    nets.add_argument("--deep-width", type=int, default=0, help="widen the encoder's last two levels to this")
    nets.add_argument(
        "--learn-from", type=int, default=4, help="train only the generator blocks from this resolution on"
    )
    objective = parser.add_argument_group("objective")
    objective.add_argument("--rate", type=float, default=1.5e-3, help="learning rate of Adam")
    objective.add_argument("--batch", type=int, default=Objective.batch, help="images per step (default: 16)")
    objective.add_argument(
        "--adversarial",
        type=float,
        default=1.0,
        help="scale of the adversarial losses: lower is smoother and closer to the input",
    )
    objective.add_argument(
        "--offsets", type=float, default=Objective.offsets, help="weight of the size of the offsets (default: 0.005)"
    )
    objective.add_argument(
        "--identity", type=float, default=Objective.identity, help="weight of the teacher's identity (default: 0.3)"
    )
    objective.add_argument(
        "--teacher", type=Path, help="face network for the identity and feature losses and the projected heads"
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(","))


def pixel_weights(model_json: Path | None, size_px: int) -> Tensor:
    """Pixel weights [1, 1, S, S], highest at eyes, nose and mouth; all 1 without canonical points in ``model_json``."""
    about = json.loads(model_json.read_text(encoding="utf-8")) if model_json and model_json.is_file() else {}
    points = about.get("canonical_points") or {}
    return face_weights(points, size_px) if set(points) >= NEEDED else torch.ones(1, 1, 1, 1)


def make_networks(args: argparse.Namespace) -> Networks:
    """The networks that a run starts from, grown and widened as requested."""
    nets = Networks.read(args.start) if args.start else Networks.new(args.size or 128)
    if args.size and args.size != nets.generator.size_px:
        nets = grown(nets, args.size)
    if args.channels:
        nets.generator = widened(nets.generator, args.channels)
    if args.deep_width and nets.encoder.config.get("deep_width", 0) != args.deep_width:
        nets.encoder = deepened(nets.encoder, args.deep_width)
    return nets


def make_trainer(args: argparse.Namespace, nets: Networks, last_gray: int = 0) -> Trainer:
    """A trainer of ``nets``, with the run's saved state if it resumes."""
    o = Objective(batch=args.batch, offsets=args.offsets, identity=args.identity)
    factor = args.adversarial
    photographic = max(round(o.photographic * o.batch / Objective.batch), last_gray + 1)
    o = replace(
        o,
        random=o.batch // 2,
        photographic=photographic,
        adversarial=o.adversarial * factor,
        adversarial_random=o.adversarial_random * factor,
    )
    size = nets.generator.size_px
    faces = None
    if args.teacher:
        teacher_px = TEACHER_PX if size > SMALL_TEACHER_PX else SMALL_TEACHER_PX
        faces = Faces(read_teacher(args.teacher, size_px=teacher_px, dtype=torch.bfloat16), ProjectedHeads())
    about = args.points or (args.start / MODEL_FILE if args.start else None)
    weights = pixel_weights(about, size)
    trainer = Trainer(nets, o, weights=weights, learn_from=args.learn_from, faces=faces, last_gray=last_gray)
    state = args.run / STATE_FILE
    if args.resume and state.exists():
        trainer.load(state)
        print(f"resumed at {trainer.images_seen:,} images", flush=True)
    return trainer


def read_sources(args: argparse.Namespace, size_px: int) -> Sources:
    """The datasets of a run."""
    return Sources(
        read_source(args.data, size_px, painting_weight, labels=args.labels),
        read_source(args.photographs, size_px, photograph_weight) if args.photographs else None,
        args.photo_share,
        read_source(args.grayscale, size_px, archive_weight) if args.grayscale else None,
        args.grayscale_count,
    )


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, saving every few minutes."""
    if args.threads:
        torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    whole = make_networks(args)
    nets = halved(whole) if args.half else whole
    sources = read_sources(args, nets.generator.size_px)
    trainer = make_trainer(args, nets, sources.last_gray)
    held_out = _held_out(args, sources, nets.generator.size_px)
    _train(args, trainer, sources, held_out)
    checkpoint(trainer, args.run, held_out)
    if args.export:
        (rejoined(whole, trainer.averaged) if args.half else trainer.averaged).write(args.export)


def _held_out(args: argparse.Namespace, sources: Sources, size_px: int) -> Tensor:
    if args.validation:
        return read_pictures(args.validation, size_px, limit=64).images
    return sources.paintings.images[:64]


def _train(args: argparse.Namespace, trainer: Trainer, sources: Sources, held_out: Tensor) -> None:
    start, saved = time.monotonic(), time.monotonic()
    totals: dict[str, float] = {}
    first_step, first_seen = trainer.steps, trainer.images_seen
    while (elapsed := time.monotonic() - start) < args.minutes * 60:
        images = sources.batch(trainer.objective.batch)
        report = trainer.step(images, learning_rate(args.rate, elapsed, args.minutes * 60))
        for k, v in report.items():
            totals[k] = totals.get(k, v) * 0.98 + v * 0.02
        if (trainer.steps - first_step) % 100 == 0:
            speed = (trainer.images_seen - first_seen) / (time.monotonic() - start)
            log(args.run, {"images": trainer.images_seen, "images_per_s": round(speed, 2), **totals})
        if time.monotonic() - saved > 240:
            checkpoint(trainer, args.run, held_out)
            saved = time.monotonic()


def checkpoint(trainer: Trainer, run: Path, held_out: Tensor) -> None:
    """Writes the state and a contact sheet, and logs validation metrics."""
    trainer.save(run / STATE_FILE)
    contact_sheet(trainer.averaged, held_out, run / "sheets" / f"{trainer.images_seen:08d}.jpg")
    metrics = {"validation_encoder_db": reconstruction_db(trainer.averaged, held_out)}
    if trainer.faces is not None:
        metrics["validation_identity"] = identity_similarity(trainer.averaged, held_out, trainer.faces.teacher)
    log(run, {"images": trainer.images_seen, **metrics})


def log(run: Path, row: dict[str, float], *, name: str = "gan.jsonl") -> None:
    """Prints metrics and appends them to the run's log."""
    line = json.dumps({k: round(v, 4) for k, v in row.items()})
    print(line, flush=True)
    with (run / name).open("a", encoding="utf-8") as f:
        f.write(line + "\n")
