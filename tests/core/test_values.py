"""The values: latents as files, directions by name, edits that refuse nonsense."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
import torch

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadLatent, BadValue, UnknownDirection
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Direction, Directions, Edit, Latent


@pytest.fixture
def latent() -> Latent:
    return Latent(torch.randn(8, 32), "tiny", "0123456789ab", psnr_db=24.5, method="w+")


@pytest.fixture
def directions() -> Directions:
    return Directions(Direction(name, torch.zeros(8, 32)) for name in ("age", "Smile", "long hair"))


# Latents.


def test_a_latent_survives_its_file(latent: Latent, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "me.latent"
    latent.save(path)
    again = Latent.load(path)
    assert torch.equal(again.ws, latent.ws)
    assert again.ws.dtype == torch.float32
    assert (again.model, again.fingerprint, again.psnr_db, again.method) == ("tiny", "0123456789ab", 24.5, "w+")


def test_a_latent_without_likeness_survives_too(tmp_path: Path) -> None:
    Latent(torch.zeros(2, 4), "m", "f").save(tmp_path / "a")
    assert Latent.load(tmp_path / "a").psnr_db is None


def test_a_latent_is_saved_from_views_and_other_precisions(tmp_path: Path) -> None:
    ws = torch.randn(4, 8, dtype=torch.float16).t()
    Latent(ws, "m", "f").save(tmp_path / "a")
    assert torch.equal(Latent.load(tmp_path / "a").ws, ws.float())


def test_a_refinement_survives_its_file(tmp_path: Path) -> None:
    features, weight = torch.randn(6, 8, 8).half(), torch.randn(4, 3, 3, 3)
    refinement = Refinement({8: features}, {"synthesis.b8.conv1.weight": weight}, torch.ones(2, 4), 1.3)
    Latent(torch.zeros(2, 4), "m", "f", 31.5, "pivotal", refinement).save(tmp_path / "a")
    again = Latent.load(tmp_path / "a").refinement
    assert again is not None
    assert torch.equal(again.features[8], features)
    assert torch.equal(again.weights["synthesis.b8.conv1.weight"], weight)
    assert (again.pivot == 1).all()
    assert again.gain == pytest.approx(1.3)
    assert again.digest == refinement.digest != Refinement({8: features}).digest
    assert (
        again.nbytes == features.nbytes + weight.nbytes + 32 + 4 < (tmp_path / "a").stat().st_size < again.nbytes + 4096
    )


def test_latents_without_a_refinement_are_written_as_before(latent: Latent, tmp_path: Path) -> None:
    latent.save(tmp_path / "a")
    tensors, metadata = tensor_files.read_tensors(tmp_path / "a")
    assert (set(tensors), metadata["version"]) == ({"ws"}, "1")
    assert Latent.load(tmp_path / "a").refinement is None


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("features/8", torch.zeros(4, 8, 7), "not part of a refinement"),
        ("features/8", torch.zeros(8, 8), "not part of a refinement"),
        ("features/8", torch.zeros(0, 8, 8), "not part of a refinement"),
        ("features/08", torch.zeros(4, 8, 8), "not part of a refinement"),
        ("features/88888", torch.zeros(1), "not part of a refinement"),
        ("weights/../x", torch.zeros(1), "not part of a refinement"),
        ("weights/" + "x" * 121, torch.zeros(1), "not part of a refinement"),
        ("anything", torch.zeros(1), "not part of a refinement"),
        ("weights/a", torch.zeros(1, 1, 1, 1, 1, 1), "not part of a refinement"),
        ("weights/a", torch.full((2,), math.nan), "not finite"),
        ("features/1", torch.full((1, 1, 1), math.inf), "not finite"),
        ("weights/a", torch.zeros(2, dtype=torch.int64), "not finite"),
        ("weights/a", torch.zeros(9 << 20), "at most 512 and 33,554,432"),
        ("gain", torch.tensor(1.5), "gain of"),
        ("pivot", torch.zeros(2, 4), "gain of"),
        ("pivot", torch.zeros(4), "not part of a refinement"),
        ("gain", torch.tensor(math.nan), "not finite"),
    ],
)
def test_impossible_refinements_are_refused(name: str, tensor: torch.Tensor, message: str, tmp_path: Path) -> None:
    about = json.dumps({"model": "m", "fingerprint": "f"})
    metadata = {"kind": "latent", "version": "2", "about": about}
    tensor_files.write_tensors(tmp_path / "a", {"ws": torch.zeros(2, 4), name: tensor}, metadata)
    with pytest.raises(BadLatent, match=message):
        Latent.load(tmp_path / "a")
    tensor_files.write_tensors(tmp_path / "a", {"ws": torch.zeros(2, 4), name: tensor}, {**metadata, "version": "1"})
    with pytest.raises(BadLatent, match="not a latent"):
        Latent.load(tmp_path / "a")


def test_a_latent_of_a_later_version_is_told_apart(tmp_path: Path) -> None:
    about = json.dumps({"model": "m", "fingerprint": "f"})
    tensor_files.write_tensors(
        tmp_path / "a", {"ws": torch.zeros(2, 4)}, {"kind": "latent", "version": "4", "about": about}
    )
    with pytest.raises(BadLatent, match="version '4'; versions 1 to 3 are read"):
        Latent.load(tmp_path / "a")


@pytest.mark.parametrize("cut", [0, 5, 40, 200])
def test_a_truncated_latent_is_refused(latent: Latent, tmp_path: Path, cut: int) -> None:
    path = tmp_path / "me.latent"
    latent.save(path)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(BadLatent, match="me.latent is not a readable safetensors file"):
        Latent.load(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "me.latent"
    with pytest.raises(BadLatent, match="does not exist"):
        Latent.load(path)
    with pytest.raises(BadLatent):
        Latent.load(tmp_path)
    path.write_bytes(pickle.dumps({"ws": [1, 2, 3]}))
    with pytest.raises(BadLatent, match="not a readable"):
        Latent.load(path)
    tensor_files.write_tensors(path, {"weight": torch.zeros(1)}, {"kind": "discriminator"})
    with pytest.raises(BadLatent, match="holds .*weight.*, not a latent"):
        Latent.load(path)


def test_a_huge_latent_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "me.latent"
    with path.open("wb") as f:
        f.truncate(65 << 20)
    with pytest.raises(BadLatent, match="68,157,440 bytes; the limit is 67,108,864"):
        Latent.load(path)


@pytest.mark.parametrize("about", ["", "[]", "{}", "null", '{"model": "m"}'])
def test_a_damaged_header_is_refused(about: str, tmp_path: Path) -> None:
    path = tmp_path / "me.latent"
    tensor_files.write_tensors(path, {"ws": torch.zeros(2, 4)}, {"kind": "latent", "version": "1", "about": about})
    with pytest.raises(BadLatent, match="damaged header"):
        Latent.load(path)


@pytest.mark.parametrize(
    ("ws", "message"),
    [
        (torch.zeros(4), r"shape \[4\]; expected \[num_ws, w_dim\]"),
        (torch.full((2, 4), math.nan), "not finite"),
        (torch.tensor([[math.inf]]), "not finite"),
    ],
)
def test_impossible_latents_are_refused(ws: torch.Tensor, message: str, tmp_path: Path) -> None:
    path = tmp_path / "me.latent"
    about = json.dumps({"model": "m", "fingerprint": "f"})
    tensor_files.write_tensors(path, {"ws": ws}, {"kind": "latent", "version": "1", "about": about})
    with pytest.raises(BadLatent, match=message):
        Latent.load(path)


# Directions and edits.


def test_directions_are_found_by_position_and_by_name(directions: Directions) -> None:
    assert directions.names == ["age", "Smile", "long hair"]
    assert directions[0] is directions["AGE"] is directions[" age "]
    assert directions["smile"].name == "Smile"
    assert [d.name for d in directions[1:]] == ["Smile", "long hair"]
    assert len(directions) == 3


def test_an_unknown_direction_lists_the_known(directions: Directions) -> None:
    with pytest.raises(UnknownDirection, match="'beard'.*age, Smile, long hair"):
        directions["beard"]
    with pytest.raises(IndexError):
        directions[3]


def test_a_renamed_direction_is_sure_of_its_name() -> None:
    guess = Direction("hair", torch.ones(2, 4), source="pca", score=0.4)
    renamed = guess.renamed("long hair")
    assert (renamed.name, renamed.score, renamed.source) == ("long hair", None, "pca")
    assert guess.name == "hair"


@pytest.mark.parametrize("strength", [math.nan, math.inf, -math.inf])
def test_an_edit_has_a_finite_strength(strength: float, directions: Directions) -> None:
    with pytest.raises(BadValue, match="'age'.*finite"):
        Edit(directions[0], strength)


def test_values_cannot_be_changed(latent: Latent, directions: Directions) -> None:
    for value, name in ((latent, "model"), (directions[0], "name"), (Edit(directions[0], 1.0), "strength")):
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, "other")
