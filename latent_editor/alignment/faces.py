"""Face detection: OpenCV's cascades propose, the landmark network locates the landmarks and decides."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from latent_editor.alignment.mesh import Mesh, load_mesh
from latent_editor.core.errors import MissingPart
from latent_editor.core.face_geometry import eye_distance, landmark_array, landmarks_by_name
from latent_editor.core.values import Photo
from latent_editor.generators import Generator
from latent_editor.models.per_model import per_model
from latent_editor.networks.faces import misfit, shows_faces
from latent_editor.networks.landmarks import (
    LANDMARKS_FILE,
    LandmarkNet,
    frame_from_points,
    load_landmark_net,
    locate,
)
from latent_editor.ops import affine

#: Longer side of the copies that are searched: upright first, then rotated.
UPRIGHT_PX, TURNED_PX = 640, 420

#: If that finds nothing in a larger photo: longer side of a finer copy, and minimum side of a face in it.
FINE_PX, FINE_FACE_PX = 1800, 40

#: Roll angles that are tried, group by group, if no upright face is found: tilted heads, then rotated photos (scans and
#: files that lost their EXIF). The cascades tolerate about ±18°.
ROLLS_DEG = ((-30, 30), (-52, 52), (-90, 90, 180))

CASCADES = ("haarcascade_frontalface_alt2.xml", "haarcascade_frontalface_default.xml")

#: A face needs this score of the network (a higher one in unlikely places) …
MIN_SCORE, MIN_SCORE_ELSE = 0.7, 0.95
#: … a still higher one if its eyes are unclear: in sunglasses, closed, or no human eyes (cats, mostly) …
MIN_SCORE_BLIND, MAX_BLUR = 0.97, 0.11
#: … and plausible landmarks: root mean square distance from the mean face, in eye distances.
MAX_MISFIT = 0.35

#: The network's frame relative to a cascade's box: measured on the training portraits.
BOX_TO_FRAME, BOX_CENTER_DOWN = 1.455, 0.653

#: The face within the frame, for the box shown to the user: left, top, right, bottom.
FACE_IN_FRAME = (0.17, 0.12, 0.83, 0.82)


@dataclass(frozen=True)
class Face:
    """A face in a photo.

    Attributes:
        box: (x, y, width, height) around the face in photo pixels.
        score: 0..1, confidence that this is a face.
        landmarks: left_eye, right_eye, nose, mouth, chin → (x, y) in photo pixels; left means left in the photo.
            The eyes are the centers of the irises.
    """

    box: tuple[float, float, float, float]
    score: float
    landmarks: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def points(self) -> np.ndarray:
        """The landmarks, float64 [5, 2], in photo pixels, in the order of :data:`LANDMARKS`."""
        return landmark_array(self.landmarks)


def find_faces(photo: Photo | Image.Image, g: Generator) -> list[Face]:
    """Detects the faces of a photo, the largest first.

    1. mediapipe's face mesh, if it is installed.
    2. Otherwise the cascades on a reduced upright copy; if that finds nothing, on one with an added border (portraits
       that fill their frame); then on rotated copies; then, for small faces in large photos, on a finer one.
    3. From each hit, the landmark network locates the landmarks and decides whether it is a face at all.

    Profiles are not found. For a model that shows no faces and has no landmark network, the result is empty.

    Args:
        photo: The photo, or any Pillow image.
        g: The generator whose model brings the landmark network.

    Raises:
        MissingPart: the model has no landmark network, or OpenCV has no cascades.
    """
    if not g.bundle.has(LANDMARKS_FILE) and not shows_faces(g):
        return []
    picture = _array(photo)
    mesh = _face_mesh(g)
    if mesh is not None:
        small, to_picture = _reduced(picture, 1280)
        found = [_face(affine.transformed(to_picture, points), 1.0, picture) for points in mesh(small)]
        if found:
            return _largest_first(found)
    net = load_landmark_net(g)
    finder = _cascade_finder(g)
    for frames, min_score in _searches(finder, picture):
        found_here = (_confirmed(net, picture, frame, min_score) for frame in frames)
        faces = [face for face in found_here if face is not None]
        if faces:
            return _largest_first(_distinct(faces))
    return []


class CascadeFinder:
    """OpenCV's frontal face cascades. One search at a time: a cascade is stateful while it runs.

    Raises:
        MissingPart: this OpenCV has no cascades.
    """

    def __init__(self) -> None:
        folder = Path(getattr(getattr(cv2, "data", None), "haarcascades", ""))
        self._lock = threading.Lock()
        if not all((folder / name).is_file() for name in CASCADES):
            raise MissingPart(
                f"OpenCV {cv2.__version__} comes without face cascades, needed for finding faces. "
                "Install opencv-python-headless<5, or crop manually."
            )
        self._cascades = [cv2.CascadeClassifier(str(folder / name)) for name in CASCADES]

    def boxes(
        self, gray: np.ndarray, *, thorough: bool = True, min_px: int | None = None
    ) -> list[tuple[int, int, int]]:
        """Squares (x, y, side) that may contain an upright face, in a picture uint8 [H, W], the largest first."""
        side = min_px or max(28, min(gray.shape) // 16)
        if min(gray.shape) < side:
            return []
        cascades = self._cascades if thorough else self._cascades[:1]
        with self._lock:
            hits = [c.detectMultiScale(gray, 1.12, 3, minSize=(side, side)) for c in cascades]
        boxes = [(int(x), int(y), int(side)) for some in hits for x, y, side, _ in some]
        boxes.sort(key=lambda b: -b[2])
        kept: list[tuple[int, int, int]] = []
        for box in boxes:
            if not any(_same(box, other) for other in kept):
                kept.append(box)
        return kept[:24]


def _same(a: tuple[int, int, int], b: tuple[int, int, int]) -> bool:
    away = max(abs(a[0] + a[2] / 2 - b[0] - b[2] / 2), abs(a[1] + a[2] / 2 - b[1] - b[2] / 2))
    return away < 0.25 * max(a[2], b[2]) and 0.6 < a[2] / b[2] < 1.67


def _array(photo: Photo | Image.Image) -> np.ndarray:
    image = photo.image if isinstance(photo, Photo) else photo
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _reduced(picture: np.ndarray, longest_px: int) -> tuple[np.ndarray, np.ndarray]:
    """A copy whose longer side is at most ``longest_px``, and the transform [2, 3] from it to the picture."""
    height, width = picture.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA) if scale < 1 else picture
    return small, np.array([[width / size[0], 0, 0], [0, height / size[1], 0]])


def _searches(finder: CascadeFinder, picture: np.ndarray) -> Iterator[tuple[list[np.ndarray], float]]:
    """The searches in order: frames for the network to look at, and the score it has to reach there.

    Yields:
        Frames, float64 [2, 3] from a frame of unit side to picture pixels; the minimum score.
    """
    yield _frames(finder, *_reduced(picture, UPRIGHT_PX)), MIN_SCORE
    small, to_picture = _reduced(picture, TURNED_PX)
    pad = max(small.shape[:2]) // 3
    copy = cv2.copyMakeBorder(small, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
    shift = np.array([[1.0, 0, -pad], [0, 1.0, -pad]])
    yield _frames(finder, copy, affine.composed(to_picture, shift), thorough=False), MIN_SCORE_ELSE
    for rolls in ROLLS_DEG:
        rotated = (_rotated(small, roll) for roll in rolls)
        yield (
            [
                frame
                for copy, to_small in rotated
                for frame in _frames(finder, copy, affine.composed(to_picture, to_small), thorough=False)
            ],
            MIN_SCORE_ELSE,
        )
    if max(picture.shape[:2]) > 1.5 * UPRIGHT_PX:
        fine = _frames(finder, *_reduced(picture, FINE_PX), thorough=False, min_px=FINE_FACE_PX)
        yield fine, MIN_SCORE_ELSE


def _frames(
    finder: CascadeFinder,
    copy: np.ndarray,
    copy_to_picture: np.ndarray,
    *,
    thorough: bool = True,
    min_px: int | None = None,
) -> list[np.ndarray]:
    frames = []
    for x, y, side in finder.boxes(cv2.cvtColor(copy, cv2.COLOR_RGB2GRAY), thorough=thorough, min_px=min_px):
        wide = side * BOX_TO_FRAME
        corner = (x + side / 2 - wide / 2, y + side * BOX_CENTER_DOWN - wide / 2)
        frames.append(affine.composed(copy_to_picture, np.array([[wide, 0, corner[0]], [0, wide, corner[1]]])))
    return frames


def _rotated(small: np.ndarray, roll_deg: float) -> tuple[np.ndarray, np.ndarray]:
    """A rotated copy that contains all four corners, and the transform from it to ``small``."""
    angle = np.radians(roll_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    seen = affine.corners((small.shape[1], small.shape[0])) @ turn
    low, high = seen.min(0), seen.max(0)
    to_small = np.column_stack([turn, turn @ low])
    size = (int(np.ceil(high[0] - low[0])), int(np.ceil(high[1] - low[1])))
    return affine.warp(small, to_small, size, border=cv2.BORDER_REPLICATE), to_small


def _confirmed(net: LandmarkNet, picture: np.ndarray, unit_frame: np.ndarray, min_score: float) -> Face | None:
    frame = np.column_stack([unit_frame[:, :2] / net.size_px, unit_frame[:, 2]])
    found = locate(net, picture, frame)
    height, width = picture.shape[:2]
    inside = ((found.points > -0.02 * width) & (found.points < [1.02 * width, 1.02 * height])).all(1)
    min_score = min_score if found.blur <= MAX_BLUR else max(min_score, MIN_SCORE_BLIND)
    if found.score < min_score or misfit(found.points) > MAX_MISFIT or not inside[[0, 1, 3]].all():
        return None
    return _face(found.points, found.score, picture)


def _face(points: np.ndarray, score: float, picture: np.ndarray) -> Face:
    left, top, right, bottom = FACE_IN_FRAME
    around = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    seen = affine.transformed(frame_from_points(points, 1), around)
    limit = [picture.shape[1], picture.shape[0]]
    (x0, y0), (x1, y1) = np.clip(seen.min(0), 0, limit), np.clip(seen.max(0), 0, limit)
    return Face((float(x0), float(y0), float(x1 - x0), float(y1 - y0)), score, landmarks_by_name(points))


def _distinct(faces: list[Face]) -> list[Face]:
    """Of hits that led to the same face, the one with the highest score."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda f: -f.score):
        if not any(_same_face(face, other) for other in kept):
            kept.append(face)
    return kept


def _same_face(a: Face, b: Face) -> bool:
    away = float(np.abs(a.points - b.points).mean())
    return away < 0.5 * max(eye_distance(a.points), eye_distance(b.points))


def _largest_first(faces: list[Face]) -> list[Face]:
    return sorted(faces, key=lambda f: -eye_distance(f.points))


@per_model
def _face_mesh(g: Generator) -> Mesh | None:
    return load_mesh()


@per_model
def _cascade_finder(g: Generator) -> CascadeFinder:
    return CascadeFinder()
