"""Parts of a face by name, where they are in a picture of it: regions that edits can act in."""

from __future__ import annotations

import cv2
import numpy as np

from latent_editor.compositing.heads import FACE_WIDE, HAIR_ABOVE, HAIR_WIDE, SURE, head
from latent_editor.core.errors import BadValue
from latent_editor.core.region import REGION_PX, Region
from latent_editor.core.values import Latent
from latent_editor.generators import Generator
from latent_editor.networks.faces import canonical_points, shows_faces
from latent_editor.networks.landmarks import LANDMARKS_FILE, POINTS, frame_from_points, load_landmark_net, locate
from latent_editor.rendering import render

#: The parts that have a region, in the order of menus.
PARTS = ("eyes", "nose", "mouth", "face", "hair", "background")

# All lengths are in distances between the eyes: half widths and half heights of ellipses, and how soft edges are.
_EYE = (0.46, 0.36)
_NOSE = (0.36, 0.52)
_MOUTH = (0.62, 0.40)
_SOFT, _HEAD_SOFT = 0.1, 0.07
#: The eyes' ellipses lie this much above the pupils, so that brows are theirs; the nose's middle above its tip.
_BROWS, _BRIDGE = 0.08, 0.25
#: The face reaches this far above the eyes, where hair begins, and this far below the chin.
_FOREHEAD, _JAW = 0.95, 0.02
#: Around the middle of the eyes and above them, what is head for certain.
_CROWN = (1.2, 1.45)
#: Where less than this share of the usual place of hair is in the cut, all of that place is taken.
_BELIEVED_HAIR = 0.5
#: A bare forehead above that is looked for from so far above the eyes on, so far to the sides.
_BARE_FROM, _BARE_WIDE = 0.3, 0.85
#: Beside the neck the hair falls; the background ends at the shoulders, so far below the chin.
_NECK_WIDE, _SHOULDERS = 0.6, 0.15


def face_part(g: Generator, latent: Latent, part: str) -> Region:
    """The region of a part of a latent's face.

    1. The latent is drawn, and the landmark network finds the face's points in the picture; where it is not sure,
       the points are those of the model's mean face.
    2. Eyes, nose, mouth and face are soft ellipses around the points.
    3. Hair is what :func:`latent_editor.compositing.heads.head` cuts out less the face and neck, the background is
       what it leaves.

    Args:
        g: The latent's generator.
        latent: A face, as it is before the edits that shall act in the region.
        part: One of :data:`PARTS`.

    Raises:
        BadValue: no such part, or a model that shows no faces.
    """
    return face_parts(g, latent, [part])[0]


def face_parts(g: Generator, latent: Latent, parts: list[str]) -> list[Region]:
    """Several parts of one face, for which it is drawn once; otherwise as :func:`face_part`."""
    for part in parts:
        if part not in PARTS:
            raise BadValue(f"Got the part {str(part)[:40]!r}; expected one of {', '.join(PARTS)}, or a painted region.")
    if not parts:
        return []
    if not has_parts(g):
        raise BadValue(
            f"The model {g.name!r} shows no faces, so its pictures have no {parts[0]} to be found. Paint the region."
        )
    picture = np.asarray(render(g, latent, size_px=2 * REGION_PX))
    points = points_in(g, picture)
    return [Region.of(_mask(part, picture, points), part) for part in parts]


def has_parts(g: Generator) -> bool:
    """Whether a model's pictures are faces whose parts can be found."""
    return shows_faces(g) and set(POINTS) <= set(canonical_points(g) or ())


def points_in(g: Generator, picture: np.ndarray) -> dict[str, np.ndarray]:
    """The face's points in a picture uint8 [S, S, 3] of a model that has parts, as fractions of its side; eyes first.

    Where the landmark network is not sure of them, those of the model's mean face.
    """
    canonical = canonical_points(g)
    usual = np.array([canonical[name] for name in POINTS], np.float64)
    points = usual
    if g.bundle.has(LANDMARKS_FILE):
        net, side = load_landmark_net(g), len(picture)
        found = locate(net, picture, frame_from_points(usual * side, net.size_px))
        if found.score >= SURE:
            points = found.points / side
    return dict(zip(POINTS, points, strict=True))


