"""Trains the landmark network on portraits with labelled points, under views that make them look like photographs."""

from __future__ import annotations

import argparse
import copy
import io
import json
import math
import queue
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor import files
from latent_editor.errors import BadInput
from latent_editor.features.landmarks import (
    LANDMARKS_FILE,
    POINTS,
    Found,
    LandmarkNet,
    frame_from_points,
    locate,
    save_landmark_net,
)
from latent_editor.ops import affine
from latent_editor.train.landmark_views import ViewConfig, Views, make_views
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

CHECKPOINT = "checkpoint.pt"
LOG = "log.jsonl"

#: Side of the portraits in memory: a view of 96 pixels never magnifies them by much.
PORTRAIT_PX = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds this part's options to ``python -m latent_editor.train landmarks``."""
    parser.add_argument("--data", required=True, type=Path, help="training pictures: a folder or a tar")
    parser.add_argument("--labels", required=True, type=Path, help="their labels (jsonl) with landmarks in pixels")
    parser.add_argument("--validation-data", type=Path, help="pictures for validation; none: no validation")
    parser.add_argument("--validation-labels", type=Path, help="their labels")
    parser.add_argument(
        "--label-size", type=float, default=256, help="side of the pictures that the landmarks refer to"
    )
    parser.add_argument("--run", type=Path, default=Path("runs/landmarks"), help="folder for checkpoint and log")
    parser.add_argument("--minutes", type=float, default=20.0, help="how long to train; the rate falls towards the end")
    parser.add_argument("--batch", type=int, default=64, help="views a step")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate")
    parser.add_argument("--resume", action="store_true", help="go on from the run's checkpoint")
    parser.add_argument("--export", type=Path, help="folder to write landmarks.safetensors to")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fp32", action="store_true", help="train in single precision (where bf16 is slow)")


def main(args: argparse.Namespace) -> None:
    """Trains for ``args.minutes``, keeping a checkpoint and a log, and exports the averaged weights."""
    torch.set_num_threads(1)  # the network is small: threads would spend their time waiting for each other
    pictures, points = read_faces(args.data, args.labels, args.label_size)
    trainer = Trainer(args.rate, torch.float32 if args.fp32 else torch.bfloat16)
    checkpoint = args.run / CHECKPOINT
    if args.resume and checkpoint.is_file():
        trainer.load_state_dict(torch.load(checkpoint, weights_only=True))
    args.run.mkdir(parents=True, exist_ok=True)
    start = saved = time.monotonic()
    views = _prefetched(pictures, points, args.batch, args.seed + trainer.step)
    for batch in views:
        done = (time.monotonic() - start) / 60 / max(args.minutes, 1e-9)
        report = trainer.learn(batch, min(done, 1.0))
        if trainer.step % 100 == 0:
            _log(args.run, {"step": trainer.step, "minutes": round(done * args.minutes, 2), **report})
        if done >= 1 or time.monotonic() - saved > 60:
            saved = time.monotonic()
            _save(trainer, checkpoint)
        if done >= 1:
            break
    views.close()
    if args.validation_data:
        held_out = read_faces(args.validation_data, args.validation_labels, args.label_size)
        _log(args.run, {"step": trainer.step, **evaluate(trainer.average, *held_out)})
    if args.export:
        save_landmark_net(trainer.average, args.export / LANDMARKS_FILE)


def read_faces(data: Path, labels: Path, label_size: float) -> tuple[Tensor, Tensor]:
    """Reads pictures and points.

    Returns:
        uint8 [N, 3, P, P] and float32 [N, 5, 2], fractions of the side.

    Raises:
        BadInput: a picture or a label is missing or damaged.
    """
    pictures = read_pictures(data, PORTRAIT_PX)
    rows = match_labels(pictures, read_labels(labels))
    try:
        points = torch.tensor([[row["landmarks"][k] for k in POINTS] for row in rows], dtype=torch.float32)
        if points.shape[1:] != (len(POINTS), 2) or not torch.isfinite(points).all():
            raise ValueError("not five finite points")
    except (KeyError, TypeError, ValueError) as e:
        raise BadInput(
            f"{Path(labels).name} has a row without proper landmarks ({e!r}); expected [x, y] in pixels for each of "
            f"{', '.join(POINTS)}. Mend the row, or leave its picture out."
        ) from e
    return pictures.images, points / label_size


