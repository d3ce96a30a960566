"""Motion transfer: what a face in a clip does, done by the face of a latent.

The encoder sees every picture of the clip; how its answers differ from that of a neutral picture is added to the
latent, as Tzaban et al. 2022 (STIT, §3) edit videos by one offset in W+, here an offset for each picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from latent_editor.alignment import Face, align, find_faces
from latent_editor.core.errors import BadValue, NoFaceFound, Stopped
from latent_editor.core.face_geometry import LANDMARKS, landmarks_by_name
from latent_editor.core.values import OnStep, Step
from latent_editor.editing.style_mixing import chosen_layers
from latent_editor.generators import Generator
from latent_editor.generators.pictures import to_tensor
from latent_editor.media.decode import VideoClip
from latent_editor.motion.animation import Motion
from latent_editor.networks.encoder import load_encoder
from latent_editor.networks.faces import misfit, shows_faces
from latent_editor.networks.landmarks import frame_from_points, load_landmark_net, locate

#: A face that is followed is lost where the network is less sure, or its points lie unlike a face's.
MIN_SCORE, MAX_MISFIT = 0.6, 0.4
#: A clip may lack a face in so many of its pictures; it is taken from those beside.
MAX_LOST = 0.3
#: Standard deviations in time, in seconds: of the points that align, and of the offsets. More for the points lags
#: behind a head that moves: one that is carried in a circle every two seconds then seems to play (offsets of 22 at
#: 0.08 s, 3.3 at 0.04 s, 1.4 unsmoothed, beside 42 of a head that turns).
ALIGN_S, SMOOTH_S = 0.04, 0.06
_BATCH = 8


def follow_face(clip: VideoClip, g: Generator, *, face: int = 0, on_step: OnStep | None = None) -> list[Face]:
    """One face through a clip, its points smoothed in time.

    The face is searched in the whole picture at first and where it was lost; in between the landmark network looks
    where it was last, which is fifty times as quick.

    Args:
        clip: The pictures.
        g: The generator whose model brings the landmark network.
        face: Which one of the first picture that has any, counted from the biggest.
        on_step: Called after every picture; a true answer stops.

    Raises:
        NoFaceFound: too many pictures show none.
        BadValue: there are fewer faces than that.
        MissingPart: the model comes without a landmark network.
        Stopped: ``on_step`` gave a true answer.
    """
    net, began = load_landmark_net(g), time.monotonic()
    points: list[np.ndarray | None] = []
    last: np.ndarray | None = None
    for i, picture in enumerate(clip.pictures):
        pixels = np.asarray(picture)
        now = None
        if last is not None:
            found = locate(net, pixels, frame_from_points(last, net.size_px), rounds=2)
            if found.score >= MIN_SCORE and misfit(found.points) <= MAX_MISFIT:
                now = found.points
        if now is None and (last is not None or not points or i % 5 == 0):
            now = _searched(picture, g, face, last)
        points.append(now)
        last = now
        _report(on_step, i + 1, len(clip.pictures), began, "Following the face")
    return [_face(row) for row in smoothed(_filled(points, clip), ALIGN_S * clip.fps)]


def _searched(picture: Image.Image, g: Generator, face: int, last: np.ndarray | None) -> np.ndarray | None:
    """The points of the face nearest to where it was last, else of the ``face``-th."""
    faces = find_faces(picture, g)
    if not faces:
        return None
    if last is not None:
        return min((f.points for f in faces), key=lambda p: float(np.abs(p - last).mean()))
    if face >= len(faces):
        raise BadValue(f"Face {face} was asked for; the clip shows {len(faces)}, counted from 0. Choose one of them.")
    return faces[face].points


def _filled(points: Sequence[np.ndarray | None], clip: VideoClip) -> np.ndarray:
    """float64 [frames, 5, 2]; what is missing lies on the line between those before and after."""
    seen = [i for i, p in enumerate(points) if p is not None]
    lost = len(points) - len(seen)
    if lost > MAX_LOST * len(points):
        raise NoFaceFound(
            f"{lost} of the {len(points)} pictures of {clip.name} show no face that can be followed; expected one "
            "person who faces the camera. Choose another clip, or cut it."
        )
    known = np.stack([p for p in points if p is not None]).reshape(len(seen), -1)
    every = [np.interp(np.arange(len(points)), seen, column) for column in known.T]
    return np.stack(every, axis=1).reshape(len(points), len(LANDMARKS), 2)


def _face(points: np.ndarray) -> Face:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return Face((float(x0), float(y0), float(x1 - x0), float(y1 - y0)), 1.0, landmarks_by_name(points))


def smoothed(rows: np.ndarray, sigma: float) -> np.ndarray:
    """Rows [frames, …] averaged in time by a Gaussian of ``sigma`` pictures; the first and last row are repeated."""
    reach = math.ceil(3 * sigma)
    if reach == 0:
        return rows
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.concatenate([rows[:1].repeat(reach, 0), rows, rows[-1:].repeat(reach, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return windows @ (kernel / kernel.sum())


def take_motion(
    clip: VideoClip,
    g: Generator,
    *,
    layers: Sequence[str | tuple[int, int]] = ("coarse", "middle"),
    amount: float = 1.0,
    neutral: int | None = 0,
    face: int = 0,
    smooth_s: float = SMOOTH_S,
    on_step: OnStep | None = None,
) -> Motion:
    """What the face in a clip does, as offsets of a latent.

    1. The face is followed and aligned in every picture; of a model that shows no faces, the middle is taken.
    2. The encoder gives a latent for each.
    3. These are smoothed in time, and the neutral picture's is taken off, so that this one adds nothing.

    Args:
        clip: Where the motion is, as :func:`latent_editor.media.decode.read_clip` gives it.
        g: A generator that comes with an encoder.
        layers: Which layers move: coarse ones bring pose and shape, middle ones the face's play.
        amount: 1 does as much as the clip, 2 twice as much.
        neutral: Number of the picture that the photo's own look belongs to; None takes the one nearest to their mean.
        face: Which face, where there are several, counted from the biggest.
        smooth_s: Standard deviation of the smoothing, in seconds; 0 smooths nothing.
        on_step: Called after every picture; a true answer stops.

    Raises:
        MissingPart: the model comes without an encoder, or without a landmark network.
        NoFaceFound: too many pictures show no face.
        BadValue: layers, a picture or a face that there are not, or an amount out of range.
        Stopped: ``on_step`` gave a true answer.
    """
    if neutral is not None and not 0 <= neutral < len(clip.pictures):
        raise BadValue(f"Picture {neutral} was to be the neutral one; {clip.name} has 0 to {len(clip.pictures) - 1}.")
    if not (abs(amount) <= 10 and 0 <= smooth_s <= 5):  # false for NaN too
        raise BadValue(f"Got the amount {amount:g} and {smooth_s:g} s of smoothing; expected −10 to 10 and 0 to 5.")
    acting = torch.zeros(g.num_ws, 1)
    for some in layers:
        start, stop = chosen_layers(g, some)
        acting[start:stop] = amount
    encoder = load_encoder(g)  # what is missing should be said before the face is followed
    half = _part(on_step, 0.0)
    faces = follow_face(clip, g, face=face, on_step=half) if shows_faces(g) else None
    began, rows = time.monotonic(), []
    for first in range(0, len(clip.pictures), _BATCH):
        batch = []
        for i in range(first, min(first + _BATCH, len(clip.pictures))):
            crop = align(clip.pictures[i], g, face=faces[i] if faces else 0)
            batch.append(to_tensor(crop.image, g.size_px, g.device))
        with torch.inference_mode():
            rows.append(encoder(torch.cat(batch)).float().cpu())
        _report(_part(on_step, 0.5), first + len(batch), len(clip.pictures), began, "Reading the motion")
    ws: Tensor = torch.from_numpy(smoothed(torch.cat(rows).numpy(), smooth_s * clip.fps)).float()
    if neutral is None:
        neutral = int((ws - ws.mean(0)).flatten(1).norm(dim=1).argmin())
    return Motion((ws - ws[neutral]) * acting, clip.fps)


def _part(on_step: OnStep | None, offset: float) -> OnStep | None:
    """``on_step`` told of one half of the whole."""
    if on_step is None:
        return None
    return lambda step: on_step(replace(step, fraction=offset + step.fraction / 2))


def _report(on_step: OnStep | None, done: int, count: int, began: float, label: str) -> None:
    step = Step(done, count, time.monotonic() - began, done / count, label=label)
    if on_step is not None and on_step(step):
        raise Stopped("Stopped: nothing was taken from the clip.")
