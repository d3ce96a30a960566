"""Training the landmark network: points of augmented views, learning, resuming and export."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadInput
from latent_editor.core.face_geometry import LANDMARKS, MEAN_FACE, landmark_array, to_pupils
from latent_editor.networks.landmarks import (
    Found,
    LandmarkNet,
    frame_from_points,
    locate,
    read_landmark_net,
)
from latent_editor.ops import affine
from latent_editor.train import landmarks
from latent_editor.train.landmark_views import ViewConfig, Views, make_views

#: Five spots of different colors on gray, at the landmarks of a face.
COLORS = ((250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20), (20, 250, 250))
SPOTS = ((0.37, 0.51), (0.63, 0.51), (0.5, 0.68), (0.5, 0.79), (0.5, 0.95))


def spotted(size: int = 128) -> Image.Image:
    values = np.full((size, size, 3), 110, np.uint8)
    at = (np.arange(size) + 0.5) / size
    for (x, y), color in zip(SPOTS, COLORS, strict=True):
        values[(at[None] - x) ** 2 + (at[:, None] - y) ** 2 < 0.025**2] = color
    return Image.fromarray(values)


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "faces"
    folder.mkdir()
    rows = []
    for i in range(4):
        spotted().save(folder / f"{i}.png")
        marks = {name: [x * 256, y * 256] for name, (x, y) in zip(LANDMARKS, SPOTS, strict=True)}
        rows.append({"file": f"{i}.png", "landmarks": marks})
    (tmp_path / "faces.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


def arguments(faces: Path, *more: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    landmarks.add_arguments(parser)
    labels = str(faces.parent / "faces.jsonl")
    run = str(faces.parent / "run")
    return parser.parse_args(["--data", str(faces), "--labels", labels, "--run", run, "--batch", "4", "--fp32", *more])


def test_the_points_of_a_view_lie_on_its_spots() -> None:
    """Each point lies on its spot, unless the view is tinted or occluded beyond recognition."""
    n = 64
    picture = torch.from_numpy(np.array(spotted())).permute(2, 0, 1)
    points = torch.tensor(SPOTS).expand(n, -1, -1)
    config = ViewConfig(96, negatives=0.0)
    views = make_views(picture.expand(n, -1, -1, -1), points, config, torch.Generator().manual_seed(3))
    assert views.is_face.all()
    assert views.image.shape == (n, 3, 96, 96)
    assert -1 <= float(views.image.min()) < float(views.image.max()) <= 1
    hits = 0
    for image, seen in zip(views.image, views.points, strict=True):
        for x, y in (seen[[2, 3]] * 96).tolist():  # nose and mouth are often inside
            if not (8 < x < 88 and 8 < y < 88):
                continue
            here = image[:, int(y), int(x)]
            ring = [image[:, int(y + 6 * math.sin(a)), int(x + 6 * math.cos(a))] for a in (0.4, 2.0, 3.6, 5.2)]
            hits += int(float((here - torch.stack(ring).median(0).values).abs().max()) > 0.1)
    assert hits > 80


def test_mirroring_swaps_the_eyes() -> None:
    points = torch.tensor(SPOTS).expand(128, -1, -1)
    config = ViewConfig(32, angle_deg=10, negatives=0.0)
    pictures = torch.zeros(128, 3, 64, 64, dtype=torch.uint8)
    seen = make_views(pictures, points, config, torch.Generator().manual_seed(0)).points
    assert (seen[:, 0, 0] < seen[:, 1, 0]).all()


def test_negatives_have_the_requested_share() -> None:
    pictures = torch.randint(0, 255, (400, 3, 32, 32), dtype=torch.uint8)
    config = ViewConfig(48, negatives=0.5)
    views = make_views(pictures, torch.tensor(SPOTS).expand(400, -1, -1), config, torch.Generator().manual_seed(0))
    assert 0.42 < float(views.is_face.float().mean()) < 0.58
    assert torch.isfinite(views.image).all()


@pytest.mark.parametrize("n", [1, 2])
def test_small_batches_work(n: int) -> None:
    for seed in range(8):
        pictures = torch.zeros(n, 3, 32, 32, dtype=torch.uint8)
        points = torch.tensor(SPOTS).expand(n, -1, -1)
        views = make_views(pictures, points, ViewConfig(48), torch.Generator().manual_seed(seed))
        assert torch.isfinite(views.image).all()


def test_the_losses_prefer_the_truth() -> None:
    points = torch.from_numpy(landmark_array(MEAN_FACE)).float()[None]
    views = Views(torch.zeros(1, 3, 48, 48), points, torch.tensor([True]))
    steps = (torch.arange(24) + 0.5) / 24

    def loss(at: torch.Tensor, logit: float) -> float:
        away = (steps[None, None, None] - at[..., 0, None, None]) ** 2 + (steps[:, None] - at[..., 1, None, None]) ** 2
        found = Found(at, torch.zeros(1, 5), torch.tensor([logit]), -away * 24**2 / 2)
        return float(landmarks.losses(found, views)[0])

    assert loss(points, 5.0) < loss(points + 0.02, 5.0) < loss(points + 0.1, 5.0)
    assert loss(points, 5.0) < loss(points, -5.0)


def test_points_outside_the_view_do_not_count() -> None:
    heat = torch.randn(1, 5, 24, 24, generator=torch.Generator().manual_seed(0))
    found = Found(torch.full((1, 5, 2), 0.5), torch.zeros(1, 5), torch.zeros(1), heat)
    points = torch.from_numpy(landmark_array(MEAN_FACE)).float()[None].clone()
    points[0, 4] = torch.tensor([0.5, 1.2])
    a = landmarks.losses(found, Views(torch.zeros(1), points, torch.tensor([True])))[0]
    points[0, 4] = torch.tensor([0.5, 7.0])
    assert torch.equal(a, landmarks.losses(found, Views(torch.zeros(1), points, torch.tensor([True])))[0])


def test_training_writes_resumes_and_exports(faces: Path, tmp_path: Path) -> None:
    landmarks.main(arguments(faces, "--minutes", "0.01", "--export", str(tmp_path / "out")))
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    net = read_landmark_net(tmp_path / "out" / "landmarks.safetensors")
    expected = state["average"]["stem.weight"]
    assert torch.allclose(net.state_dict()["stem.weight"], expected, atol=1e-3)
    validation = ["--validation-data", str(faces), "--validation-labels", str(tmp_path / "faces.jsonl")]
    landmarks.main(arguments(faces, "--minutes", "0.01", "--resume", *validation))
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["step"] > state["step"]
    last = json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])
    assert {"one_look_eyes_median", "refined_eyes_95", "faces_accepted", "others_rejected"} <= set(last)


def test_it_learns(faces: Path) -> None:
    pictures, points = landmarks.read_faces(faces, faces.parent / "faces.jsonl", 256)
    assert torch.allclose(points[0], torch.tensor(SPOTS))
    trainer = landmarks.new_trainer(3e-3, torch.float32)
    trainer.step = 100  # past the warm-up
    random = torch.Generator().manual_seed(0)
    easy = ViewConfig(96, angle_deg=5, zoom=0.1, shift=0.05)
    reports = [
        trainer.learn(make_views(pictures.repeat(2, 1, 1, 1), points.repeat(2, 1, 1), easy, random), 0.0)
        for _ in range(12)
    ]
    assert reports[-1]["heat"] < 0.95 * reports[0]["heat"]


def test_bad_labels_are_rejected(faces: Path) -> None:
    labels = faces.parent / "faces.jsonl"
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    del rows[2]["landmarks"]["chin"]
    labels.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(BadInput, match="chin"):
        landmarks.main(arguments(faces, "--minutes", "0.01"))


def test_locate_refines_its_frame() -> None:
    """With a network that locates the spots exactly, further passes converge on the face."""

    class Oracle(LandmarkNet):
        def forward(self, image: torch.Tensor, dtype: torch.dtype = torch.float32) -> Found:
            colors = torch.tensor(COLORS) / 127.5 - 1
            n, _, h, w = image.shape
            away = (image[:, None] - colors[None, :, :, None, None]).abs().sum(2)  # [N, 5, H, W]
            weight = (-away * 12).flatten(2).softmax(-1).reshape(n, 5, h, w)
            x = (weight.sum(2) * (torch.arange(w) + 0.5) / w).sum(-1)
            y = (weight.sum(3) * (torch.arange(h) + 0.5) / h).sum(-1)
            points = torch.stack([x, y], -1)
            # The second image is mirrored, so the network would swap the eyes.
            points = torch.cat([points[:1], points[1:][:, [1, 0, 2, 3, 4]]])
            return Found(points, torch.zeros(n, 5), torch.full((n,), 9.0), away)

    picture = np.full((400, 400, 3), 110, np.uint8)
    picture[72:328, 72:328] = np.asarray(spotted(256))
    truth = np.array(SPOTS) * 256 + 72
    frame = affine.composed(frame_from_points(truth, 96), np.array([[1.1, -0.2, 6.0], [0.2, 1.1, -8.0]]))
    found = locate(Oracle(), picture, frame)
    assert np.linalg.norm(found.points - to_pupils(truth), axis=1).max() < 2
    assert found.score > 0.99
    assert np.allclose(found.frame_to_picture, frame_from_points(truth, 96), atol=3)
