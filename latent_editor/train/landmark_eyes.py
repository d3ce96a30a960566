"""Trains the eye network on the eyes of portraits, whose irises are first located by edge detection."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.face_geometry import to_pupils
from latent_editor.networks.eyes import VIEW_PX, VIEW_SIDE, EyeNet, FoundEyes, eye_frames
from latent_editor.networks.landmarks import LANDMARKS_FILE, read_landmark_net, save_landmark_net
from latent_editor.ops import affine
from latent_editor.train.landmark_views import distance_to, photographed, transform_points, uniform
from latent_editor.train.landmarks import read_faces
from latent_editor.train.learning import Trainer, log, train

#: Eyes are kept in memory as patches of this size, sharper and larger than the views of the network.
PATCH_PX, PATCH_SIDE = 96, 1.5


class Eyes(NamedTuple):
    """Eye patches and their irises.

    Attributes:
        image: uint8 [N, 3, PATCH_PX, PATCH_PX]; right-hand eyes are mirrored.
        iris: float32 [N, 3], (x, y, radius) as fractions of the patch's side.
        clarity: float32 [N], 0..1, sharpness of the iris's edge.
    """

    image: Tensor
    iris: Tensor
    clarity: Tensor


class EyeViews(NamedTuple):
    """A training batch.

    Attributes:
        image: float32 [N, 3, S, S], −1..1.
        points: float32 [N, 2], pupils as fractions of the side.
        weight: float32 [N].
    """

    image: Tensor
    points: Tensor
    weight: Tensor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of ``python -m latent_editor.train landmark_eyes``."""
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
        "--run", type=Path, default=Path("runs/eyes"), help="folder for checkpoint and log (default %(default)s)"
    )
    parser.add_argument(
        "--minutes", type=float, default=20.0, help="training time; the rate decays over it (default %(default)s)"
    )
    parser.add_argument("--batch", type=int, default=96, help="views per step (default %(default)s)")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate (default %(default)s)")
    parser.add_argument("--resume", action="store_true", help="continue from the run's checkpoint")
    parser.add_argument("--export", type=Path, help="folder whose landmarks.safetensors receives the eye network")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the batches (default %(default)s)")
    parser.add_argument("--fp32", action="store_true", help="train in float32, where bfloat16 is slow")


def main(args: argparse.Namespace) -> None:
    """Trains for ``args.minutes``, keeping a checkpoint and a log, and exports the averaged weights."""
    torch.set_num_threads(1)  # the network is too small for threads to pay off
    eyes = read_eyes(args.data, args.labels, args.label_size)
    trainer = new_trainer(args.rate, torch.float32 if args.fp32 else torch.bfloat16)

    def draw(random: torch.Generator) -> EyeViews:
        rows = torch.randint(0, len(eyes.image), (args.batch,), generator=random)
        return make_eye_views(Eyes(*(part[rows] for part in eyes)), random)

    train(trainer, draw, args.run, minutes=args.minutes, seed=args.seed, resume=args.resume)
    if args.validation_data:
        held_out = read_eyes(args.validation_data, args.validation_labels, args.label_size)
        log(args.run, {"step": trainer.step, **evaluate(trainer.average, held_out)})
    if args.export:
        path = args.export / LANDMARKS_FILE
        net = read_landmark_net(path)
        net.use_eyes(trainer.average)
        save_landmark_net(net, path)


def new_trainer(rate: float, dtype: torch.dtype) -> Trainer[EyeNet]:
    """An untrained network, ready to learn from views."""
    torch.manual_seed(0)
    return Trainer(EyeNet(), lambda net, views, dtype: losses(net(views.image, dtype), views), rate, dtype)


def losses(found: FoundEyes, views: EyeViews) -> tuple[Tensor, dict[str, float]]:
    """Cross-entropy of the heat map plus distance of the point, weighted by eye; and the terms for the log."""
    s = found.heat.shape[-1]
    steps = torch.arange(s) + 0.5
    at = views.points * s
    target_x = (-((steps - at[:, :1]) ** 2) / 2).softmax(-1)  # [N, W]
    target_y = (-((steps - at[:, 1:]) ** 2) / 2).softmax(-1)
    target = (target_y[:, :, None] * target_x[:, None, :]).flatten(1)
    heat = -(target * found.heat.flatten(1).log_softmax(-1)).sum(-1)
    away = (found.points - views.points).norm(dim=-1)
    share = views.weight / views.weight.sum().clamp_min(1e-6)
    report = {"heat": float((heat * share).sum().detach()), "point": float((away * share).sum().detach())}
    return ((heat + 30 * away) * share).sum(), {k: round(v, 5) for k, v in report.items()}


