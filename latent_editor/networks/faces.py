"""Detects whether a generator shows faces, and where in its pictures, from its own samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_editor.core.face_geometry import (
    LANDMARKS,
    MEAN_FACE,
    eye_distance,
    landmark_array,
    to_eye_midpoints,
)
from latent_editor.core.run import Run
from latent_editor.core.values import OnStep
from latent_editor.generators import Generator
from latent_editor.generators.base import random_ws
from latent_editor.generators.pictures import as_rgb, fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.models.bundle import fallback_file
from latent_editor.models.per_model import per_model
from latent_editor.networks.landmarks import LANDMARKS_FILE, LandmarkNet, locate, read_landmark_net
from latent_editor.ops import affine

#: Limits of the number of random pictures and of the time until the answer is clear.
MAX_SAMPLES, MIN_SAMPLES, SECONDS = 64, 16, 8.0
#: The answer is clear if all but this share of the pictures agree.
CLEAR = 0.1
SIZE_PX = 128
#: A picture shows a face from this score on, if its landmarks are this near to the mean face's.
MIN_SCORE, MAX_MISFIT = 0.95, 0.3
#: Score of the first pass from which a second one is worthwhile.
MIN_FIRST_SCORE = 0.3
#: A model shows faces if this share of its pictures does.
MIN_FACE_SHARE = 0.6
#: Frames that the network is applied to: side and height of the center, as fractions of the picture's side. Aligned
#: faces are found from any of them; the first is that of a head with shoulders, the last that of a tight crop.
FRAMES = ((1.0, 0.68), (1.0, 0.5), (0.8, 0.6), (1.3, 0.6))
_BATCH = 8


@per_model
def shows_faces(g: Generator, *, on_step: OnStep | None = None) -> bool:
    """Whether a generator shows faces, according to its model or its samples.

    The answer is found once and kept in the model's folder; the bundle's ``about`` then holds ``faces`` and, where
    there are some, ``canonical_points``.

    Args:
        g: The generator.
        on_step: Called after each batch of samples; a true answer stops, and nothing is stored.
    """
    about = g.bundle.about
    if "faces" not in about and not about.get("canonical_points"):
        facts = _kept(g)
        if facts is None:
            facts = look(g, on_step=on_step)
            g.bundle.save_facts(g.fingerprint, facts)
        about.update({name: facts[name] for name in ("faces", "canonical_points") if name in facts})
    return bool(about.get("faces", about.get("canonical_points")))


def canonical_points(g: Generator) -> Any:
    """The canonical landmarks of a model's faces, from ``model.json`` or its samples; None for no faces."""
    if "canonical_points" not in g.bundle.about:
        shows_faces(g)
    return g.bundle.about.get("canonical_points")


def faces_known(g: Generator) -> bool:
    """Whether :func:`shows_faces` has its result ready."""
    about = g.bundle.about
    return "faces" in about or bool(about.get("canonical_points")) or _kept(g) is not None


def _kept(g: Generator) -> dict[str, Any] | None:
    """The stored result of the detection for this generator, or None."""
    facts = g.bundle.facts(g.fingerprint)
    points = facts.get("canonical_points")
    if not isinstance(facts.get("faces"), bool) or (facts["faces"] and not _are_points(points)):
        return None
    return {"faces": facts["faces"], **({"canonical_points": points} if facts["faces"] else {})}


def _are_points(points: Any) -> bool:
    try:
        return all(
            np.isfinite(np.array(points[name], dtype=float)).all() and len(points[name]) == 2 for name in LANDMARKS
        )
    except (KeyError, TypeError, ValueError):
        return False


