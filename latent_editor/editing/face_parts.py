"""Parts of a face by name: the regions of a picture that edits can act in."""

from __future__ import annotations

import cv2
import numpy as np

from latent_editor.compositing.heads import MIN_SCORE, head
from latent_editor.core.errors import BadValue
from latent_editor.core.face_geometry import (
    FACE_HALF_WIDTH,
    HEAD_ABOVE_EYES,
    HEAD_HALF_WIDTH,
    LANDMARKS,
    PART_FACE_ABOVE_EYES,
    PART_FACE_BELOW_CHIN,
    PART_HALF_AXES,
    PART_MOVED_UP,
    FaceAxes,
    has_landmarks,
    landmark_array,
    to_pixels,
)
from latent_editor.core.region import REGION_PX, Region
from latent_editor.core.values import Latent
from latent_editor.generators import Generator
from latent_editor.networks.faces import canonical_points, shows_faces
from latent_editor.networks.landmarks import LANDMARKS_FILE, frame_from_points, load_landmark_net, locate
from latent_editor.rendering import render

#: The parts that have a region, in the order of menus.
PARTS = ("eyes", "nose", "mouth", "face", "hair", "background")

# All lengths are in eye distances, in a face's own axes.
#: How soft the edges are: of the parts in the face, and of the head's outline.
_SOFT, _HEAD_SOFT = 0.1, 0.07
#: Half axes of an ellipse around the midpoint of the eyes whose upper half is certainly head.
_CROWN = (1.2, 1.45)
#: If the segmentation has less than this share of the usual place of hair, all of that place counts as hair.
_MIN_HAIR_SHARE = 0.5
#: A bare forehead above the face's ellipse is searched from this far above the eyes, and this far to the sides.
_FOREHEAD_ABOVE_EYES, _FOREHEAD_HALF_WIDTH = 0.3, 0.85
#: Hair falls beside a neck of this half width; the background ends this far below the chin, at the shoulders.
_NECK_HALF_WIDTH, _SHOULDERS = 0.6, 0.15


def face_part(g: Generator, latent: Latent, part: str) -> Region:
    """The region of a part of a latent's face.

    1. The latent is rendered, and the landmark network finds the face's landmarks; where it is not sure, the model's
       canonical points are used.
    2. Eyes, nose, mouth and face are soft ellipses around the landmarks.
    3. Hair is the head that :func:`latent_editor.compositing.heads.head` segments, without face and neck; the
       background is the rest.

    Args:
        g: The latent's generator.
        latent: A face before the edits that are to act in the region.
        part: One of :data:`PARTS`.

    Raises:
        BadValue: an unknown part, or a model that shows no faces.
    """
    return face_parts(g, latent, [part])[0]


def face_parts(g: Generator, latent: Latent, parts: list[str]) -> list[Region]:
    """Several parts of one face, which is rendered once; otherwise as :func:`face_part`."""
    for part in parts:
        if part not in PARTS:
            raise BadValue(f"Got the part {str(part)[:40]!r}; expected one of {', '.join(PARTS)}, or a painted region.")
    if not parts:
        return []
    if not has_parts(g):
        raise BadValue(f"The model {g.name!r} shows no faces, so it has no {parts[0]} to be found. Paint the region.")
    picture = np.asarray(render(g, latent, size_px=2 * REGION_PX))
    points = points_in(g, picture)
    return [Region.of(_mask(part, picture, points), part) for part in parts]


def has_parts(g: Generator) -> bool:
    """True if a model's pictures are faces whose parts can be found."""
    return shows_faces(g) and has_landmarks(canonical_points(g))


def points_in(g: Generator, picture: np.ndarray) -> dict[str, np.ndarray]:
    """The face's landmarks in a picture uint8 [S, S, 3] of a model that has parts, as fractions of its side.

    The model's canonical points where the landmark network is not sure. In the order of :data:`LANDMARKS`.
    """
    points = canonical = landmark_array(canonical_points(g))
    if g.bundle.has(LANDMARKS_FILE):
        net, side = load_landmark_net(g), len(picture)
        found = locate(net, picture, frame_from_points(canonical * side, net.size_px))
        if found.score >= MIN_SCORE:
            points = found.points / side
    return dict(zip(LANDMARKS, points, strict=True))


