"""Faces found, and laid where the model expects them."""

from __future__ import annotations

import io
import json
import sys
import tarfile
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.alignment import Face, align, crop_by_hand, find_faces
from latent_editor.alignment.mesh import MESH_POINTS, load_mesh
from latent_editor.core.errors import BadModel, BadValue, MissingPart, NoFaceFound
from latent_editor.core.face_geometry import LANDMARKS, to_eye_midpoints, to_pupils
from latent_editor.core.values import Photo
from latent_editor.generators import Generator, load_generator
from latent_editor.media.photos import open_photo
from latent_editor.models import bundle
from latent_editor.models.bundle import Bundle
from latent_editor.networks.eyes import VIEW_PX, EyeNet, FoundEyes, eye_frames, look_into_eyes
from latent_editor.networks.heatmaps import soft_argmax
from latent_editor.networks.landmarks import LandmarkNet, read_landmark_net, save_landmark_net
from latent_editor.ops import affine


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks on a busy machine: threads would spend most of their time waiting for each other."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


# --- affine transforms ---------------------------------------------------------------------------------------------


def turned(angle_deg: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    a = np.radians(angle_deg)
    return (
        np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0]]) * scale
        + np.array([[0, 0, 1]] * 2) * (np.array(shift)[:, None])
    )


def test_similarity_recovers_a_transform() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2))
    for angle in (0, 30, -120, 179):
        want = turned(angle, 2.5, (4, -7))
        assert np.allclose(affine.similarity(points, affine.transformed(want, points)), want)


def test_similarity_is_the_best_weighted_fit() -> None:
    random = np.random.default_rng(1)
    source, target, weights = random.normal(size=(5, 2)), random.normal(size=(5, 2)), random.uniform(0.1, 1, 5)

    def loss(a: np.ndarray) -> float:
        return float((weights * ((affine.transformed(a, source) - target) ** 2).sum(1)).sum())

    best = affine.similarity(source, target, weights)
    assert np.linalg.det(best[:, :2]) > 0
    for _ in range(200):
        near = turned(random.normal(0, 3), np.exp(random.normal(0, 0.05)), tuple(random.normal(0, 0.05, 2)))
        assert loss(best) <= loss(affine.composed(near, best)) + 1e-12


def test_inverted_and_composed() -> None:
    a, b = turned(20, 3, (5, 6)), turned(-70, 0.2, (-1, 2))
    points = np.random.default_rng(0).normal(size=(4, 2))
    assert np.allclose(affine.transformed(affine.inverted(a), affine.transformed(a, points)), points)
    assert np.allclose(
        affine.transformed(affine.composed(a, b), points), affine.transformed(a, affine.transformed(b, points))
    )
    assert affine.scale_of(a) == pytest.approx(3)


def ramp(height: int, width: int) -> np.ndarray:
    """A picture whose two channels hold the coordinates of their pixel's center."""
    return np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1).astype(np.float32)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.5, 2.0, 3.7, 11.3])
@pytest.mark.parametrize("angle", [0, 17, -80])
def test_warp_looks_exactly_where_it_should(scale: float, angle: float) -> None:
    a = turned(angle, scale, (200, 210))
    a[:, 2] -= a[:, :2] @ [8, 8]
    out = affine.warp(ramp(400, 400), a, (16, 16))
    want = affine.transformed(a, ramp(16, 16).reshape(-1, 2)).reshape(16, 16, 2)
    assert np.abs(out - want).max() < 0.08 * max(scale, 1)  # OpenCV counts in 1/32 pixel
    assert np.abs((out - want).mean((0, 1))).max() < 0.04 * max(scale, 1)


def test_warp_by_nothing_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    assert np.array_equal(affine.warp(picture, np.eye(2, 3), (50, 40)), picture)


@pytest.mark.parametrize("scale", [3.0, 8.5, 30.0])
def test_shrinking_averages_and_does_not_alias(scale: float) -> None:
    """White noise of variance 1 shrunk by s has a variance of about 1/s²; sampling points would leave it at 1."""
    noise = np.random.default_rng(0).normal(size=(960, 960)).astype(np.float32)
    size = int(900 / scale)
    small = affine.warp(noise, turned(0, scale, (20, 20)), (size, size))
    assert small.std() < 1.35 / scale


# --- the network's file --------------------------------------------------------------------------------------------


