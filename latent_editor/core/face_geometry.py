"""Face geometry: landmark names, units, face templates, and the proportions of a face.

A landmark is named, and its unit is part of a name or a type:

- pixels of a picture or crop (:data:`PixelLandmarks`), counted from the edge: the first pixel's center is at 0.5;
- fractions of the picture's side (:data:`FractionLandmarks`), as canonical points are stored in ``model.json``;
- eye distances, along the face's own axes (:class:`FaceAxes`): all proportions below, whatever the picture's size.

Left means left in the picture. An eye is either the pupil, as detected and stored in crops, or the midpoint of its two
corners, as in landmark labels, canonical points and templates; :func:`to_pupils` and :func:`to_eye_midpoints`
convert.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

#: The five landmarks, in the order of arrays [5, 2].
LANDMARKS = ("left_eye", "right_eye", "nose", "mouth", "chin")
#: The order of the landmarks in a mirrored picture.
MIRRORED_ORDER = (1, 0, 2, 3, 4)

#: (x, y).
Point = Sequence[float] | np.ndarray
#: (x, y) by landmark name, in pixels.
PixelLandmarks = Mapping[str, Point]
#: (x, y) by landmark name, as fractions of the picture's side.
FractionLandmarks = Mapping[str, Point]
#: Half width and half height of an ellipse, in eye distances.
HalfAxes = tuple[float, float]

# Templates: where a face's landmarks lie in a square that a network sees, as fractions of its side.

#: The mean face of the training portraits in the landmark network's frame: 24 % of the side between the eyes, and room
#: for rotation all around.
MEAN_FACE: FractionLandmarks = {
    "left_eye": (0.374, 0.327),
    "right_eye": (0.626, 0.327),
    "nose": (0.499, 0.500),
    "mouth": (0.500, 0.607),
    "chin": (0.500, 0.774),
}
#: ArcFace's template, in pixels of its pictures: what insightface and most others align to, with the midpoint of the
#: mouth corners.
ARCFACE_PX = 112
ARCFACE_LANDMARKS_PX: PixelLandmarks = {
    "left_eye": (38.2946, 51.6963),
    "right_eye": (73.5318, 51.5014),
    "nose": (56.0252, 71.7366),
    "mouth": (56.1396, 92.2848),
}


def moved_template(down: float, names: Sequence[str] = ("left_eye", "right_eye", "mouth")) -> FractionLandmarks:
    """Landmarks of :data:`MEAN_FACE`, moved down by a fraction of the side."""
    return {name: (MEAN_FACE[name][0], round(MEAN_FACE[name][1] + down, 6)) for name in names}


# Proportions, in eye distances. "Above the eyes" and "below the chin" are along the face's own vertical axis.

#: Pupils as seen from the midpoints of the eye corners: outwards and upwards. Means over the 6,259 training portraits,
#: of the eyes whose iris has a clear edge (7 in 10); the standard deviation of one eye is 0.020 and 0.013.
PUPIL_OUT, PUPIL_UP = 0.014, 0.036

#: Head segmentation. Certainly face: an ellipse of this half width, from this far above the eyes down to a little above
#: the chin.
FACE_HALF_WIDTH, FACE_ABOVE_EYES, FACE_ABOVE_CHIN = 0.92, 0.55, 0.06
#: Probably head and hair: half width, reach above the eyes, and a neck as wide as the jaw.
HEAD_HALF_WIDTH, HEAD_ABOVE_EYES, NECK_HALF_WIDTH = 1.5, 1.75, 0.72
#: Certainly background: beyond this half width or this far above the eyes; below the mouth, where shoulders are wider
#: than falling hair, beyond the third.
BACKGROUND_HALF_WIDTH, BACKGROUND_ABOVE_EYES, BACKGROUND_BELOW_MOUTH_HALF_WIDTH = 2.6, 2.5, 1.65

#: Parts that edits act in: soft ellipses. Those of the eyes are moved up, so that they include the brows, and so is the
#: nose's, whose landmark is its tip.
PART_HALF_AXES: Mapping[str, HalfAxes] = {"eyes": (0.46, 0.36), "nose": (0.36, 0.52), "mouth": (0.62, 0.40)}
PART_MOVED_UP: Mapping[str, float] = {"eyes": 0.08, "nose": 0.25, "mouth": 0.0}
#: The face as a part reaches this far above the eyes, where hair begins, and this far below the chin.
PART_FACE_ABOVE_EYES, PART_FACE_BELOW_CHIN = 0.95, 0.02

#: Regions that directions are measured in: disjoint, tighter than the parts.
REGION_HALF_AXES: Mapping[str, HalfAxes] = {
    "eyes": (0.34, 0.22),
    "nose": (0.25, 0.4),
    "mouth": (0.45, 0.22),
    "skin": (0.75, 1.0),
    "head": (1.2, 1.7),
}
REGION_MOVED_UP: Mapping[str, float] = {"nose": 0.2, "head": 0.1}


# Arrays and units.


def landmark_array(landmarks: Mapping[str, Point], names: Iterable[str] = LANDMARKS) -> np.ndarray:
    """The named landmarks as float64 [K, 2], in the unit they come in."""
    return np.array([landmarks[name] for name in names], np.float64)


def landmarks_by_name(points: np.ndarray) -> dict[str, tuple[float, float]]:
    """Points [5, 2] in the order of :data:`LANDMARKS`, by name, in the unit they come in."""
    return {name: (float(x), float(y)) for name, (x, y) in zip(LANDMARKS, points, strict=True)}


def has_landmarks(landmarks: Mapping[str, object] | None, names: Iterable[str] = LANDMARKS) -> bool:
    """True if all of the named landmarks are there."""
    return landmarks is not None and set(names) <= set(landmarks)


def to_fractions(landmarks: PixelLandmarks, size_px: tuple[int, int]) -> dict[str, tuple[float, float]]:
    """Pixels of a picture (width, height) to fractions of its sides."""
    width, height = size_px
    return {name: (x / width, y / height) for name, (x, y) in landmarks.items()}


def to_pixels(landmarks: FractionLandmarks, size_px: float) -> dict[str, tuple[float, float]]:
    """Fractions of a square picture's side to its pixels."""
    return {name: (x * size_px, y * size_px) for name, (x, y) in landmarks.items()}