def look(g: Generator, *, on_step: OnStep | None = None) -> dict[str, Any]:
    """Detects faces in random samples.

    1. Render 16 to 64 small samples with truncation 0.7, until the answer is clear.
    2. Apply the landmark network to each in a few standard frames, with a high threshold.
    3. If most show faces, the canonical landmarks are the medians of theirs, as fractions of the side; eyes are the
       midpoints of their corners.

    Returns:
        ``faces``, and if true ``canonical_points`` {name: [x, y]}.

    Raises:
        Stopped: ``on_step`` gave a true answer.
    """
    path = fallback_file(LANDMARKS_FILE) if not g.bundle.has(LANDMARKS_FILE) else g.bundle.file(LANDMARKS_FILE, "faces")
    if path is None:  # an installation without the embedded model
        return {"faces": False}
    net = read_landmark_net(path)
    found, seen = [], 0
    run = Run(SECONDS, on_step)
    for pictures in _samples(g):
        found += [
            to_eye_midpoints(points) / pictures.shape[1] for points in find_each(net, pictures) if points is not None
        ]
        seen += len(pictures)
        share = len(found) / seen
        run.progress(seen, MAX_SAMPLES, fraction=seen / MIN_SAMPLES, label="Looking for faces")
        if seen >= MIN_SAMPLES and (run.over or not CLEAR < share < 1 - CLEAR):
            break
    if len(found) < MIN_FACE_SHARE * seen:
        return {"faces": False}
    middle = np.median(np.stack(found), axis=0)
    points = {name: [round(float(v), 5) for v in point] for name, point in zip(LANDMARKS, middle, strict=True)}
    return {"faces": True, "canonical_points": points}


def _samples(g: Generator) -> Iterator[np.ndarray]:
    """Batches of pictures, uint8 [N, H, W, 3]."""
    preview, dtype = small(g, SIZE_PX), fastest_dtype(g.device)
    for first in range(0, MAX_SAMPLES, _BATCH):
        ws = random_ws(g, list(range(first, first + _BATCH)), truncation_psi=0.7)
        with torch.inference_mode():
            pictures: Tensor = as_rgb(preview.synthesize(ws, dtype=dtype)).clamp(-1, 1)
        yield ((pictures + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def find_each(net: LandmarkNet, pictures: np.ndarray) -> list[np.ndarray | None]:
    """The landmarks of the face in each picture.

    1. Apply the network once to all pictures in all :data:`FRAMES`; low scores mean that there is no face.
    2. Refine from the best frame, with a high threshold.

    Args:
        net: The landmark network.
        pictures: uint8 [N, S, S, 3].

    Returns:
        float64 [5, 2] in pixels for each, the eyes being the pupils, or None.
    """
    side, size = pictures.shape[1], net.size_px
    frames = []
    for share, center_y in FRAMES:
        scale = share * side / size
        frames.append(np.array([[scale, 0, (0.5 - share / 2) * side], [0, scale, (center_y - share / 2) * side]]))
    views = np.stack([affine.warp(p, frame, (size, size)) for p in pictures for frame in frames])
    with torch.inference_mode():
        logits = net(torch.from_numpy(views).permute(0, 3, 1, 2).float() / 127.5 - 1).logit
    promise = logits.sigmoid().reshape(len(pictures), len(frames)).cpu().numpy()
    return [
        _closer(net, picture, frames[row.argmax()]) if row.max() >= MIN_FIRST_SCORE else None
        for picture, row in zip(pictures, promise, strict=True)
    ]


def _closer(net: LandmarkNet, picture: np.ndarray, frame: np.ndarray) -> np.ndarray | None:
    found, side = locate(net, picture, frame), picture.shape[0]
    inside = ((found.points > -0.05 * side) & (found.points < 1.05 * side)).all(1)
    sure = found.score >= MIN_SCORE and inside[[0, 1, 3]].all() and misfit(found.points) <= MAX_MISFIT
    return found.points if sure else None


def misfit(points: np.ndarray) -> float:
    """Root mean square distance of points [5, 2] from the mean face, laid over them, in distances between the eyes."""
    mean_face = landmark_array(MEAN_FACE)
    fitted = affine.transformed(affine.similarity(points, mean_face), points)
    return float(np.sqrt(((fitted - mean_face) ** 2).sum(1).mean()) / eye_distance(mean_face))