def read_eyes(data: Path, labels: Path, label_size: float) -> Eyes:
    """Crops both eyes of each portrait and locates their irises.

    Raises:
        BadInput: an image or a label is missing or damaged.
    """
    pictures, points = read_faces(data, labels, label_size, size_px=256)
    patches, irises, clear = [], [], []
    for picture, marks in zip(pictures.permute(0, 2, 3, 1).numpy(), points.double().numpy() * 256, strict=True):
        for frame in eye_frames(to_pupils(marks)[:2]):
            # Patch to portrait: the view of the network, but larger and finer.
            zoom = PATCH_SIDE / VIEW_SIDE * VIEW_PX / PATCH_PX
            shift = np.full(2, (VIEW_PX - PATCH_PX * zoom) / 2)
            patch = affine.warp(
                picture, affine.composed(frame, np.column_stack([np.eye(2) * zoom, shift])), (PATCH_PX,) * 2
            )
            iris, clarity = measure_iris(cv2.cvtColor(patch, cv2.COLOR_RGB2GRAY))
            patches.append(torch.from_numpy(patch).permute(2, 0, 1))
            irises.append(iris / PATCH_PX)
            clear.append(clarity)
    return Eyes(
        torch.stack(patches),
        torch.from_numpy(np.stack(irises)).float(),
        torch.tensor(clear).clamp(0, 1),
    )


#: Directions in which the iris borders on the white of the eye: the sides and below; the lid covers the top.
_ARC_DEG = np.r_[-20:61:6, 120:201:6]
#: Edge contrast at which an iris gets weight 0, and weight 1.
_MIN_STEP, _FULL_STEP = 0.30, 0.42