def test_soft_argmax_reads_a_peak() -> None:
    heat = torch.full((1, 1, 8, 16), -50.0)
    heat[0, 0, 2, 5] = 50
    points, spread = soft_argmax(heat)
    assert points[0, 0].tolist() == pytest.approx([5.5 / 16, 2.5 / 8])
    assert float(spread) < 1e-5


def test_landmark_net_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = LandmarkNet(32, width=8).eval()
    net.half().float()  # files hold half precision: with such values nothing is lost
    save_landmark_net(net, tmp_path / "a.safetensors")
    image = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        assert torch.equal(read_landmark_net(tmp_path / "a.safetensors")(image).points, net(image).points)
    (tmp_path / "b.safetensors").write_bytes(b"no")
    with pytest.raises(BadModel):
        read_landmark_net(tmp_path / "b.safetensors")


def test_the_shipped_network_is_small(portraits: Generator) -> None:
    assert portraits.bundle.file("landmarks.safetensors", "this test").stat().st_size < 1_600_000


# --- eyes ----------------------------------------------------------------------------------------------------------


def test_pupils_and_middles_undo_each_other_and_turn_with_the_face() -> None:
    points = np.random.default_rng(0).normal(size=(5, 2)) * 20
    assert np.allclose(to_eye_midpoints(to_pupils(points)), points)
    assert np.array_equal(to_pupils(points)[2:], points[2:])
    a = turned(50, 3, (7, -2))
    assert np.allclose(to_pupils(affine.transformed(a, points)), affine.transformed(a, to_pupils(points)))
    level = to_pupils(np.array([[0.0, 0], [100, 0], [50, 70], [50, 110], [50, 180]]))
    assert level[0, 0] < 0
    assert level[1, 0] > 100
    assert (level[:2, 1] < 0).all()


def test_the_right_eye_is_seen_mirrored() -> None:
    left, right = eye_frames(np.array([[100.0, 50], [160, 50]]))
    middle = [[VIEW_PX / 2, VIEW_PX / 2]]
    assert np.allclose(affine.transformed(left, middle), [[100, 50]])
    assert np.allclose(affine.transformed(right, middle), [[160, 50]])
    outer = np.array([[0, VIEW_PX / 2]])  # what is left in a view is away from the nose
    assert affine.transformed(left, outer)[0, 0] == pytest.approx(100 - 27)
    assert affine.transformed(right, outer)[0, 0] == pytest.approx(160 + 27)
    assert affine.transformed(right, [[VIEW_PX / 2, 0]])[0, 1] == pytest.approx(50 - 27)


@pytest.mark.parametrize("angle", [0, 35, 170])
def test_looking_into_eyes_homes_in(angle: float) -> None:
    """A stand-in network that answers with the darkest spot of a view."""

    class Oracle(EyeNet):
        def forward(self, image: torch.Tensor, dtype: torch.dtype = torch.float32) -> FoundEyes:
            heat = (-image.mean(1, keepdim=True) * 40).contiguous()
            points, spread = soft_argmax(heat)
            return FoundEyes(points[:, 0], spread[:, 0], heat)

    truth = affine.transformed(turned(angle, 1, (200, 200)), [[-50.0, 3], [50, -3]])
    at = ramp(400, 400)
    near = [np.exp(-((at - eye) ** 2).sum(-1) / 50) for eye in truth]
    picture = np.repeat((255 - 200 * np.maximum(*near))[..., None], 3, 2).astype(np.uint8)
    found, _ = look_into_eyes(Oracle(), picture, truth + np.array([[9, -7], [-6, 10]]))
    assert np.abs(found - truth).max() < 0.3


# --- faces ---------------------------------------------------------------------------------------------------------

#: Pupils in the shared photos, read off enlargements: the means of benchmarks/alignment_points.json.
PUPILS = {
    "astronaut.png": ((204.0, 100.85), (247.0, 103.1)),
    "lisa1.jpg": ((217.45, 353.05), (381.5, 352.1)),
    "lisa2.jpg": ((243.5, 389.4), (332.35, 391.7)),
    "portrait_60cm.jpg": ((507.45, 706.65), (660.2, 707.55)),
}


@pytest.fixture(scope="session")
def photos(shared_folder: Path) -> dict[str, Photo]:
    return {p.name: open_photo(p) for p in (shared_folder / "photos").glob("*.[jp][pn]g")}


