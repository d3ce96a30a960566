"""Motion transfer: the motion of a clip's face, applied to the face of a latent.

Every frame of the clip is encoded; its difference from a neutral frame is added to the latent, as Tzaban et al. 2022
(STIT, §3) edit videos by one offset in W+, here with one offset per frame.
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

#: A tracked face is lost where the network's score is lower, or its landmarks are farther from a face's.
MIN_SCORE, MAX_MISFIT = 0.6, 0.4
#: Maximum share of frames without a face; their landmarks are interpolated from the neighbors.
MAX_LOST = 0.3
#: Standard deviations of temporal smoothing, in seconds: of the landmarks that align, and of the offsets. More for the
#: landmarks lags behind a moving head: one moved in a circle every two seconds then appears to turn (offsets of 22 at
#: 0.08 s, 3.3 at 0.04 s, 1.4 unsmoothed, compared with 42 of a head that turns).
ALIGN_S, SMOOTH_S = 0.04, 0.06
_BATCH = 8


def track_face(clip: VideoClip, g: Generator, *, face: int = 0, on_step: OnStep | None = None) -> list[Face]:
    """Tracks one face through a clip; its landmarks are smoothed over time.

    The face is detected in the first frame and where it was lost; in between the landmark network continues from the
    last frame, which is fifty times as fast.

    Args:
        clip: The frames.
        g: The generator whose model brings the landmark network.
        face: Which face of the first frame that has any, counted from the largest.
        on_step: Called after every frame; a true answer stops.

    Raises:
        NoFaceFound: too many frames show no face.
        BadValue: there are fewer faces than that.
        MissingPart: the model comes without a landmark network.
        Stopped: ``on_step`` gave a true answer.
    """
    net, began = load_landmark_net(g), time.monotonic()
    points: list[np.ndarray | None] = []
    last: np.ndarray | None = None
    for i, picture in enumerate(clip.frames):
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
        _report(on_step, i + 1, len(clip.frames), began, "Tracking the face")
    return [_face(row) for row in smoothed(_filled(points, clip), ALIGN_S * clip.fps)]


def _searched(picture: Image.Image, g: Generator, face: int, last: np.ndarray | None) -> np.ndarray | None:
    """The landmarks of the face nearest to the last position, else of the ``face``-th."""
    faces = find_faces(picture, g)
    if not faces:
        return None
    if last is not None:
        return min((f.points for f in faces), key=lambda p: float(np.abs(p - last).mean()))
    if face >= len(faces):
        raise BadValue(f"Face {face} was requested; the clip shows {len(faces)}, counted from 0. Choose one of them.")
    return faces[face].points


def _filled(points: Sequence[np.ndarray | None], clip: VideoClip) -> np.ndarray:
    """float64 [frames, 5, 2]; missing frames are interpolated linearly."""
    seen = [i for i, p in enumerate(points) if p is not None]
    lost = len(points) - len(seen)
    if lost > MAX_LOST * len(points):
        raise NoFaceFound(
            f"{lost} of the {len(points)} frames of {clip.name} show no face that can be tracked; expected one "
            "person who faces the camera. Choose another clip, or cut it."
        )
    known = np.stack([p for p in points if p is not None]).reshape(len(seen), -1)
    every = [np.interp(np.arange(len(points)), seen, column) for column in known.T]
    return np.stack(every, axis=1).reshape(len(points), len(LANDMARKS), 2)


def _face(points: np.ndarray) -> Face:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return Face((float(x0), float(y0), float(x1 - x0), float(y1 - y0)), 1.0, landmarks_by_name(points))


def smoothed(rows: np.ndarray, sigma: float) -> np.ndarray:
    """Rows [frames, …] smoothed over time by a Gaussian of ``sigma`` frames; the first and last row are repeated."""
    reach = math.ceil(3 * sigma)
    if reach == 0:
        return rows
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.concatenate([rows[:1].repeat(reach, 0), rows, rows[-1:].repeat(reach, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=0)
    return windows @ (kernel / kernel.sum())


def extract_motion(
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
    """Extracts the motion of a clip's face as offsets of a latent.

    1. Track and align the face in every frame; for a model that shows no faces, crop the center.
    2. Encode every crop.
    3. Smooth the latents over time and subtract the neutral frame's, which then adds nothing.

    Args:
        clip: As :func:`latent_editor.media.decode.read_clip` reads it.
        g: A generator that comes with an encoder.
        layers: Which layers move: coarse ones bring pose and shape, middle ones facial expression.
        amount: Factor on the offsets; 2 exaggerates twice.
        neutral: Index of the frame that corresponds to the photo; None uses the one nearest to the mean.
        face: Which face, counted from the largest.
        smooth_s: Standard deviation of the smoothing, in seconds; 0 disables it.
        on_step: Called after every frame; a true answer stops.

    Raises:
        MissingPart: the model comes without an encoder, or without a landmark network.
        NoFaceFound: too many frames show no face.
        BadValue: layers, a frame or a face that do not exist, or an amount out of range.
        Stopped: ``on_step`` gave a true answer.
    """
    if neutral is not None and not 0 <= neutral < len(clip.frames):
        raise BadValue(f"The neutral frame is {neutral}; {clip.name} has 0 to {len(clip.frames) - 1}.")
    if not (abs(amount) <= 10 and 0 <= smooth_s <= 5):  # false for NaN too
        raise BadValue(f"Got the amount {amount:g} and {smooth_s:g} s of smoothing; expected −10 to 10 and 0 to 5.")
    acting = torch.zeros(g.num_ws, 1)
    for some in layers:
        start, stop = chosen_layers(g, some)
        acting[start:stop] = amount
    encoder = load_encoder(g)  # a missing encoder should be reported before the face is tracked
    half = _part(on_step, 0.0)
    faces = track_face(clip, g, face=face, on_step=half) if shows_faces(g) else None
    began, rows = time.monotonic(), []
    for first in range(0, len(clip.frames), _BATCH):
        batch = []
        for i in range(first, min(first + _BATCH, len(clip.frames))):
            crop = align(clip.frames[i], g, face=faces[i] if faces else 0)
            batch.append(to_tensor(crop.image, g.size_px, g.device))
        with torch.inference_mode():
            rows.append(encoder(torch.cat(batch)).float().cpu())
        _report(_part(on_step, 0.5), first + len(batch), len(clip.frames), began, "Encoding the frames")
    ws: Tensor = torch.from_numpy(smoothed(torch.cat(rows).numpy(), smooth_s * clip.fps)).float()
    if neutral is None:
        neutral = int((ws - ws.mean(0)).flatten(1).norm(dim=1).argmin())
    return Motion((ws - ws[neutral]) * acting, clip.fps)


def _part(on_step: OnStep | None, offset: float) -> OnStep | None:
    """``on_step`` for one half of the work."""
    if on_step is None:
        return None
    return lambda step: on_step(replace(step, fraction=offset + step.fraction / 2))


def _report(on_step: OnStep | None, done: int, count: int, began: float, label: str) -> None:
    step = Step(done, count, time.monotonic() - began, done / count, label=label)
    if on_step is not None and on_step(step):
        raise Stopped("Stopped: no motion was extracted from the clip.")
