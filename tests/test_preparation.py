"""The first use of a model of one's own: what is found out, that it is kept, and that it is found out once."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

import latent_editor as le
from latent_editor import preparation
from latent_editor.core.errors import MissingPart, NoFaceFound
from latent_editor.core.values import Step
from latent_editor.directions import DIRECTIONS_FILE, budget
from latent_editor.generators import Generator, construction, load_generator, save_generator
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import CACHE_VARIABLE, FACTS_KEY, MODEL_FILE
from latent_editor.networks import faces, text_statistics
from latent_editor.networks.text_statistics import STATISTICS_FILE
from latent_editor.preparation import phases, prepare, prepared

SMALL = {"z_dim": 32, "c_dim": 0, "w_dim": 32, "img_resolution": 32, "img_channels": 3}
KINDS = {
    "stylegan2": {**SMALL, "channel_base": 256, "channel_max": 16},
    "stylegan3": {**SMALL, "channel_base": 256, "channel_max": 16},
}


@pytest.fixture(autouse=True)
def little_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this test's own, and as little to render as shows that it is rendered."""
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    least = budget.Budget(64, {"structure": 3, "color": 2}, styles=4, trials=2, calibration_faces=1, layered=False)
    monkeypatch.setattr(budget, "CHOICES", ((least, 64),))
    monkeypatch.setattr(faces, "MAX_SAMPLES", 16)
    monkeypatch.setattr(faces, "MIN_SAMPLES", 8)
    monkeypatch.setattr(text_statistics, "QUICK_SAMPLES", 16)
    return tmp_path / "cache"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Pictures this small are rendered faster by one, most of all beside other work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def cats(tmp_path: Path) -> Path:
    """The file of a tiny model that shows no faces."""
    return saved(construction.random("stylegan2", KINDS["stylegan2"]), tmp_path / "cats.safetensors")


@pytest.fixture
def people(portraits: Generator, tmp_path: Path) -> Path:
    """The embedded generator as a file: a model of faces of one's own."""
    return saved(portraits, tmp_path / "people.safetensors")


