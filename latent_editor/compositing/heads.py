"""Where the head is in a picture of a crop: hair, face and chin, from five points and what the picture shows."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from PIL import Image

from latent_editor.core.values import Crop
from latent_editor.generators import Generator
from latent_editor.networks.landmarks import LANDMARKS_FILE, POINTS, frame_from_points, load_landmark_net, locate

#: Points by name, in pixels of a crop, as in :attr:`Crop.landmarks`.
Points = Mapping[str, tuple[float, float]]

#: Side of the copies that are cut into head and rest: colours tell the two apart, detail does not.
CUT_PX = 96
#: How sure the landmark network has to be of an edited face; else the original's points are used.
SURE = 0.6

# All lengths are in distances between the eyes, from the middle between them, towards the chin and to the sides.
#: The face for certain: an ellipse around the middle of eyes and chin. Its half width; how far it stops short of the
#: chin; how far it reaches above the eyes.
FACE_WIDE, FACE_SHORT, FACE_ABOVE = 0.92, 0.06, 0.55
#: The head and its hair, probably: half width, reach above the eyes, and a neck as wide as the jaw.
HAIR_WIDE, HAIR_ABOVE, NECK_WIDE = 1.5, 1.75, 0.72
#: The rest for certain: outside of this half width and this reach above the eyes.
REST_WIDE, REST_ABOVE = 2.6, 2.5
#: Shoulders are wider than hair that falls down: below the mouth the rest begins here.
FALLING_WIDE = 1.65
#: A cut is believed where its head has so many times the probable one's area.
BELIEVED = (0.45, 1.9)


def edited_landmarks(image: Image.Image, g: Generator, crop: Crop) -> dict[str, tuple[float, float]]:
    """The points of the face in an edited picture of a crop.

    Args:
        image: RGB, of any square size.
        g: The generator whose model brings the landmark network.
        crop: The crop; the network starts from its points.

    Returns:
        Points in the crop's pixels; the crop's own where there is no network or it sees no face; none where the crop
        has none.
    """
    if not set(POINTS) <= set(crop.landmarks) or not g.bundle.has(LANDMARKS_FILE):
        return dict(crop.landmarks)
    net, scale = load_landmark_net(g), image.width / crop.image.width
    points = np.array([crop.landmarks[name] for name in POINTS]) * scale
    found = locate(net, np.asarray(image.convert("RGB")), frame_from_points(points, net.size_px))
    if found.score < SURE:
        return dict(crop.landmarks)
    return {name: (float(x), float(y)) for name, (x, y) in zip(POINTS, found.points / scale, strict=True)}


def head(picture: np.ndarray, points: Points, crop_px: int) -> np.ndarray:
    """Which part of a picture is the head.

    1. The points say what is face for certain, what is head probably, and what is neither.
    2. GrabCut (Rother et al. 2004) decides about the rest by colours and edges.
    3. Where its answer cannot be a head (too small, too large), the probable head is taken.
    4. Holes are filled; what is not joined to the face is dropped.

    Args:
        picture: uint8 [S, S, 3], RGB, of the crop.
        points: The face's points in crop pixels, the eyes and the chin at least.
        crop_px: Side of the crop.

    Returns:
        float32 [CUT_PX, CUT_PX], 0 or 1.
    """
    small = cv2.resize(picture, (CUT_PX, CUT_PX), interpolation=cv2.INTER_AREA)
    # 1.
    face, probable, rest = _guesses({name: np.array(p) * (CUT_PX / crop_px) for name, p in points.items()})
    labels = np.full((CUT_PX, CUT_PX), cv2.GC_PR_BGD, np.uint8)
    labels[probable] = cv2.GC_PR_FGD
    labels[rest] = cv2.GC_BGD
    labels[face] = cv2.GC_FGD
    # 2. The colours are clustered from random starts: the same picture shall always be cut alike.
    cv2.setRNGSeed(0)
    soft = cv2.bilateralFilter(small, 5, 24, 3)
    cv2.grabCut(soft, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    # 3.
    if not BELIEVED[0] < found.sum() / max(int(probable.sum()), 1) < BELIEVED[1]:
        found = probable | face
    # 4.
    return _one_piece(found, face)


def _guesses(points: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Face for certain, head probably, rest for certain: bool [CUT_PX, CUT_PX] each."""
    left, right, chin = (points[name] for name in ("left_eye", "right_eye", "chin"))
    unit = max(float(np.linalg.norm(right - left)), 1e-3)
    across = (right - left) / unit
    down = np.array([-across[1], across[0]])
    at = np.stack(np.meshgrid(*[np.arange(CUT_PX) + 0.5] * 2), -1) - (left + right) / 2
    u, v = at @ across / unit, at @ down / unit
    to_chin = max(float((chin - (left + right) / 2) @ down) / unit, 0.8)
    lean = float((chin - (left + right) / 2) @ across) / unit / to_chin  # of a turned face
    low, high = to_chin - FACE_SHORT, -FACE_ABOVE
    middle, half = (low + high) / 2, (low - high) / 2
    face = ((u - lean * v * 0.7) / FACE_WIDE) ** 2 + ((v - middle) / half) ** 2 <= 1
    upper = (u / HAIR_WIDE) ** 2 + (np.minimum(v - 0.25, 0) / (HAIR_ABOVE + 0.25)) ** 2 + (
        np.maximum(v - 0.25, 0) / (to_chin - 0.1)
    ) ** 2 <= 1
    neck = (np.abs(u - lean * to_chin * 0.7) < NECK_WIDE) & (v > to_chin * 0.5)
    rest = (np.abs(u) > REST_WIDE) | (v < -REST_ABOVE) | ((np.abs(u) > FALLING_WIDE) & (v > to_chin * 0.7))
    return face, upper | neck | face, rest & ~face


def _one_piece(found: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The part that is joined to the face, without holes and hairs: float32, 0 or 1."""
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, round_) | face
    _, names = cv2.connectedComponents(opened)
    joined = np.isin(names, np.unique(names[face & (opened > 0)])) if face.any() else opened > 0
    closed = cv2.morphologyEx(joined.astype(np.uint8), cv2.MORPH_CLOSE, round_)
    outside, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(closed), outside, -1, 1, cv2.FILLED).astype(np.float32)
