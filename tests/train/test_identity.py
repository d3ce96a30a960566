"""A small network learns from a large one who is who; a model's own network measures identity, and can be borrowed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from latent_editor.core.errors import BadModel
from latent_editor.generators import Generator, load_generator
from latent_editor.networks.face_identity import IDENTITY_FILE, FaceIdentity, read_identity, save_identity
from latent_editor.networks.faces import canonical_points
from latent_editor.networks.similarity_statistics import identity_net
from latent_editor.train.identity import figures, fit_reduction, generated_faces, losses
from latent_editor.train.learning import Trainer


def people(count: int) -> torch.Tensor:
    """Smooth random pictures: "people" that a few colors tell apart."""
    seeded = torch.Generator().manual_seed(0)
    colors = torch.rand(count, 3, 4, 4, generator=seeded) * 2 - 1
    return torch.nn.functional.interpolate(colors, (32, 32), mode="bilinear")


def test_the_student_sees_the_same_people_as_alike() -> None:
    torch.manual_seed(0)
    pictures = people(48)
    vectors = pictures.flatten(1) @ torch.randn(3 * 32 * 32, 64) / 50  # a teacher: a random projection
    reduce = fit_reduction(vectors, 8)
    torch.testing.assert_close(reduce.basis.T @ reduce.basis, torch.eye(8), atol=1e-4, rtol=0)
    targets = reduce(vectors)
    trainer = Trainer(FaceIdentity(32, 8, width=16, max_width=32), losses, 3e-3, torch.float32)
    before = losses(trainer.net, (pictures, targets), torch.float32)[1]
    for step in range(60):
        at = torch.randint(len(pictures), (24,))
        trainer.learn((pictures[at], targets[at]), step / 60)
    after = losses(trainer.net, (pictures, targets), torch.float32)[1]
    assert after["own"] < 0.5 * before["own"]
    assert after["relations"] < before["relations"]


def test_a_file_gives_back_the_network(tmp_path: Path) -> None:
    net = FaceIdentity(32, 8, width=16, max_width=32).eval()
    save_identity(net, tmp_path / IDENTITY_FILE)
    again = read_identity(tmp_path / IDENTITY_FILE)
    x = people(2)
    torch.testing.assert_close(again(x), net(x), atol=2e-3, rtol=0)
    assert again.fingerprint != net.fingerprint
    (tmp_path / IDENTITY_FILE).write_bytes(b"no network")
    with pytest.raises(BadModel):
        read_identity(tmp_path / IDENTITY_FILE)


def test_a_model_measures_identity_with_its_own_network(portraits: Generator, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(portraits.bundle.folder, folder, ignore=shutil.ignore_patterns("*.jpg"))  # type: ignore[arg-type]
    save_identity(FaceIdentity(32, 8, width=16, max_width=32), folder / IDENTITY_FILE)
    g = load_generator(str(folder))
    net = identity_net(g)
    assert isinstance(net, FaceIdentity)
    points = canonical_points(g)
    assert points is not None
    found = net.embed(people(3), points)
    assert found.shape == (3, 8)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert figures(net, people(3), found, points)["cosine"] == pytest.approx(1, abs=1e-5)


def test_every_other_generated_face_is_edited(portraits: Generator) -> None:
    faces = generated_faces(portraits, 4, 32)
    assert faces.shape == (4, 3, 32, 32)
    assert faces.dtype == torch.uint8
    assert float(faces.float().std()) > 10
