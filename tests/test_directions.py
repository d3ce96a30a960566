"""Directions: PCA finds the axes that were put in, calibration is what it says, files come back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from latent_editor.directions import build_directions, named_directions, read_directions, write_directions
from latent_editor.directions.calibration import LONGEST_STEP, VISIBLE_CHANGE, picture_change, unit_vector
from latent_editor.directions.naming import VOCABULARY, Namer
from latent_editor.directions.pca import find_components
from latent_editor.errors import BadModel
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.types import Direction, Directions


def test_components_are_the_axes_of_a_linear_view(tiny_generator: StyleGAN2) -> None:
    torch.manual_seed(1)
    w = torch.randn(2000, 32)
    axes = torch.linalg.qr(torch.randn(32, 32))[0][:3]  # orthonormal rows
    gains = torch.tensor([9.0, 4.0, 2.0])

    def view(g: Generator, ws: Tensor) -> Tensor:
        return (ws[:, 0] @ axes.T) * gains

    found = find_components(tiny_generator, w, view, 3)
    cosine = torch.nn.functional.normalize(found.vectors, dim=1) @ axes.T
    assert (cosine.diagonal().abs() > 0.98).all()
    assert found.explained.tolist() == sorted(found.explained.tolist(), reverse=True)
    assert found.vectors.norm(dim=1) == pytest.approx(torch.ones(3), abs=0.15)


def test_signs_do_not_depend_on_chance(tiny_generator: StyleGAN2) -> None:
    w = torch.randn(300, 32, generator=torch.Generator().manual_seed(2))
    first, second = (find_components(tiny_generator, w, lambda g, ws: ws[:, 0], 4).vectors for _ in range(2))
    assert torch.equal(first, second)
    assert (first.gather(1, first.abs().argmax(1, keepdim=True)) > 0).all()


def test_one_unit_changes_pictures_by_the_visible_amount(portraits: Generator) -> None:
    ws = random_ws(portraits, list(range(6)))
    offset = torch.zeros(portraits.num_ws, portraits.w_dim)
    offset[:] = random_ws(portraits, [77], truncation_psi=1.0)[0]
    unit = unit_vector(portraits, ws, offset)
    change = picture_change(portraits, ws, unit)
    at_limit = unit.norm(dim=1).max() >= 0.95 * LONGEST_STEP * (ws - ws.mean(0)).square().mean().sqrt()
    assert at_limit or change == pytest.approx(VISIBLE_CHANGE, rel=0.35)


def test_directions_are_found_for_any_generator(tiny_generator: StyleGAN2) -> None:
    w = random_ws(tiny_generator, list(range(128)), truncation_psi=1.0)[:, 0]
    fractions: list[float] = []
    directions = build_directions(tiny_generator, w, on_step=lambda s: fractions.append(s.fraction))
    assert len(directions) >= 4
    assert len(set(directions.names)) == len(directions)
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0, abs=0.25)
    for d in directions:
        assert d.vector.shape == (tiny_generator.num_ws, tiny_generator.w_dim)
        assert torch.isfinite(d.vector).all()


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    vectors = [torch.randn(1, 8).expand(4, 8).clone(), torch.randn(1, 8).expand(4, 8).clone()]
    written = Directions(
        [
            Direction("age", vectors[0], source="pca", detail="first", score=0.75, layers=(0, 2)),
            Direction("smile", vectors[1], low=-2.0, high=2.5, source="pca", score=None),
        ]
    )
    write_directions(written, tmp_path / "d.safetensors", fingerprint="abc")
    read, fingerprint = read_directions(tmp_path / "d.safetensors")
    assert fingerprint == "abc"
    for a, b in zip(read, written, strict=True):
        assert (a.name, a.low, a.high, a.layers, a.source, a.detail, a.score) == (
            b.name, b.low, b.high, b.layers, b.source, b.detail, b.score,
        )  # fmt: skip
        assert torch.allclose(a.vector, b.vector, atol=2e-3)


def test_layers_of_their_own_are_kept(tmp_path: Path) -> None:
    vector = torch.randn(4, 8)
    write_directions(Directions([Direction("x", vector)]), tmp_path / "d.safetensors", fingerprint="abc")
    read, _ = read_directions(tmp_path / "d.safetensors")
    assert torch.allclose(read[0].vector, vector, atol=2e-3)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    write_directions(Directions([Direction("x", torch.randn(4, 8))]), path, fingerprint="abc")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BadModel):
        read_directions(path)


def test_names_are_given_once_and_best_fits_first() -> None:
    namer = Namer.__new__(Namer)
    effects = torch.zeros(3, len(VOCABULARY))
    effects[0, 2], effects[1, 2], effects[1, 4] = 1.0, -3.0, 0.5
    names = namer.assign(effects)
    assert names[1] == (VOCABULARY[2].name, 1.0, -1)
    assert names[0][0] != VOCABULARY[2].name
    assert len({n for n, _, _ in names}) == 3


def test_the_embedded_model_has_its_twelve_sliders(portraits: Generator) -> None:
    directions = named_directions(portraits)
    assert len(directions) >= 12
    assert not any(n.startswith(("component", "variation")) for n in directions.names[:12])
    ws = random_ws(portraits, [1, 2, 3, 4])
    for d in directions[:12]:
        assert picture_change(portraits, ws, 2 * d.vector) > VISIBLE_CHANGE / 2