def _mask(part: str, picture: np.ndarray, points: dict[str, np.ndarray]) -> np.ndarray:
    """float32 [REGION_PX, REGION_PX], 0..1."""
    left, right = points["left_eye"], points["right_eye"]
    unit = max(float(np.linalg.norm(right - left)), 1e-3)
    across = (right - left) / unit
    down = np.array([-across[1], across[0]])
    places = np.stack(np.meshgrid(*[(np.arange(REGION_PX) + 0.5) / REGION_PX] * 2), -1)

    def along(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (places - at) @ across / unit, (places - at) @ down / unit

    def ellipse(at: np.ndarray, wide: float, high: float) -> np.ndarray:
        u, v = along(at)
        return (u / wide) ** 2 + (v / high) ** 2 < 1

    middle = (left + right) / 2
    to_chin = max(float((points["chin"] - middle) @ down) / unit, 0.8)
    low, high = to_chin + _JAW, -_FOREHEAD
    face = ellipse(middle + down * unit * (low + high) / 2, FACE_WIDE, (low - high) / 2)
    if part in ("hair", "background"):
        u, v = along(middle)
        marks = {name: tuple(point * len(picture)) for name, point in points.items()}
        cut = cv2.resize(head(picture, marks, len(picture)), (REGION_PX, REGION_PX), interpolation=cv2.INTER_LINEAR)
        neck = (np.abs(u) < _NECK_WIDE) & (v > to_chin * 0.8)
        if part == "hair":  # dark hair before a dark background may be missing from the cut
            usual = ellipse(middle, HAIR_WIDE, HAIR_ABOVE)
            missing = cut[usual & (v < 0) & ~face].mean() < _BELIEVED_HAIR
            cut = np.maximum(cut, usual if missing else ellipse(middle, *_CROWN) & (v < 0)).astype(np.float32)
            wider = cv2.dilate(cut, np.ones((3, 3), np.uint8), iterations=max(1, round(0.1 * unit * REGION_PX / 2)))
            bare = _bare(picture, face & (v > 0.2), cut > 0.5, (v < -_BARE_FROM) & (np.abs(u) < _BARE_WIDE))
            rest = np.maximum(_soft(face | bare, unit, _SOFT), neck)
            return _soft(wider * (1 - rest), unit, _HEAD_SOFT)
        return _soft((1 - cut) * (v < to_chin + _SHOULDERS), unit, _HEAD_SOFT)
    shapes = {
        "eyes": ellipse(left - down * unit * _BROWS, *_EYE) | ellipse(right - down * unit * _BROWS, *_EYE),
        "nose": ellipse(points["nose"] - down * unit * _BRIDGE, *_NOSE),
        "mouth": ellipse(points["mouth"], *_MOUTH),
        "face": face,
    }
    return _soft(shapes[part], unit, _SOFT)


def _bare(picture: np.ndarray, face: np.ndarray, head_: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Where the forehead goes on above the face's ellipse: what is more like skin than like hair.

    Args:
        picture: uint8 [S, S, 3].
        face, head_, above: bool [REGION_PX, REGION_PX]: skin for certain, the head, and where a forehead may be.
    """
    small = cv2.resize(picture, (REGION_PX, REGION_PX), interpolation=cv2.INTER_AREA)
    colours = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 1.5), cv2.COLOR_RGB2LAB).astype(np.float32)
    top = head_ & above & (np.arange(REGION_PX)[:, None] < np.flatnonzero(head_.any(1)).min(initial=REGION_PX) + 12)
    if not face.any() or not top.any():
        return np.zeros_like(face)
    skin, hair = (np.median(colours[where], axis=0) for where in (face, top))
    nearer = np.linalg.norm(colours - skin, axis=-1) < np.linalg.norm(colours - hair, axis=-1)
    found = cv2.morphologyEx((nearer & head_ & above).astype(np.uint8), cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    return found > 0


def _soft(mask: np.ndarray, unit: float, soft: float) -> np.ndarray:
    """A mask with edges that are so many distances between the eyes soft."""
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(soft * unit * REGION_PX, 0.5))
    return np.clip(blurred, 0, 1)