@pytest.mark.parametrize("name", PUPILS)
def test_the_eyes_of_real_photographs(name: str, photos: dict[str, Photo], portraits: Generator) -> None:
    faces = find_faces(photos[name], portraits)
    assert len(faces) == 1
    pupils = np.array(PUPILS[name])
    between = np.linalg.norm(pupils[1] - pupils[0])
    away = np.linalg.norm(faces[0].points[:2] - pupils, axis=1) / between
    assert away.max() < 0.03
    x, y, w, h = faces[0].box
    assert x < faces[0].points[:4, 0].min() < faces[0].points[:4, 0].max() < x + w
    assert y < faces[0].points[:4, 1].min() < faces[0].points[:4, 1].max() < y + h


@pytest.mark.parametrize("name", ["astronaut.png", "lisa2.jpg"])
@pytest.mark.parametrize("roll", [-45, 20, 45])
def test_rolled_faces_are_found_in_the_same_place(
    name: str, roll: float, photos: dict[str, Photo], portraits: Generator
) -> None:
    upright = find_faces(photos[name], portraits)[0]
    image = photos[name].image
    rolled = image.rotate(roll, Image.Resampling.BICUBIC, expand=True, fillcolor=(120, 120, 120))
    a = turned(-roll, 1, (rolled.width / 2, rolled.height / 2))
    a[:, 2] -= a[:, :2] @ [image.width / 2, image.height / 2]
    faces = find_faces(rolled, portraits)
    assert len(faces) == 1
    want = affine.transformed(a, upright.points)
    between = np.linalg.norm(want[1] - want[0])
    assert np.linalg.norm(faces[0].points - want, axis=1)[:4].max() < 0.1 * between


@pytest.mark.parametrize("turn", [Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270])
def test_a_photo_on_its_side_is_found(turn: Image.Transpose, photos: dict[str, Photo], portraits: Generator) -> None:
    turned_photo = photos["lisa2.jpg"].image.transpose(turn)
    upright = np.asarray(align(photos["lisa2.jpg"], portraits).image, float)
    assert np.abs(np.asarray(align(turned_photo, portraits).image, float) - upright).mean() < 6