def eye_distance(points: np.ndarray) -> float:
    """The distance between the eyes of points [5, 2], in their unit."""
    return float(np.linalg.norm(points[1] - points[0]))


def to_pupils(points: np.ndarray) -> np.ndarray:
    """Moves the eyes of points [5, 2] from the midpoints of their corners to where pupils are on average."""
    return _eyes_moved(points, PUPIL_OUT, PUPIL_UP)


def to_eye_midpoints(points: np.ndarray) -> np.ndarray:
    """Inverts :func:`to_pupils`."""
    wider = 1 + 2 * PUPIL_OUT
    return _eyes_moved(points, -PUPIL_OUT / wider, -PUPIL_UP / wider)


def _eyes_moved(points: np.ndarray, out: float, up: float) -> np.ndarray:
    points = np.array(points, np.float64)
    along = points[1] - points[0]
    above = np.array([along[1], -along[0]])
    points[0] += up * above - out * along
    points[1] += up * above + out * along
    return points


@dataclass(frozen=True, eq=False)
class FaceAxes:
    """A face's own coordinates (u, v) in a picture, in eye distances: u to the right, v towards the chin.

    Attributes:
        origin: float64 [2], the midpoint between the eyes, in the picture's unit (pixels or fractions).
        across, down: float64 [2], unit vectors of u and v.
        eye_distance: In the picture's unit.
    """

    origin: np.ndarray
    across: np.ndarray
    down: np.ndarray
    eye_distance: float

    @staticmethod
    def of(landmarks: Mapping[str, Point]) -> FaceAxes:
        """The axes of a face by its eyes, in the unit of the landmarks."""
        left, right = (np.asarray(landmarks[name], np.float64) for name in ("left_eye", "right_eye"))
        distance = max(float(np.linalg.norm(right - left)), 1e-3)
        across = (right - left) / distance
        return FaceAxes((left + right) / 2, across, np.array([-across[1], across[0]]), distance)

    def coordinates(self, points: np.ndarray, origin: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """(u, v) in eye distances of points [..., 2], from ``origin`` in the picture's unit or between the eyes."""
        offset = points - (self.origin if origin is None else origin)
        return offset @ self.across / self.eye_distance, offset @ self.down / self.eye_distance

    def below(self, point: Point, v: float) -> np.ndarray:
        """The point ``v`` eye distances below another one, in the picture's unit."""
        return np.asarray(point + self.down * self.eye_distance * v)

    def ellipse(self, points: np.ndarray, center: np.ndarray, half_axes: HalfAxes) -> np.ndarray:
        """True inside an ellipse around ``center``: bool [...] for points [..., 2], both in the picture's unit."""
        u, v = self.coordinates(points, center)
        return np.asarray((u / half_axes[0]) ** 2 + (v / half_axes[1]) ** 2 < 1)

    def to_chin(self, chin: Point) -> float:
        """How far the chin lies below the eyes, in eye distances; at least 0.8, so that no face is degenerate."""
        return max(float(self.coordinates(np.asarray(chin, np.float64))[1]), 0.8)
