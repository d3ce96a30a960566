"""Trains the landmark network on labeled portraits, augmented to look like photographs."""

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

#: Size of the portraits in memory; enough for views of 96 pixels, which hardly magnify them.
PORTRAIT_PX = 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``python -m latent_editor.train landmarks``."""
    parser.add_argument("--data", required=True, type=Path, help="training images: a folder or tar")
    parser.add_argument(
        "--labels", required=True, type=Path, help="their labels, as JSON Lines with landmarks in pixels"
    )
    parser.add_argument("--validation-data", type=Path, help="held-out images (default: no validation)")
    parser.add_argument("--validation-labels", type=Path, help="their labels")
    parser.add_argument(
        "--label-size", type=float, default=256, help="image size that the landmarks refer to (default %(default)s)"
    )
    parser.add_argument(
        "--run", type=Path, default=Path("runs/landmarks"), help="folder for checkpoint and log (default %(default)s)"
    )
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="training time; the rate decays over it (default %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=64, help="views per step (default %(default)s)")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's checkpoint")
    parser.add_argument("--export", type=Path, help="folder for landmarks.safetensors")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the batches (default %(default)s)")
    parser.add_argument("--fp32", action="store_true", help="train in float32, where bfloat16 is slow")


def main(args: argparse.Namespace) -> None:
    """Trains for ``args.minutes``, keeping a checkpoint and a log, and exports the averaged weights."""
    torch.set_num_threads(1)  # the network is too small for threads to pay off
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
    """Reads images and landmarks.

    Returns:
        uint8 [N, 3, size_px, size_px] and float32 [N, 5, 2], fractions of the side.

    Raises:
        BadInput: an image or a label is missing or damaged.
    """
    pictures = read_pictures(data, size_px)
    rows = match_labels(pictures, read_labels(labels))
    try:
        points = torch.tensor([[row["landmarks"][k] for k in LANDMARKS] for row in rows], dtype=torch.float32)
        if points.shape[1:] != (len(LANDMARKS), 2) or not torch.isfinite(points).all():
            raise ValueError("not five finite points")
    except (KeyError, TypeError, ValueError) as e:
        raise BadInput(
            f"{Path(labels).name} has a row without valid landmarks ({e!r}); expected [x, y] in pixels for each of "
            f"{', '.join(LANDMARKS)}. Fix the row, or remove its image."
        ) from e
    return pictures.images, points / label_size


def new_trainer(rate: float, dtype: torch.dtype) -> Trainer[LandmarkNet]:
    """An untrained network, ready to learn from views."""
    torch.manual_seed(0)
    return Trainer(LandmarkNet(), lambda net, views, dtype: losses(net(views.image, dtype), views), rate, dtype)


def losses(found: Found, views: Views) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the heat maps, distance of the points, and cross-entropy of the face score.

    Only points of faces inside the view count. Returns the weighted sum, and the terms for the log.
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
    """Measures accuracy on held-out portraits, each placed in a larger scene under a random view.

    Returns:
        Median and 95th percentile of the error of the eyes and of all points, in percent of the distance between the
        eyes, after one pass and after refinement; and the rates of faces accepted and other views rejected.
    """
    net.eval()
    random = torch.Generator().manual_seed(seed)
    scene_px = 256
    scenes = make_views(pictures, points, ViewConfig(scene_px, side=2.0, zoom=0.3, shift=0.1, negatives=0.0), random)
    rng = np.random.default_rng(seed)
    found: dict[str, list[np.ndarray]] = {"one_look": [], "refined": []}
    for image, where in zip(scenes.image, scenes.points.double().numpy() * scene_px, strict=True):
        picture = ((image.permute(1, 2, 0) + 1) * 127.5).byte().numpy()
        frame = _perturbed(frame_from_points(where, net.size_px), net.size_px, rng)
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
        accepted = net(views.image).logit > 0
    report["faces_accepted"] = round(float(accepted[views.is_face].float().mean()), 4)
    report["others_rejected"] = round(float((~accepted[~views.is_face]).float().mean()), 4)
    return report


def _perturbed(frame: np.ndarray, size_px: int, rng: np.random.Generator) -> np.ndarray:
    """A frame as imprecise as a detector's: off by up to 15°, 20 % in scale, and 10 % in position."""
    angle, scale = math.radians(rng.uniform(-15, 15)), math.exp(rng.uniform(-0.2, 0.2))
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    center = np.array([size_px / 2, size_px / 2])
    shift = rng.uniform(-0.1, 0.1, 2) * size_px
    return affine.composed(frame, np.column_stack([linear, center + shift - linear @ center]))