@pytest.mark.parametrize("change", [lambda v: v // 4, lambda v: min(255, v + 40), lambda v: 255 if v > 250 else v // 2])
def test_faces_in_bad_light(change: Callable[[int], int], photos: dict[str, Photo], portraits: Generator) -> None:
    good = find_faces(photos["portrait_60cm.jpg"], portraits)[0]
    bad = find_faces(Image.eval(photos["portrait_60cm.jpg"].image, change), portraits)
    assert len(bad) == 1
    assert np.abs(bad[0].points - good.points)[:2].max() < 0.08 * np.linalg.norm(good.points[1] - good.points[0])


def test_the_aligned_eyes_lie_on_the_canonical_points(photos: dict[str, Photo], portraits: Generator) -> None:
    canonical = portraits.bundle.about["canonical_points"]
    for name in PUPILS:
        crop = align(photos[name], portraits)
        assert crop.image.size == (portraits.size_px, portraits.size_px)
        assert set(crop.landmarks) == set(LANDMARKS)
        for eye in ("left_eye", "right_eye"):
            want = np.array(canonical[eye]) * portraits.size_px
            assert np.linalg.norm(np.array(crop.landmarks[eye]) - want) < 0.03 * portraits.size_px


def test_portraits_are_where_they_should_be_already(shared_folder: Path, portraits: Generator) -> None:
    folder = shared_folder / "data" / "portraits"
    if not folder.is_dir():
        pytest.skip("the portraits are not beside this checkout")
    labels = {row["file"]: row for row in map(json.loads, (folder / "validation.jsonl").read_text().splitlines())}
    errors, moves = [], []
    with tarfile.open(folder / "validation.tar") as tar:
        for member in [m for m in tar.getmembers() if m.isfile()][:10]:
            file = tar.extractfile(member)
            assert file is not None
            crop = align(Image.open(io.BytesIO(file.read())), portraits)
            marks = to_pupils(np.array([labels[member.name]["landmarks"][name] for name in LANDMARKS]))
            seen = affine.transformed(crop.crop_to_photo, np.array([crop.landmarks[name] for name in LANDMARKS]))
            errors.append(np.linalg.norm(seen - marks, axis=1)[:2].mean() / 64.5)
            corners = affine.corners((portraits.size_px, portraits.size_px))
            moves.append(np.abs(affine.transformed(crop.crop_to_photo, corners) - affine.corners((256, 256))).max())
    assert np.median(errors) < 0.03
    assert np.median(moves) < 0.05 * 256


def test_no_face_in_a_cat_or_noise(photos: dict[str, Photo], portraits: Generator) -> None:
    random = np.random.default_rng(0)
    noise = Image.fromarray(random.integers(0, 255, (300, 400, 3)).astype(np.uint8))
    clouds = Image.fromarray(random.integers(0, 255, (12, 16, 3)).astype(np.uint8)).resize((400, 300))
    for picture in (
        photos["chelsea.png"],
        noise,
        clouds,
        Image.new("RGB", (500, 400), "teal"),
        Image.new("L", (16, 900)),
    ):
        with pytest.raises(NoFaceFound, match="manually"):
            align(picture, portraits)
    assert find_faces(noise, portraits) == []


def test_a_small_face_in_a_large_photo(photos: dict[str, Photo], portraits: Generator) -> None:
    small = photos["lisa2.jpg"].image.resize((240, 320), Image.Resampling.LANCZOS)  # 36 px between the eyes
    large = Image.new("RGB", (3200, 2200), (96, 104, 112))
    large.paste(small, (2300, 1500))
    faces = find_faces(large, portraits)
    assert len(faces) == 1
    pupils = np.array(PUPILS["lisa2.jpg"])
    away = np.linalg.norm(faces[0].points[:2] - (pupils * 0.4 + [2300, 1500]), axis=1)
    assert away.max() < 0.05 * 0.4 * np.linalg.norm(pupils[1] - pupils[0])


@pytest.mark.parametrize("angle", [-40, -15, 12, 33])
def test_a_turned_cat_is_no_face_either(angle: int, photos: dict[str, Photo], portraits: Generator) -> None:
    cat = photos["chelsea.png"].image
    larger = cat.rotate(angle, Image.Resampling.BICUBIC).resize((cat.width * 2, cat.height * 2))
    assert find_faces(larger, portraits) == []


def test_of_several_faces_the_biggest_comes_first(photos: dict[str, Photo], portraits: Generator) -> None:
    both = Image.new("RGB", (1120, 800), (90, 90, 90))
    both.paste(photos["astronaut.png"].image, (0, 100))
    both.paste(photos["lisa1.jpg"].image, (520, 0))
    faces = find_faces(both, portraits)
    assert len(faces) == 2
    assert faces[0].box[0] > 520 > faces[1].box[0]
    by_number, by_face = align(both, portraits, face=1), align(both, portraits, face=faces[1])
    assert np.array_equal(by_number.crop_to_photo, by_face.crop_to_photo)
    assert by_number.crop_to_photo[0, 2] < 500
    with pytest.raises(BadValue, match="has 2"):
        align(both, portraits, face=2)


def test_a_photo_and_its_double_give_the_same_crop(photos: dict[str, Photo], portraits: Generator) -> None:
    small = photos["portrait_60cm.jpg"].image
    large = small.resize((small.width * 3, small.height * 3), Image.Resampling.BICUBIC)
    a, b = (np.asarray(align(p, portraits).image, float) for p in (small, large))
    assert np.abs(a - b).mean() < 4


def test_a_model_of_faces_borrows_the_landmarks(tmp_path: Path, tiny_generator: Generator) -> None:
    points = {"canonical_points": {"left_eye": [0.4, 0.5], "right_eye": [0.6, 0.5]}}
    tiny_generator.bundle = Bundle("bare", tmp_path, points)
    with pytest.raises(NoFaceFound):
        align(Image.new("RGB", (100, 100)), tiny_generator)


def test_a_model_without_landmarks_says_so(
    tmp_path: Path, tiny_generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "FALLBACK_MODEL", "nobody")
    points = {"canonical_points": {"left_eye": [0.4, 0.5], "right_eye": [0.6, 0.5]}}
    tiny_generator.bundle = Bundle("bare", tmp_path, points)
    with pytest.raises(MissingPart, match=r"landmarks\.safetensors"):
        align(Image.new("RGB", (100, 100)), tiny_generator)


def test_a_model_without_canonical_points_takes_the_middle(tiny_generator: Generator) -> None:
    crop = align(Image.new("RGB", (100, 60), "red"), tiny_generator)
    assert np.allclose(crop.crop_to_photo, [[60 / 32, 0, 20], [0, 60 / 32, 0]])
    assert crop.image.size == (32, 32)
    assert not crop.landmarks


def test_canonical_points_that_make_no_sense(tiny_generator: Generator) -> None:
    tiny_generator.bundle = Bundle("odd", None, {"canonical_points": {"left_eye": "here"}})
    with pytest.raises(BadModel, match="canonical"):
        align(Image.new("RGB", (100, 60)), tiny_generator)


# --- crops ---------------------------------------------------------------------------------------------------------


def coordinates(width: int, height: int) -> Photo:
    """A photo that holds its coordinates: x in red, y in green, up to 255."""
    values = np.zeros((height, width, 3), np.uint8)
    values[..., :2] = np.clip(ramp(height, width) - 0.5, 0, 255)
    return Photo(Image.fromarray(values))


@pytest.mark.parametrize("box", [(10, 20, 100), (31.25, 7.5, 200.5), (0, 0, 32), (100, 60, 8)])
def test_crop_to_photo_is_exact(box: tuple[float, float, float], tiny_generator: Generator) -> None:
    crop = crop_by_hand(coordinates(256, 240), tiny_generator, box)
    values = np.asarray(crop.image, float)[..., :2] + 0.5
    want = affine.transformed(crop.crop_to_photo, ramp(32, 32).reshape(-1, 2)).reshape(32, 32, 2)
    assert np.abs(values - want)[1:-1, 1:-1].max() < 1.2
    assert np.abs((values - want)[1:-1, 1:-1].mean()) < 0.6  # colors are integers
    assert np.allclose(
        affine.transformed(crop.crop_to_photo, [[0, 0], [32, 32]]), [box[:2], [box[0] + box[2], box[1] + box[2]]]
    )
    assert not crop.landmarks


def test_beyond_the_photo_is_neither_black_nor_sharp(tiny_generator: Generator) -> None:
    noise = np.random.default_rng(0).integers(120, 255, (64, 64, 3)).astype(np.uint8)
    crop = np.asarray(crop_by_hand(Image.fromarray(noise), tiny_generator, (-32, 0, 64)).image, float)
    outside, inside = crop[:, :12], crop[:, 17:]
    assert outside.min() > 120
    assert outside.std() < 0.5 * inside.std()
    assert abs(outside.mean() - inside.mean()) < 8


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0),
        (0, 0, -5),
        (0, 0, 1e9),
        (float("nan"), 0, 50),
        (500, 0, 50),
        (-60, 0, 50),
        (1, 2),
        "abc",
        (None, 0, 9),
    ],
)
def test_a_bad_square_is_refused(box: object, tiny_generator: Generator) -> None:
    with pytest.raises(BadValue, match="square"):
        crop_by_hand(Image.new("RGB", (100, 100)), tiny_generator, box)  # type: ignore[arg-type]


