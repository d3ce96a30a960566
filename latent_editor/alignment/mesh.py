"""Faces from mediapipe's face mesh, if installed (0.10.14 is the last version that includes its models)."""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

#: Mesh points of each landmark, in the order of LANDMARKS: the eyes are the centers of the irises, which the refined
#: mesh adds, the mouth is the mean of its corners. The mesh names sides by the person, we by the picture.
MESH_POINTS = ((468,), (473,), (1,), (61, 291), (152,))

#: Maps a picture to the faces' landmarks.
Mesh = Callable[[np.ndarray], list[np.ndarray]]


def load_mesh(max_faces: int = 10) -> Mesh | None:
    """A function from a picture uint8 [H, W, 3] to each face's landmarks, float64 [5, 2] in pixels.

    None if mediapipe is not installed, or a version without its models.
    """
    if importlib.util.find_spec("mediapipe") is None:
        return None
    try:
        solutions = importlib.import_module("mediapipe").solutions
        net: Any = solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=max_faces, refine_landmarks=True)
    except (ImportError, AttributeError, RuntimeError, OSError, ValueError):
        return None

    one_at_a_time = threading.Lock()  # the graph is not thread-safe

    def mesh(picture: np.ndarray) -> list[np.ndarray]:
        height, width = picture.shape[:2]
        with one_at_a_time:
            faces = net.process(picture).multi_face_landmarks or []
        return [_five(face.landmark) * [width, height] for face in faces]

    return mesh


def _five(marks: Any) -> np.ndarray:
    return np.array([np.mean([(marks[i].x, marks[i].y) for i in group], axis=0) for group in MESH_POINTS])