class Trainer:
    """The network in training, its average, and the optimiser.

    Attributes:
        net: Learns.
        average: Its exponential average over steps, which is what is used in the end.
        step: Steps so far.
    """

    def __init__(self, rate: float, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        self.net = LandmarkNet().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.net).eval().requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
        self.rate = rate
        self.dtype = dtype
        self.step = 0

    def learn(self, views: Views, done: float) -> dict[str, float]:
        """One step; ``done`` 0..1 is how much of the planned time is over. Returns figures for the log."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * min(1, (self.step + 1) / 100) * (0.5 + 0.5 * math.cos(math.pi * done) + 0.01)
        self.net.train()
        loss, report = losses(self.net(views.image, self.dtype), views)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 5.0)
        self.optimizer.step()
        self.step += 1
        keep = min(0.998, (self.step + 1) / (self.step + 10))
        for mean, new in zip(self.average.state_dict().values(), self.net.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(new, 1 - keep)
        return report

    def state_dict(self) -> dict[str, Any]:
        parts = {"net": self.net, "average": self.average, "optimizer": self.optimizer}
        return {"step": self.step, **{k: v.state_dict() for k, v in parts.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])


def losses(found: Found, views: Views) -> tuple[Tensor, dict[str, float]]:
    """The heat maps' cross entropy, the points' distance, and the faces' cross entropy.

    Only the points of faces that lie inside of the view count. Returns the sum, and its parts for the log.
    """
    h, w = found.heat.shape[2:]
    inside = ((views.points > 0.01) & (views.points < 0.99)).all(-1) & views.is_face[:, None]  # [N, P]
    count = inside.sum().clamp_min(1)
    xs, ys = (torch.arange(w) + 0.5), (torch.arange(h) + 0.5)
    at = views.points * torch.tensor([w, h])
    target_x = (-((xs - at[..., :1]) ** 2) / 2).softmax(-1)  # [N, P, W]
    target_y = (-((ys - at[..., 1:]) ** 2) / 2).softmax(-1)
    target = (target_y[..., :, None] * target_x[..., None, :]).flatten(2)
    heat = -(target * found.heat.flatten(2).log_softmax(-1)).sum(-1)
    away = (found.points - views.points).norm(dim=-1)
    heat_loss = (heat * inside).sum() / count
    point_loss = (away * inside).sum() / count
    face_loss = F.binary_cross_entropy_with_logits(found.logit, views.is_face.float())
    report = {"heat": heat_loss, "point": point_loss, "face": face_loss}
    return heat_loss + 20 * point_loss + face_loss, {k: round(float(v.detach()), 5) for k, v in report.items()}


def _prefetched(pictures: Tensor, points: Tensor, batch: int, seed: int) -> Generator[Views, None, None]:
    """Endless batches of views, drawn in a thread while the network learns from the one before."""
    ready: queue.Queue[Views | BaseException] = queue.Queue(maxsize=2)
    stop = threading.Event()

    def draw() -> None:
        random = torch.Generator().manual_seed(seed)
        config = ViewConfig()
        try:
            while not stop.is_set():
                rows = torch.randint(0, len(pictures), (batch,), generator=random)
                views: Views | BaseException = make_views(pictures[rows], points[rows], config, random)
                while not stop.is_set():
                    try:
                        ready.put(views, timeout=0.5)
                        break
                    except queue.Full:
                        continue
        except BaseException as e:
            ready.put(e)

    threading.Thread(target=draw, daemon=True).start()
    try:
        while True:
            views = ready.get()
            if isinstance(views, BaseException):
                raise views
            yield views
    finally:
        stop.set()


def evaluate(net: LandmarkNet, pictures: Tensor, points: Tensor, *, seed: int = 1) -> dict[str, float]:
    """Measures on unseen portraits, each put into a larger scene under a random view.

    Returns:
        Eye error (mean of both, per cent of the distance between the eyes) in one look and refined, median and 95th
        percentile; the same for all points; and how well faces are told from other things.
    """
    net.eval()
    random = torch.Generator().manual_seed(seed)
    scene_px = 256
    scenes = make_views(pictures, points, ViewConfig(scene_px, side=2.0, zoom=0.3, shift=0.1, negatives=0.0), random)
    chance = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {"one_look": [], "refined": []}
    for image, where in zip(scenes.image, scenes.points.double().numpy() * scene_px, strict=True):
        picture = ((image.permute(1, 2, 0) + 1) * 127.5).byte().numpy()
        frame = _shaken(frame_from_points(where, net.size_px), net.size_px, chance)
        for name, rounds in (("one_look", 1), ("refined", 3)):
            away = np.linalg.norm(locate(net, picture, frame, rounds=rounds).points - where, axis=1)
            found[name].append(away / np.linalg.norm(where[1] - where[0]) * 100)
    report = {}
    for name, errors in found.items():
        eyes, every = np.stack(errors)[:, :2].mean(1), np.stack(errors).mean(1)
        for what, values in (("eyes", eyes), ("points", every)):
            report[f"{name}_{what}_median"] = round(float(np.median(values)), 2)
            report[f"{name}_{what}_95"] = round(float(np.percentile(values, 95)), 2)
    views = make_views(pictures, points, ViewConfig(net.size_px, negatives=0.5), random)
    with torch.inference_mode():
        said = net(views.image).logit > 0
    report["faces_accepted"] = round(float(said[views.is_face].float().mean()), 4)
    report["others_rejected"] = round(float((~said[~views.is_face]).float().mean()), 4)
    return report


def _shaken(frame: np.ndarray, size_px: int, chance: np.random.Generator) -> np.ndarray:
    """A frame as a face detector would lay it: off by up to 15°, a fifth in scale, a tenth in place."""
    angle, scale = math.radians(chance.uniform(-15, 15)), math.exp(chance.uniform(-0.2, 0.2))
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centre = np.array([size_px / 2, size_px / 2])
    shift = chance.uniform(-0.1, 0.1, 2) * size_px
    return affine.composed(frame, np.column_stack([linear, centre + shift - linear @ centre]))


def _log(run: Path, row: dict[str, Any]) -> None:
    print(json.dumps(row), flush=True)
    with (run / LOG).open("a", encoding="utf-8") as f:
        f.write(json.dumps(row) + "\n")


def _save(trainer: Trainer, path: Path) -> None:
    data = io.BytesIO()
    torch.save(trainer.state_dict(), data)
    files.write_bytes(path, data.getvalue())
