"""Aligned and hand-drawn crops of a photo."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
from PIL import Image

from latent_editor.alignment.faces import Face, find_faces
from latent_editor.core.errors import BadModel, BadValue, NoFaceFound
from latent_editor.core.face_geometry import LANDMARKS, landmark_array, landmarks_by_name, to_eye_midpoints
from latent_editor.core.values import Crop, Photo
from latent_editor.generators import Generator
from latent_editor.media.icc import to_srgb
from latent_editor.networks.faces import canonical_points
from latent_editor.ops import affine

#: Weights of the landmarks: of those tried, the ones that move already aligned portraits least (4.8 of 256 px at the
#: corners; eyes alone 6.5, the mouth at half an eye's weight 5.4).
WEIGHTS: Mapping[str, float] = {"left_eye": 1.0, "right_eye": 1.0, "nose": 0.05, "mouth": 0.2, "chin": 0.05}


def align(photo: Photo | Image.Image, g: Generator, *, face: int | Face = 0) -> Crop:
    """Crops a face, upright, with eyes and mouth at the model's canonical landmarks.

    Outside the photo, the crop shows its mirror image, blurred with the distance. For a model that shows no faces, it
    is the photo's central square; if that is not known yet, the model's samples are examined.

    Args:
        photo: The photo, or any Pillow image.
        g: The generator that the crop is for.
        face: Which face, counted from the largest; or one from :func:`find_faces`.

    Raises:
        NoFaceFound: no face in the photo faces the camera.
        BadValue: there are fewer faces than that.
        MissingPart: the model has no landmark network.
    """
    photo = _photo(photo)
    canonical = _canonical_points(g)
    if canonical is None:
        side = float(min(photo.image.size))
        return _cut(photo, g, _square((photo.image.width - side) / 2, (photo.image.height - side) / 2, side, g))
    chosen = face if isinstance(face, Face) else _choose(find_faces(photo, g), face, photo)
    names = [name for name in LANDMARKS if name in canonical]
    # The eyes of canonical points are midpoints of their corners; those of a detected face are pupils.
    points = landmark_array(landmarks_by_name(to_eye_midpoints(chosen.points)), names)
    wanted = landmark_array(canonical, names) * g.size_px
    crop_to_photo = affine.similarity(wanted, points, np.array([WEIGHTS[name] for name in names]))
    return _cut(photo, g, crop_to_photo, chosen)


def crop_by_hand(photo: Photo | Image.Image, g: Generator, box: tuple[float, float, float]) -> Crop:
    """Crops a square drawn by the user.

    Args:
        photo: The photo, or any Pillow image.
        g: The generator that the crop is for.
        box: (x, y, side) in photo pixels; may extend beyond the photo.

    Raises:
        BadValue: the square is not finite, too small, too large, or does not touch the photo.
    """
    photo = _photo(photo)
    width, height = photo.image.size
    try:
        x, y, side = (float(v) for v in box)
    except (TypeError, ValueError) as e:
        raise BadValue(f"The square is {box!r}; expected three numbers (x, y, side) in photo pixels.") from e
    if not all(map(math.isfinite, (x, y, side))) or not 8 <= side <= 4 * max(width, height):
        raise BadValue(
            f"The square is (x {x:g}, y {y:g}, side {side:g}); expected finite numbers and a side of 8 to "
            f"{4 * max(width, height)} pixels. Draw it again."
        )
    if x >= width or y >= height or x + side <= 0 or y + side <= 0:
        raise BadValue(
            f"The square (x {x:g}, y {y:g}, side {side:g}) lies outside the photo of {width} × {height} pixels. "
            "Draw it around the face."
        )
    return _cut(photo, g, _square(x, y, side, g))


def _photo(photo: Photo | Image.Image) -> Photo:
    if isinstance(photo, Photo):
        return photo
    return Photo(photo if photo.mode == "RGB" else photo.convert("RGB"))


def _canonical_points(g: Generator) -> dict[str, tuple[float, float]] | None:
    """The model's canonical landmarks as fractions of the side, or None."""
    points: Any = canonical_points(g)
    if not points:
        return None
    try:
        found = {name: (float(points[name][0]), float(points[name][1])) for name in LANDMARKS if name in points}
        if not {"left_eye", "right_eye"} <= set(found):
            raise ValueError("no eyes")
        return found
    except (TypeError, ValueError, KeyError, IndexError) as e:
        raise BadModel(
            f"The canonical points of the model {g.name!r} cannot be used ({e}); expected fractions [x, y] for "
            f"{', '.join(LANDMARKS)}, the eyes at least. Correct its model.json."
        ) from e


def _choose(faces: list[Face], index: int, photo: Photo) -> Face:
    if not faces:
        raise NoFaceFound(
            f"No face was found in {photo.name} ({photo.image.width} × {photo.image.height}); expected one that faces "
            "the camera. Crop manually, or choose another photo."
        )
    if not 0 <= index < len(faces):
        raise BadValue(
            f"Face {index} was requested; {photo.name} has {len(faces)}, counted from 0. Choose one of them."
        )
    return faces[index]


def _square(x: float, y: float, side: float, g: Generator) -> np.ndarray:
    scale = side / g.size_px
    return np.array([[scale, 0, x], [0, scale, y]])


def _cut(photo: Photo, g: Generator, crop_to_photo: np.ndarray, face: Face | None = None) -> Crop:
    picture = np.asarray(photo.image)
    size = g.size_px
    crop = affine.warp(picture, crop_to_photo, (size, size))
    beyond = _pixels_beyond(crop_to_photo, size, photo.image.size)
    if beyond.any():
        crop = _soften(crop, beyond)
    landmarks = {}
    if face is not None:
        landmarks = landmarks_by_name(affine.transformed(affine.inverted(crop_to_photo), face.points))
    return Crop(to_srgb(Image.fromarray(crop), photo.icc_profile), crop_to_photo, landmarks)


def _pixels_beyond(crop_to_photo: np.ndarray, size: int, photo_size: tuple[int, int]) -> np.ndarray:
    """Distance of each crop pixel from the photo, in crop pixels: float64 [size, size], 0 inside."""
    at = np.arange(size) + 0.5
    centers = np.stack(np.meshgrid(at, at), -1).reshape(-1, 2)
    seen = affine.transformed(crop_to_photo, centers)
    outside = np.maximum(np.maximum(-seen, seen - np.array(photo_size)), 0).max(1)
    return outside.reshape(size, size) / affine.scale_of(crop_to_photo)


def _soften(crop: np.ndarray, beyond: np.ndarray) -> np.ndarray:
    """Blurs the mirrored border, more with the distance, so that it does not look like a second face."""
    size = len(crop)
    soft = crop.astype(np.float32)
    for share, start in ((0.02, 0.0), (0.07, 0.06)):
        blurred = cv2.GaussianBlur(soft, (0, 0), share * size)
        amount = np.clip(beyond / size - start, 0, 0.06)[..., None] / 0.06
        soft = soft * (1 - amount) + blurred * amount
    return np.clip(np.round(soft), 0, 255).astype(np.uint8)