class _Face:
    """The grid of a region's mask in the face's axes, and the ellipses of its parts."""

    def __init__(self, points: dict[str, np.ndarray]) -> None:
        self.points, self.axes = points, FaceAxes.of(points)
        self.grid = np.stack(np.meshgrid(*[(np.arange(REGION_PX) + 0.5) / REGION_PX] * 2), -1)
        self.u, self.v = self.axes.coordinates(self.grid)  # [REGION_PX, REGION_PX] each
        self.to_chin = self.axes.to_chin(points["chin"])

    def part(self, part: str, landmark: str) -> np.ndarray:
        """The ellipse of a part around one of its landmarks: bool [REGION_PX, REGION_PX]."""
        center = self.axes.below(self.points[landmark], -PART_MOVED_UP[part])
        return self.axes.ellipse(self.grid, center, PART_HALF_AXES[part])

    def whole(self) -> np.ndarray:
        """The face from the hairline to the chin."""
        low, high = self.to_chin + PART_FACE_BELOW_CHIN, -PART_FACE_ABOVE_EYES
        center = self.axes.below(self.axes.origin, (low + high) / 2)
        return self.axes.ellipse(self.grid, center, (FACE_HALF_WIDTH, (low - high) / 2))

    def soft(self, mask: np.ndarray, width: float) -> np.ndarray:
        """A mask with edges blurred by ``width`` eye distances."""
        sigma_px = max(width * self.axes.eye_distance * REGION_PX, 0.5)
        return np.clip(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma_px), 0, 1)


def _mask(part: str, picture: np.ndarray, points: dict[str, np.ndarray]) -> np.ndarray:
    """float32 [REGION_PX, REGION_PX], 0..1."""
    face = _Face(points)
    if part in ("hair", "background"):
        cut = head(picture, to_pixels(points, len(picture)), len(picture))
        cut = cv2.resize(cut, (REGION_PX, REGION_PX), interpolation=cv2.INTER_LINEAR)
        if part == "hair":
            return _hair(face, picture, cut)
        return face.soft((1 - cut) * (face.v < face.to_chin + _SHOULDERS), _HEAD_SOFT)
    if part == "eyes":
        return face.soft(face.part(part, "left_eye") | face.part(part, "right_eye"), _SOFT)
    return face.soft(face.whole() if part == "face" else face.part(part, part), _SOFT)


def _hair(face: _Face, picture: np.ndarray, cut: np.ndarray) -> np.ndarray:
    """The segmented head without face, bare forehead and neck: float32 [REGION_PX, REGION_PX], 0..1."""
    whole, u, v = face.whole(), face.u, face.v
    # Dark hair on a dark background may be missing from the segmentation.
    usual = face.axes.ellipse(face.grid, face.axes.origin, (HEAD_HALF_WIDTH, HEAD_ABOVE_EYES))
    missing = cut[usual & (v < 0) & ~whole].mean() < _MIN_HAIR_SHARE
    crown = face.axes.ellipse(face.grid, face.axes.origin, _CROWN) & (v < 0)
    cut = np.maximum(cut, usual if missing else crown).astype(np.float32)
    reach_px = max(1, round(0.1 * face.axes.eye_distance * REGION_PX / 2))
    wider = cv2.dilate(cut, np.ones((3, 3), np.uint8), iterations=reach_px)
    forehead = (v < -_FOREHEAD_ABOVE_EYES) & (np.abs(u) < _FOREHEAD_HALF_WIDTH)
    bare = _bare_forehead(picture, whole & (v > 0.2), cut > 0.5, forehead)
    neck = (np.abs(u) < _NECK_HALF_WIDTH) & (v > face.to_chin * 0.8)
    rest = np.maximum(face.soft(whole | bare, _SOFT), neck)
    return face.soft(wider * (1 - rest), _HEAD_SOFT)


def _bare_forehead(picture: np.ndarray, face: np.ndarray, head_mask: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Where the forehead continues above the face's ellipse: what is more like skin than like hair.

    Args:
        picture: uint8 [S, S, 3].
        face, head_mask, above: bool [REGION_PX, REGION_PX]: certainly skin, the head, and where a forehead may be.
    """
    small = cv2.resize(picture, (REGION_PX, REGION_PX), interpolation=cv2.INTER_AREA)
    colors = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 1.5), cv2.COLOR_RGB2LAB).astype(np.float32)
    highest = np.flatnonzero(head_mask.any(1)).min(initial=REGION_PX)
    top = head_mask & above & (np.arange(REGION_PX)[:, None] < highest + 12)
    if not face.any() or not top.any():
        return np.zeros_like(face)
    skin, hair = (np.median(colors[where], axis=0) for where in (face, top))
    nearer = np.linalg.norm(colors - skin, axis=-1) < np.linalg.norm(colors - hair, axis=-1)
    found = cv2.morphologyEx((nearer & head_mask & above).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return found > 0
