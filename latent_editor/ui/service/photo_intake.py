"""From an uploaded file to crops that can be reconstructed."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np

from latent_editor.alignment import align, crop_by_hand, find_faces
from latent_editor.core.errors import MissingPart
from latent_editor.core.values import Crop, Photo
from latent_editor.media.photos import open_photo
from latent_editor.ops import affine
from latent_editor.ui.service.model_service import ModelService

#: How many faces of a photo are offered.
MAX_FACES = 12


class _NamedBytes(io.BytesIO):
    """Bytes with the name of their file, for error messages."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self.name = name


def open_upload(data: bytes, name: str) -> Photo:
    """Raises BadImage."""
    return open_photo(_NamedBytes(data, name))


def crop_one(
    service: ModelService, photo: Photo, *, face: int | None = None, box: tuple[float, float, float] | None = None
) -> Crop:
    """The crop of one face by its index, or of a square (x, y, side) in photo pixels.

    Raises:
        NoFaceFound, BadValue.
    """
    if box is not None:
        return crop_by_hand(photo, service.g, box)
    return align(photo, service.g, face=face or 0)


def crop_all(service: ModelService, photo: Photo) -> list[Crop]:
    """The crops of all faces, largest first; the centered square if the model does not show faces.

    Raises:
        NoFaceFound: there is no face.
        MissingPart: the model has no face detector.
    """
    if not service.shows_faces:
        return [align(photo, service.g)]
    faces = find_faces(photo, service.g)[:MAX_FACES]
    return [align(photo, service.g, face=face) for face in faces] or [align(photo, service.g)]


def crop_like(service: ModelService, photo: Photo, other: Crop) -> Crop:
    """This model's crop of the face that another model's crop shows; of the same square if no face is found there."""
    width = other.image.width
    ((x, y),) = affine.transformed(other.crop_to_photo, np.array([[width / 2, width / 2]]))
    side = affine.scale_of(other.crop_to_photo) * width
    if service.shows_faces:
        with contextlib.suppress(MissingPart):
            faces = find_faces(photo, service.g)[:MAX_FACES]
            by_distance = {math.dist(face.points.mean(axis=0), (x, y)): face for face in faces}
            if by_distance and min(by_distance) < side / 2:
                return align(photo, service.g, face=by_distance[min(by_distance)])
    return crop_by_hand(photo, service.g, (x - side / 2, y - side / 2, side))