def measure_iris(patch: np.ndarray) -> tuple[np.ndarray, float]:
    """Locates the iris as the circle with the strongest dark-to-bright edge.

    The integro-differential operator of Daugman 1993, eq. 1, restricted to the arcs at the sides and the bottom; the
    weaker side counts twice.

    Args:
        patch: uint8 [S, S], an eye whose pupil is expected at the center.

    Returns:
        float64 [3], x, y and radius in pixels; and the clarity of the edge, from ≤ 0 (unusable) to ≥ 1 (sharp).
    """
    unit = PATCH_PX / PATCH_SIDE / 66  # the steps below are 1/66 of the distance between the pupils
    x, y, r = (
        v.ravel() for v in np.meshgrid(np.arange(-4, 4.1, 0.5), np.arange(-4, 4.1, 0.5), np.arange(4.5, 9.6, 0.5))
    )
    gray = cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 0.45 * unit)
    middle = patch.shape[0] / 2
    near = gray[
        round(middle - 14 * unit) : round(middle + 14 * unit), round(middle - 14 * unit) : round(middle + 14 * unit)
    ]
    low, high = np.percentile(near, [3, 97])
    gray = (gray - low) / (high - low + 8)
    angle = np.radians(_ARC_DEG)

    def ring(radius: np.ndarray) -> np.ndarray:
        at_x = (x[:, None] + radius[:, None] * np.cos(angle)) * unit + middle - 0.5
        at_y = (y[:, None] + radius[:, None] * np.sin(angle)) * unit + middle - 0.5
        return cv2.remap(gray, at_x.astype(np.float32), at_y.astype(np.float32), cv2.INTER_LINEAR)

    step = np.clip(ring(r + 0.9) - ring(r - 0.9), -0.1, 0.35)
    right, left = step[:, : len(angle) // 2].mean(1), step[:, len(angle) // 2 :].mean(1)
    inside = (ring(r * 0.35).mean(1) + ring(r * 0.7).mean(1)) / 2
    sharp = np.minimum(left, right) + (left + right) / 2 - 0.15 * inside
    sharp -= 0.012 * np.hypot(x, y) + 0.02 * np.abs(r - 7)  # a weak prior on position and size
    best = np.argsort(-sharp)[:12]
    share = np.exp((sharp[best] - sharp[best[0]]) * 40)
    share /= share.sum()
    iris = np.array([share @ x[best], share @ y[best], share @ r[best]]) * unit
    return iris + np.array([middle, middle, 0]), float((sharp[best[0]] - _MIN_STEP) / (_FULL_STEP - _MIN_STEP))


def make_eye_views(eyes: Eyes, random: torch.Generator) -> EyeViews:
    """One augmented view of each eye: shifted, rotated, stretched, darkened, with reflections, relit and blurred.

    Args:
        eyes: See :func:`read_eyes`.
        random: Source of randomness.
    """
    n = len(eyes.image)
    image = _reflections(_dark_irises(eyes.image.float() / 127.5 - 1, eyes.iris, random), eyes.iris, random)
    angle = uniform(random, n, low=-1, high=1) * math.radians(14)
    side = VIEW_SIDE / PATCH_SIDE * torch.exp(uniform(random, n, low=-0.2, high=0.2))
    stretch = torch.exp(uniform(random, n, low=-0.1, high=0.1))
    m = torch.zeros(n, 3, 3)  # view to patch, both in fractions of their sides
    m[:, 0, 0], m[:, 0, 1] = side * stretch * angle.cos(), -side * angle.sin()
    m[:, 1, 0], m[:, 1, 1] = side * angle.sin(), side / stretch * angle.cos()
    m[:, :2, 2] = 0.5 + uniform(random, n, 2, low=-0.18, high=0.18) / PATCH_SIDE
    m[:, 2, 2] = 1
    from_corner = torch.eye(3)
    from_corner[:2, 2] = -0.5
    m = m @ from_corner
    steps = (torch.arange(VIEW_PX) + 0.5) / VIEW_PX
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2).expand(n, -1, -1)
    at = transform_points(grid, m).reshape(n, VIEW_PX, VIEW_PX, 2) * 2 - 1
    view = F.grid_sample(image, at, mode="bilinear", padding_mode="reflection", align_corners=False)
    points = transform_points(eyes.iris[:, None, :2], torch.linalg.inv(m))[:, 0]
    return EyeViews(photographed(view, random), points, eyes.clarity)


def _dark_irises(image: Tensor, iris: Tensor, random: torch.Generator) -> Tensor:
    """Darkens some irises: the portraits show fewer dark eyes than photographs."""
    n, s = len(image), image.shape[-1]
    away = distance_to(iris[:, :2], s) / iris[:, 2, None, None]
    steps = (torch.arange(s) + 0.5) / s
    below_lid = ((steps[None, :, None] - iris[:, 1, None, None]) / iris[:, 2, None, None] + 0.75).mul(4).clamp(0, 1)
    amount = ((1 - away) * 6).clamp(0, 1) * below_lid * (uniform(random, n, 1, 1, low=-0.8, high=0.9)).clamp(0)
    return image - (image + 0.85) * amount[:, None]


def _reflections(image: Tensor, iris: Tensor, random: torch.Generator) -> Tensor:
    """Adds one or two small highlights to some irises."""
    n, s = len(image), image.shape[-1]
    for probability in (0.3, 0.2):
        center = iris[:, :2] + uniform(random, n, 2, low=-0.7, high=0.7) * iris[:, 2:]
        radius = iris[:, 2, None, None] * uniform(random, n, 1, 1, low=0.12, high=0.4)
        amount = ((radius - distance_to(center, s)) * s).clamp(0, 1) * (uniform(random, n, 1, 1) < probability)
        amount = amount * uniform(random, n, 1, 1, low=0.3)
        image = image + (0.95 - image) * amount[:, None]
    return image


def evaluate(net: EyeNet, eyes: Eyes, *, seed: int = 1) -> dict[str, float]:
    """Error on augmented views of held-out eyes, in percent of the distance between the eyes: median and 95th
    percentile."""
    net.eval()
    views = make_eye_views(eyes, torch.Generator().manual_seed(seed))
    with torch.inference_mode():
        away = (net(views.image).points - views.points).norm(dim=-1)[views.weight > 0] * VIEW_SIDE * 100
    return {"iris_median": round(float(away.median()), 2), "iris_95": round(float(away.quantile(0.95)), 2)}