def saved(g: Generator, path: Path) -> Path:
    save_generator(g, path, dtype=torch.float32)
    return path


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each call of a StyleGAN2 has rendered."""
    counts: list[int] = []
    synthesize, activations = StyleGAN2.synthesize, StyleGAN2.activations

    def count(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def counted(self: StyleGAN2, ws: torch.Tensor, *args: object, **options: object) -> torch.Tensor:
            counts.append(len(ws))
            return function(self, ws, *args, **options)

        return counted

    monkeypatch.setattr(StyleGAN2, "synthesize", count(synthesize))
    monkeypatch.setattr(StyleGAN2, "activations", count(activations))
    return counts


def test_the_embedded_model_needs_nothing(portraits: Generator, rendered: list[int]) -> None:
    assert prepared(portraits)
    prepare(portraits, on_step=lambda step: pytest.fail("nothing is to be done"))
    assert rendered == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_faces_gets_sliders(kind: str, tmp_path: Path) -> None:
    path = saved(construction.random(kind, KINDS[kind]), tmp_path / "cats.safetensors")
    g = load_generator(path)
    assert [phase.name for phase in phases(g)] == ["faces", "text", "sliders"]
    steps: list[Step] = []
    prepare(g, on_step=steps.append)
    assert prepared(g)
    assert [s.fraction for s in steps] == sorted(s.fraction for s in steps)
    assert (steps[0].fraction, steps[-1].fraction) == (0.0, pytest.approx(1.0))
    assert {s.label for s in steps} == {phase.label for phase in preparation.PHASES}
    sliders = le.named_directions(g)
    sources = [d.source for d in sliders]
    assert sources == sorted(sources)
    assert set(sources) == {"pca", "sefa"}
    assert len({d.name for d in sliders}) == len(sliders)
    for d in sliders:
        assert d.vector.shape == (g.num_ws, g.w_dim)
        assert torch.isfinite(d.vector).all()


def test_a_model_without_faces_takes_the_middle_and_no_words(cats: Path) -> None:
    g = load_generator(cats)
    prepare(g, "faces")
    photo = le.Photo(le.render(g, le.random_latent(g, 1)).resize((100, 60)))
    crop = le.align(photo, g)
    assert crop.crop_to_photo[:, 2].tolist() == [20, 0]
    assert le.find_faces(photo, g) == []
    with pytest.raises(MissingPart, match="only works for faces, and this model shows none. Use its sliders"):
        le.text_direction(g, "a beard")


def test_the_second_load_finds_nothing_out(cats: Path, rendered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_generator(cats)
    prepare(first)
    names = le.named_directions(first).names
    assert rendered
    rendered.clear()
    monkeypatch.setattr(faces, "look", lambda *_, **__: pytest.fail("looked for faces again"))
    again = load_generator(cats)
    assert prepared(again)
    prepare(again)
    assert le.named_directions(again).names == names
    assert rendered == []


def test_other_weights_under_the_same_name_are_another_model(cats: Path) -> None:
    prepare(load_generator(cats))
    saved(construction.random("stylegan2", KINDS["stylegan2"], seed=5), cats)
    assert not prepared(load_generator(cats))


@pytest.mark.parametrize("name", [MODEL_FILE, DIRECTIONS_FILE])
@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 64], ids=["empty", "cut", "zeros"])
def test_damaged_files_are_made_again(name: str, damage: bytes, cats: Path) -> None:
    g = load_generator(cats)
    prepare(g)
    assert g.bundle.folder is not None
    whole = (g.bundle.folder / name).read_bytes()
    (g.bundle.folder / name).write_bytes(damage)
    again = load_generator(cats)
    assert not prepared(again)
    prepare(again)
    assert prepared(load_generator(cats))
    assert len((g.bundle.folder / name).read_bytes()) == pytest.approx(len(whole), rel=0.2)


@pytest.mark.parametrize("facts", [{"faces": "perhaps"}, {"faces": True}, {"faces": True, "canonical_points": [1]}])
def test_facts_that_make_no_sense_are_not_used(facts: dict[str, object], cats: Path) -> None:
    g = load_generator(cats)
    g.bundle.save_facts(g.fingerprint, facts)
    again = load_generator(cats)
    assert not prepared(again, "faces")
    prepare(again, "faces")
    assert again.bundle.about["faces"] is False


def test_a_stop_keeps_what_is_finished(cats: Path, rendered: list[int]) -> None:
    g = load_generator(cats)
    prepare(g, on_step=lambda step: step.label == "Finding sliders" and step.fraction > 0.6)
    assert [phase.name for phase in phases(g)] == ["sliders"]
    again = load_generator(cats)
    assert [phase.name for phase in phases(again)] == ["sliders"]
    labels: set[str] = set()
    prepare(again, on_step=lambda step: labels.add(step.label))
    assert labels == {"Finding sliders"}
    assert prepared(load_generator(cats))


def test_a_stop_at_once_changes_nothing(cats: Path, rendered: list[int], little_work: Path) -> None:
    g = load_generator(cats)
    prepare(g, on_step=lambda step: True)
    assert rendered == []
    assert not little_work.exists()
    assert len(phases(g)) == 3


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="nothing is read-only to root")
def test_a_folder_that_is_read_only_is_done_without(cats: Path, little_work: Path) -> None:
    little_work.mkdir()
    little_work.chmod(0o500)
    check_without_a_cache(cats)


def test_a_folder_that_cannot_be_made_is_done_without(cats: Path, little_work: Path) -> None:
    little_work.write_text("in the way", encoding="utf-8")
    check_without_a_cache(cats)


def check_without_a_cache(model: Path) -> None:
    g = load_generator(model)
    with pytest.warns(UserWarning, match=f"cannot be written .* Set {CACHE_VARIABLE} to another folder"):
        prepare(g)
    assert prepared(g)
    assert len(le.named_directions(g)) >= 4
    assert g.bundle.about["faces"] is False


def test_a_model_in_memory_is_prepared_there(tiny_generator: StyleGAN2, little_work: Path) -> None:
    prepare(tiny_generator)
    assert prepared(tiny_generator)
    assert not little_work.exists()


# Faces.


def test_a_model_of_faces_gets_points_and_words(portraits: Generator, people: Path) -> None:
    g = load_generator(people)
    assert not g.bundle.has("landmarks.safetensors")
    prepare(g, "faces", "text")
    assert g.bundle.folder is not None
    found, told = g.bundle.about["canonical_points"], portraits.bundle.about["canonical_points"]
    assert set(found) == set(told)
    for name, point in told.items():
        # Half of the random faces smile: their mouths are a little higher than those of the images it was trained on.
        assert found[name] == pytest.approx(point, abs=0.03)
    assert g.bundle.facts(g.fingerprint)["faces"] is True
    assert (g.bundle.folder / STATISTICS_FILE).is_file()
    assert le.text_direction(g, "a beard").source == "text"
    again = load_generator(people)
    assert prepared(again, "faces", "text")
    assert again.bundle.about[FACTS_KEY]["canonical_points"] == found


def test_photos_are_aligned_by_the_points_that_were_found(
    portraits: Generator, people: Path, shared_folder: Path
) -> None:
    photo = le.open_photo(shared_folder / "photos" / "astronaut.png")
    g = load_generator(people)  # not prepared: the first photo has its samples looked at
    mine, told = le.align(photo, g), le.align(photo, portraits)
    corners = torch.tensor([[0.0, 0, 1], [128, 0, 1], [0, 128, 1], [128, 128, 1]], dtype=torch.float64)
    a, b = (corners @ torch.from_numpy(crop.crop_to_photo).T for crop in (mine, told))
    side = float(torch.from_numpy(told.crop_to_photo)[:, 0].norm()) * 128
    assert float((a - b).norm(dim=1).max()) < 0.05 * side
    with pytest.raises(NoFaceFound):
        le.align(le.Photo(photo.image.rotate(90).crop((0, 0, 60, 60))), g)


def test_words_stopped_halfway_are_not_kept(people: Path) -> None:
    g = load_generator(people)
    prepare(g, "faces", "text", on_step=lambda step: step.label.startswith("Learning") and step.step > 0)
    assert [phase.name for phase in phases(g, "faces", "text")] == ["text"]


@pytest.mark.parametrize("channels", [1, 4])
def test_grayscale_and_transparent_models_are_examined(channels: int) -> None:
    g = construction.random("stylegan2", {**KINDS["stylegan2"], "img_channels": channels})
    assert faces.look(g) == {"faces": False}