# --- mediapipe -----------------------------------------------------------------------------------------------------


@pytest.fixture
def mediapipe(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A stand-in whose mesh finds one face, its eyes at 40 % and 60 %."""
    marks = [types.SimpleNamespace(x=0.5, y=0.5) for _ in range(478)]
    fractions = ((0.4, 0.4), (0.6, 0.4), (0.5, 0.5), (0.5, 0.58), (0.5, 0.7))
    for group, (x, y) in zip(MESH_POINTS, fractions, strict=True):
        for i, offset in zip(group, (-0.02, 0.02) if len(group) == 2 else (0.0,), strict=True):
            marks[i] = types.SimpleNamespace(x=x + offset, y=y)
    result = types.SimpleNamespace(multi_face_landmarks=[types.SimpleNamespace(landmark=marks)])
    module = types.ModuleType("mediapipe")
    module.__spec__ = types.SimpleNamespace(name="mediapipe")  # type: ignore[assignment]
    net = types.SimpleNamespace(process=lambda picture: result)
    module.solutions = types.SimpleNamespace(face_mesh=types.SimpleNamespace(FaceMesh=lambda **_: net))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mediapipe", module)
    return module


def test_mediapipe_is_used_where_it_is_installed(mediapipe: types.ModuleType) -> None:
    g = load_generator("portraits")  # its own bundle: the mesh is cached there
    faces = find_faces(Image.new("RGB", (200, 100)), g)
    assert len(faces) == 1
    assert isinstance(faces[0], Face)
    assert np.allclose(faces[0].points[:2], [[80, 40], [120, 40]])


def test_a_mediapipe_without_models_is_left_alone(mediapipe: types.ModuleType) -> None:
    del mediapipe.solutions  # type: ignore[attr-defined]
    assert load_mesh() is None
