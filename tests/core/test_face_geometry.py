"""A face's units and axes: what moves, turns or grows with a picture, and what does not."""

from __future__ import annotations

import numpy as np
import pytest

from latent_editor.core import face_geometry as geometry
from latent_editor.core.face_geometry import LANDMARKS, MEAN_FACE, FaceAxes, landmark_array


def moved(landmarks: geometry.PixelLandmarks, angle_deg: float, scale: float, shift: tuple[float, float]) -> dict:
    a = np.radians(angle_deg)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * scale
    return {name: turn @ np.array(point) + shift for name, point in landmarks.items()}


@pytest.mark.parametrize(("angle", "scale"), [(0, 1), (33, 200), (-120, 0.5)])
def test_eye_distances_do_not_depend_on_the_picture(angle: float, scale: float) -> None:
    there = moved(MEAN_FACE, angle, scale, (7.0, -3.0))
    plain, axes = FaceAxes.of(MEAN_FACE), FaceAxes.of(there)
    assert axes.eye_distance == pytest.approx(plain.eye_distance * scale)
    for name in LANDMARKS:
        at, moved_at = plain.coordinates(np.array(MEAN_FACE[name])), axes.coordinates(there[name])
        assert np.allclose(at, moved_at)
    assert np.allclose(axes.coordinates(there["left_eye"]), (-0.5, 0))
    assert np.allclose(axes.coordinates(there["right_eye"]), (0.5, 0))
    assert axes.to_chin(there["chin"]) == pytest.approx((0.774 - 0.327) / 0.252)
    assert np.allclose(axes.coordinates(axes.below(there["nose"], 0.25), np.asarray(there["nose"])), (0, 0.25))


def test_an_ellipse_has_its_half_axes_along_the_face() -> None:
    axes = FaceAxes.of(moved(MEAN_FACE, 90, 100, (0.0, 0.0)))
    for u, v, inside in ((0.9, 0, True), (1.1, 0, False), (0, 1.9, True), (0, 2.1, False), (0.8, 1.6, False)):
        point = axes.origin + axes.eye_distance * (u * axes.across + v * axes.down)
        assert bool(axes.ellipse(point, axes.origin, (1.0, 2.0))) is inside


def test_units_convert_back_and_forth() -> None:
    fractions = geometry.to_fractions({"nose": (64, 32)}, (128, 64))
    assert fractions == {"nose": (0.5, 0.5)}
    assert geometry.to_pixels(fractions, 256) == {"nose": (128, 128)}
    points = landmark_array(MEAN_FACE)
    assert points.shape == (5, 2)
    assert geometry.landmarks_by_name(points) == MEAN_FACE
    assert geometry.has_landmarks(MEAN_FACE)
    assert not geometry.has_landmarks({"nose": (0, 0)})
    assert not geometry.has_landmarks(None)


def test_templates_are_the_mean_face_in_another_place() -> None:
    lower = geometry.moved_template(0.18)
    assert lower == {"left_eye": (0.374, 0.507), "right_eye": (0.626, 0.507), "mouth": (0.5, 0.787)}
    mirrored = landmark_array(MEAN_FACE)[list(geometry.MIRRORED_ORDER)] * [-1, 1] + [1, 0]
    assert np.allclose(mirrored, landmark_array(MEAN_FACE), atol=2e-3)


def test_parts_lie_where_their_names_say() -> None:
    """Each part's ellipse holds its own landmark, and none of the others."""
    axes = FaceAxes.of(MEAN_FACE)
    for table, up in (
        (geometry.PART_HALF_AXES, geometry.PART_MOVED_UP),
        (geometry.REGION_HALF_AXES, geometry.REGION_MOVED_UP),
    ):
        for part in ("nose", "mouth"):
            center = axes.below(MEAN_FACE[part], -up.get(part, 0.0))
            others = [name for name in LANDMARKS if name != part]
            assert axes.ellipse(np.array(MEAN_FACE[part]), center, table[part])
            assert not axes.ellipse(landmark_array(MEAN_FACE, others), center, table[part]).any()
