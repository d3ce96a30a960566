"""Trains the landmark network on portraits with labelled points, under views that make them look like photographs."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadInput
from latent_editor.core.face_geometry import LANDMARKS
from latent_editor.networks.landmarks import (
    LANDMARKS_FILE,
    Found,
    LandmarkNet,
    frame_from_points,
    locate,
    save_landmark_net,
)
from latent_editor.ops import affine
from latent_editor.train.landmark_views import ViewConfig, Views, make_views
from latent_editor.train.learning import Trainer, log, train
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

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
    trainer = new_trainer(args.rate, torch.float32 if args.fp32 else torch.bfloat16)
    config = ViewConfig()

    def draw(random: torch.Generator) -> Views:
        rows = torch.randint(0, len(pictures), (args.batch,), generator=random)
        return make_views(pictures[rows], points[rows], config, random)

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume)
    if args.validation_data:
        held_out = read_faces(args.validation_data, args.validation_labels, args.label_size)
        log(args.run, {"step": trainer.step, **evaluate(trainer.average, *held_out)})
    if args.export:
        save_landmark_net(trainer.average, args.export / LANDMARKS_FILE)


def read_faces(data: Path, labels: Path, label_size: float, *, size_px: int = PORTRAIT_PX) -> tuple[Tensor, Tensor]:
    """Reads pictures and points.

    Returns:
        uint8 [N, 3, size_px, size_px] and float32 [N, 5, 2], fractions of the side.

    Raises:
        BadInput: a picture or a label is missing or damaged.
    """
    pictures = read_pictures(data, size_px)
    rows = match_labels(pictures, read_labels(labels))
    try:
        points = torch.tensor([[row["landmarks"][k] for k in LANDMARKS] for row in rows], dtype=torch.float32)
        if points.shape[1:] != (len(LANDMARKS), 2) or not torch.isfinite(points).all():
            raise ValueError("not five finite points")
    except (KeyError, TypeError, ValueError) as e:
        raise BadInput(
            f"{Path(labels).name} has a row without proper landmarks ({e!r}); expected [x, y] in pixels for each of "
            f"{', '.join(LANDMARKS)}. Mend the row, or leave its picture out."
        ) from e
    return pictures.images, points / label_size


def new_trainer(rate: float, dtype: torch.dtype) -> Trainer[LandmarkNet]:
    """An untrained network, ready to learn from views."""
    torch.manual_seed(0)
    return Trainer(LandmarkNet(), lambda net, views, dtype: losses(net(views.image, dtype), views), rate, dtype)


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
