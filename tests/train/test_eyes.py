"""Training the eye network: iris detection, points of augmented views, learning, resuming and export."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core.face_geometry import LANDMARKS, to_pupils
from latent_editor.networks.eyes import VIEW_PX, EyeNet, FoundEyes
from latent_editor.networks.landmarks import LandmarkNet, read_landmark_net, save_landmark_net
from latent_editor.train import landmark_eyes
from latent_editor.train.landmark_eyes import PATCH_PX, Eyes, EyeViews, make_eye_views, measure_iris

SPOTS = ((0.37, 0.51), (0.63, 0.51), (0.5, 0.68), (0.5, 0.79), (0.5, 0.95))


def eye(x: float, y: float, radius: float, size: int = PATCH_PX, lid: float = 0.6) -> np.ndarray:
    """Skin, the white of an eye, a dark iris cut off by the upper lid, and a highlight: uint8 [size, size, 3]."""
    fine = 4
    at = (np.arange(size * fine) + 0.5) / fine
    dx, dy = at[None] - x, at[:, None] - y
    values = np.full((size * fine, size * fine), 150.0)
    open_eye = (dx / (2.6 * radius)) ** 2 + (dy / (1.15 * radius)) ** 2 < 1
    values[open_eye] = 225
    values[open_eye & (dx**2 + dy**2 < radius**2)] = 70
    values[(dy < -lid * radius) & (dy > -1.4 * radius) & (np.abs(dx) < 2.2 * radius)] = 90
    values[(dx - radius * 0.3) ** 2 + (dy + radius * 0.2) ** 2 < (0.2 * radius) ** 2] = 255
    small = values.reshape(size, fine, size, fine).mean((1, 3))
    return np.repeat(small.round().astype(np.uint8)[..., None], 3, 2)


@pytest.mark.parametrize(("x", "y", "radius"), [(48, 48, 6), (50.3, 46.8, 5.5), (45.6, 49.9, 7.2)])
def test_the_iris_is_located(x: float, y: float, radius: float) -> None:
    found, clarity = measure_iris(eye(x, y, radius)[..., 0])
    assert np.abs(found[:2] - [x, y]).max() < 0.6
    assert found[2] == pytest.approx(radius, abs=0.8)
    assert clarity > 0.9


def test_skin_has_no_clear_iris() -> None:
    noise = np.random.default_rng(0).integers(100, 160, (PATCH_PX, PATCH_PX)).astype(np.uint8)
    assert measure_iris(noise)[1] < 0
    assert measure_iris(np.full((PATCH_PX, PATCH_PX), 90, np.uint8))[1] < 0


def test_the_points_of_eye_views_lie_on_the_irises() -> None:
    n, spot = 64, np.full((PATCH_PX, PATCH_PX, 3), 128, np.uint8)
    at = np.arange(PATCH_PX) + 0.5
    spot[(at[None] - 50) ** 2 + (at[:, None] - 45) ** 2 < 36] = 20
    image = torch.from_numpy(spot).permute(2, 0, 1).expand(n, -1, -1, -1)
    iris = torch.tensor([50, 45, 6]).div(PATCH_PX).expand(n, -1)
    views = make_eye_views(Eyes(image, iris, torch.ones(n)), torch.Generator().manual_seed(0))
    assert views.image.shape == (n, 3, VIEW_PX, VIEW_PX)
    assert torch.isfinite(views.image).all()
    darker = 0
    for image, (x, y) in zip(views.image, (views.points * VIEW_PX).tolist(), strict=True):
        around = [image[:, int(y + 10 * math.sin(a)), int(x + 10 * math.cos(a))].mean() for a in (0.5, 2, 3.6, 5.2)]
        patch = image[:, int(y) - 2 : int(y) + 3, int(x) - 2 : int(x) + 3]
        darker += bool(patch.mean() < torch.stack(around).mean())
    assert darker > 0.85 * n


def test_the_losses_prefer_the_truth_and_ignore_unclear_eyes() -> None:
    steps = (torch.arange(24) + 0.5) / 24

    def found(at: torch.Tensor) -> FoundEyes:
        away = (steps[None, None] - at[:, 0, None, None]) ** 2 + (steps[None, :, None] - at[:, 1, None, None]) ** 2
        return FoundEyes(at, torch.zeros(len(at)), (-away * 24**2 / 2)[:, None])

    truth = torch.tensor([[0.5, 0.45], [0.4, 0.5]])
    views = EyeViews(torch.zeros(2), truth, torch.tensor([1.0, 0.0]))
    right = float(landmark_eyes.losses(found(truth), views)[0])
    assert right < float(landmark_eyes.losses(found(truth + torch.tensor([[0.05, 0], [0, 0]])), views)[0])
    assert right == float(landmark_eyes.losses(found(truth + torch.tensor([[0, 0], [0.05, 0]])), views)[0])


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    rows = []
    pupils = to_pupils(np.array(SPOTS) * 256)
    for i in range(4):
        values = np.full((256, 256, 3), 150, np.uint8)
        for x, y in pupils[:2]:
            low_x, low_y = int(x) - 32, int(y) - 32
            values[low_y : low_y + 64, low_x : low_x + 64] = eye(x - low_x, y - low_y, 6, 64)
        Image.fromarray(values).save(folder / f"{i}.png")
        marks = {name: [x * 256, y * 256] for name, (x, y) in zip(LANDMARKS, SPOTS, strict=True)}
        rows.append({"file": f"{i}.png", "landmarks": marks})
    (tmp_path / "faces.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def arguments(faces: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    landmark_eyes.add_arguments(parser)
    labels, run = str(faces.parent / "faces.jsonl"), str(faces.parent / "run")
    return parser.parse_args(["--data", str(faces), "--labels", labels, "--run", run, "--batch", "4", "--fp32", *more])


def test_both_eyes_are_cut_out_and_the_right_one_is_mirrored(faces: Path) -> None:
    eyes = landmark_eyes.read_eyes(faces, faces.parent / "faces.jsonl", 256)
    assert eyes.image.shape == (8, 3, PATCH_PX, PATCH_PX)
    assert (eyes.clarity > 0.5).all()
    assert (eyes.iris[:, :2] - 0.5).abs().max() < 0.01
    # The highlight is on the right of both eyes in the image, so on different sides of the patches.
    light = [int(p[0, 30:60].amax(0).argmax()) for p in eyes.image[:2]]
    assert light[0] > PATCH_PX / 2 > light[1]


def test_training_writes_resumes_and_adds_the_eyes(faces: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    torch.manual_seed(0)
    before = LandmarkNet(32, width=8)
    save_landmark_net(before, folder / "landmarks.safetensors")
    assert read_landmark_net(folder / "landmarks.safetensors").eyes is None
    landmark_eyes.main(arguments(faces, "--minutes", "0.01", "--export", str(folder)))
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    net = read_landmark_net(folder / "landmarks.safetensors")
    assert isinstance(net.eyes, EyeNet)
    assert torch.allclose(net.eyes.to_heat.weight, state["average"]["to_heat.weight"], atol=1e-3)
    assert torch.allclose(net.stem.weight, before.stem.weight, atol=1e-3)
    validation = ["--validation-data", str(faces), "--validation-labels", str(tmp_path / "faces.jsonl")]
    landmark_eyes.main(arguments(faces, "--minutes", "0.01", "--resume", *validation))
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] > state["step"]
    assert {"iris_median", "iris_95"} <= set(json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1]))


def test_it_learns(faces: Path) -> None:
    eyes = landmark_eyes.read_eyes(faces, faces.parent / "faces.jsonl", 256)
    trainer = landmark_eyes.new_trainer(3e-3, torch.float32)
    trainer.step = 100  # past the warm-up
    random = torch.Generator().manual_seed(0)
    views = make_eye_views(Eyes(*(part.repeat(2, *[1] * (part.ndim - 1)) for part in eyes)), random)
    reports = [trainer.learn(views, 0.0) for _ in range(8)]
    assert reports[-1]["heat"] < 0.95 * reports[0]["heat"]
