"""Head segmentation in a crop: hair, face and chin, from five landmarks and the picture."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from latent_editor.core.face_geometry import (
    BACKGROUND_ABOVE_EYES,
    BACKGROUND_BELOW_MOUTH_HALF_WIDTH,
    BACKGROUND_HALF_WIDTH,
    FACE_ABOVE_CHIN,
    FACE_ABOVE_EYES,
    FACE_HALF_WIDTH,
    HEAD_ABOVE_EYES,
    HEAD_HALF_WIDTH,
    NECK_HALF_WIDTH,
    FaceAxes,
    PixelLandmarks,
    has_landmarks,
    landmark_array,
    landmarks_by_name,
)
from latent_editor.core.values import Crop
from latent_editor.generators import Generator
from latent_editor.networks.landmarks import LANDMARKS_FILE, frame_from_points, load_landmark_net, locate

#: Side of the copies that are segmented: colors separate head and background, detail does not.
CUT_PX = 96
#: Minimum score of the landmark network on an edited face; below it, the original's landmarks are used.
MIN_SCORE = 0.6
#: A segmentation is accepted if its head has this many times the area of the probable head.
ACCEPTED_AREA = (0.45, 1.9)


def edited_landmarks(image: Image.Image, g: Generator, crop: Crop) -> dict[str, tuple[float, float]]:
    """The landmarks of the face in an edited picture of a crop.

    Args:
        image: RGB, of any square size.
        g: The generator whose model brings the landmark network.
        crop: The crop; the network starts from its landmarks.

    Returns:
        Landmarks in the crop's pixels; the crop's own if there is no network or it sees no face; none if the crop has
        none.
    """
    if not has_landmarks(crop.landmarks) or not g.bundle.has(LANDMARKS_FILE):
        return dict(crop.landmarks)
    net, scale = load_landmark_net(g), image.width / crop.image.width
    points = landmark_array(crop.landmarks) * scale
    found = locate(net, np.asarray(image.convert("RGB")), frame_from_points(points, net.size_px))
    return dict(crop.landmarks) if found.score < MIN_SCORE else landmarks_by_name(found.points / scale)


def head(picture: np.ndarray, landmarks: PixelLandmarks, crop_px: int) -> np.ndarray:
    """Segments the head: hair, face and neck.

    1. The landmarks say what is certainly face, probably head, and certainly background.
    2. GrabCut (Rother et al. 2004) decides the rest by colors and edges.
    3. If its answer cannot be a head (too small, too large), the probable head is used.
    4. Holes are filled; what is not connected to the face is dropped.

    Args:
        picture: uint8 [S, S, 3], RGB, of the crop.
        landmarks: The face's landmarks in crop pixels, the eyes and the chin at least.
        crop_px: Side of the crop.

    Returns:
        float32 [CUT_PX, CUT_PX], 0 or 1.
    """
    small = cv2.resize(picture, (CUT_PX, CUT_PX), interpolation=cv2.INTER_AREA)
    # 1.
    scale = CUT_PX / crop_px
    face, probable, background = _guesses({name: np.array(p) * scale for name, p in landmarks.items()})
    labels = np.full((CUT_PX, CUT_PX), cv2.GC_PR_BGD, np.uint8)
    labels[probable] = cv2.GC_PR_FGD
    labels[background] = cv2.GC_BGD
    labels[face] = cv2.GC_FGD
    # 2. Colors are clustered from random starts: the seed makes the same picture give the same mask.
    cv2.setRNGSeed(0)
    soft = cv2.bilateralFilter(small, 5, 24, 3)
    cv2.grabCut(soft, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    found = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    # 3.
    if not ACCEPTED_AREA[0] < found.sum() / max(int(probable.sum()), 1) < ACCEPTED_AREA[1]:
        found = probable | face
    # 4.
    return _one_piece(found, face)


def _guesses(landmarks: PixelLandmarks) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Certainly face, probably head, certainly background: bool [CUT_PX, CUT_PX], from landmarks in its pixels."""
    axes = FaceAxes.of(landmarks)
    u, v = axes.coordinates(np.stack(np.meshgrid(*[np.arange(CUT_PX) + 0.5] * 2), -1))
    to_chin = axes.to_chin(landmarks["chin"])
    lean = float(axes.coordinates(np.asarray(landmarks["chin"]))[0]) / to_chin  # of a turned face
    low, high = to_chin - FACE_ABOVE_CHIN, -FACE_ABOVE_EYES
    middle, half = (low + high) / 2, (low - high) / 2
    face = ((u - lean * v * 0.7) / FACE_HALF_WIDTH) ** 2 + ((v - middle) / half) ** 2 <= 1
    upper = (u / HEAD_HALF_WIDTH) ** 2 + (np.minimum(v - 0.25, 0) / (HEAD_ABOVE_EYES + 0.25)) ** 2 + (
        np.maximum(v - 0.25, 0) / (to_chin - 0.1)
    ) ** 2 <= 1
    neck = (np.abs(u - lean * to_chin * 0.7) < NECK_HALF_WIDTH) & (v > to_chin * 0.5)
    beside_shoulders = (np.abs(u) > BACKGROUND_BELOW_MOUTH_HALF_WIDTH) & (v > to_chin * 0.7)
    background = (np.abs(u) > BACKGROUND_HALF_WIDTH) | (v < -BACKGROUND_ABOVE_EYES) | beside_shoulders
    return face, upper | neck | face, background & ~face


def _one_piece(found: np.ndarray, face: np.ndarray) -> np.ndarray:
    """The component that is connected to the face, without holes and single hairs: float32, 0 or 1."""
    round_ = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    opened = cv2.morphologyEx(found.astype(np.uint8), cv2.MORPH_OPEN, round_) | face
    _, names = cv2.connectedComponents(opened)
    joined = np.isin(names, np.unique(names[face & (opened > 0)])) if face.any() else opened > 0
    closed = cv2.morphologyEx(joined.astype(np.uint8), cv2.MORPH_CLOSE, round_)
    outside, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(closed), outside, -1, 1, cv2.FILLED).astype(np.float32)
