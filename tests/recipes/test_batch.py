"""A folder of photos and a recipe: what is done, passed over, done again, and shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadRecipe, BadValue, NoFaceFound, Stopped
from latent_editor.core.values import Direction, Edit, Latent, Step
from latent_editor.editing.edits import edited
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.recipes import Recipe, batch
from latent_editor.recipes.batch import (
    DONE,
    FAILED,
    NO_FACE,
    UP_TO_DATE,
    BatchConfig,
    BatchEditor,
    PhotoResult,
    photos_in,
)
from latent_editor.recipes.contact_sheet import TILE_PX
from latent_editor.rendering import render

QUICK = BatchConfig(method="w", seconds=0.0)


@pytest.fixture
def g(tiny_generator: StyleGAN2) -> StyleGAN2:
    tiny_generator.bundle.about["faces"] = False  # photos are cropped at their middle
    return tiny_generator


@pytest.fixture
def edits(g: StyleGAN2) -> list[Edit]:
    return [Edit(Direction("hair", torch.ones(g.num_ws, g.w_dim) * 0.3), 1.0)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures of which two have the same name, a broken one, and what is no photo."""
    seeded = np.random.default_rng(0)
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("a.png", "b.jpg", "b.png"):
        blocks = Image.fromarray(seeded.integers(0, 255, (3, 4, 3), dtype=np.uint8))
        blocks.resize((80, 60), Image.Resampling.BICUBIC).save(photos / name)
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    (photos / "notes.txt").write_text("none of yours")
    (photos / ".hidden.png").write_bytes(b"")
    return photos


def statuses(outcomes: list[PhotoResult]) -> dict[str, str]:
    return {o.photo.name: o.status for o in outcomes}


def test_all_photos_of_a_folder_are_edited_alike(g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path) -> None:
    out, told, steps = tmp_path / "new" / "out", [], list[Step]()
    album = BatchEditor(g, Recipe.of(edits, g), out, QUICK)
    outcomes = album.edit(photos_in(folder), on_photo=told.append, on_step=lambda step: steps.append(step))
    assert statuses(outcomes) == {"a.png": DONE, "b.jpg": DONE, "b.png": DONE, "broken.jpg": FAILED}
    assert told == outcomes
    assert "broken.jpg" in outcomes[-1].message
    assert {o.output.name for o in outcomes if o.output} == {"a.png", "b jpg.png", "b png.png"}
    for outcome in outcomes[:3]:
        assert outcome.output is not None
        latent = Latent.load(out / "latents" / f"{outcome.output.stem}.latent")
        with Image.open(outcome.output) as image:
            assert image.tobytes() == render(g, edited(latent, edits)).tobytes()
            assert "hair +1.00" in image.text["Description"]
    fractions = [step.fraction for step in steps]
    assert fractions == sorted(fractions)
    assert steps[0].label == "1/4 a.png"
    with Image.open(out / "contact sheet.png") as sheet:
        assert sheet.width == 3 * (2 * TILE_PX + 12) - 12
        assert sheet.text["Synthetic"] == "part"


def test_what_is_done_is_not_done_again(
    g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, recipe = tmp_path / "out", Recipe.of(edits, g)
    first = BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder))
    inverted: list[str] = []
    whole_invert = batch.invert
    monkeypatch.setattr(batch, "invert", lambda *a, **k: inverted.append("") or whole_invert(*a, **k))
    again = BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder))
    assert statuses(again) == {"a.png": UP_TO_DATE, "b.jpg": UP_TO_DATE, "b.png": UP_TO_DATE, "broken.jpg": FAILED}
    assert [o.psnr_db for o in again] == [o.psnr_db for o in first]
    # Another recipe: the same latents. Another photo or a lost picture: that one alone.
    other = Recipe.of([Edit(edits[0].direction, -1.0)], g)
    assert list(statuses(BatchEditor(g, other, out, QUICK).edit(photos_in(folder))).values()).count(DONE) == 3
    assert not inverted
    (out / "a.png").unlink()
    assert statuses(BatchEditor(g, other, out, QUICK).edit(photos_in(folder)))["a.png"] == DONE
    assert not inverted
    os.utime(folder / "a.png", (1, 1))
    assert statuses(BatchEditor(g, other, out, QUICK).edit(photos_in(folder)))["a.png"] == DONE
    assert len(inverted) == 1
    slower = BatchConfig(method="w", seconds=0.0, face=1)
    assert list(statuses(BatchEditor(g, other, out, slower).edit(photos_in(folder))).values()).count(DONE) == 3
    assert len(inverted) == 4


def test_a_damaged_journal_or_latent_is_made_again(
    g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path
) -> None:
    out, recipe = tmp_path / "out", Recipe.of(edits, g)
    BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder))
    (out / "latents" / "a.latent").write_bytes(b"no latent")
    (out / "a.png").unlink()
    assert statuses(BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder)))["a.png"] == DONE
    for damage in ("", "[]", "{", '{"photos": 7}', '{"photos": {"a": 7}}'):
        (out / "batch.json").write_text(damage)
        assert statuses(BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder)))["a.png"] == DONE


def test_photos_without_a_face_are_passed_over_and_remembered(
    g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[str] = []

    def refuse(photo: object, *_: object, **__: object) -> None:
        looked.append(photo.name)
        raise NoFaceFound(f"No face was found in {photo.name}.")

    monkeypatch.setattr(batch, "align", refuse)
    for _ in range(2):
        outcomes = BatchEditor(g, Recipe.of(edits, g), tmp_path / "out", QUICK).edit(photos_in(folder))
        assert list(statuses(outcomes).values()) == [NO_FACE] * 3 + [FAILED]
        assert "No face was found in a.png" in outcomes[0].message
    assert looked == ["a.png", "b.jpg", "b.png"]
    assert not list((tmp_path / "out").glob("*.png"))


def test_an_interrupt_keeps_what_is_finished(g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "out", Recipe.of(edits, g)
    for stop_at in ("2/4 b.jpg", "3/4 b.png"):
        with pytest.raises(Stopped):
            BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder), on_step=lambda s, at=stop_at: s.label == at)
    assert sorted(json.loads((out / "batch.json").read_text())["photos"]) == ["a", "b jpg"]
    found = statuses(BatchEditor(g, recipe, out, QUICK).edit(photos_in(folder)))
    assert found == {"a.png": UP_TO_DATE, "b.jpg": UP_TO_DATE, "b.png": DONE, "broken.jpg": FAILED}


def test_a_face_goes_back_into_its_photo(g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path) -> None:
    config = BatchConfig(method="w", seconds=0.0, paste=True)
    outcomes = BatchEditor(g, Recipe.of(edits, g), tmp_path / "out", config).edit([folder / "a.png"])
    assert outcomes[0].output is not None
    with Image.open(outcomes[0].output) as image, Image.open(folder / "a.png") as photo:
        assert image.size == photo.size
        assert image.text["Synthetic"] == "part"
        assert image.getpixel((0, 30)) == photo.convert("RGB").getpixel((0, 30))
        assert image.tobytes() != photo.convert("RGB").tobytes()


def test_many_photos_take_several_sheets(
    g: StyleGAN2, edits: list[Edit], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "PAIRS", 1)
    monkeypatch.setattr(batch, "ROWS", 2)
    out = tmp_path / "out"
    BatchEditor(g, Recipe.of(edits, g), out, QUICK).edit(photos_in(folder))
    assert sorted(p.name for p in out.glob("contact*")) == ["contact sheet 2.png", "contact sheet.png"]
    BatchEditor(g, Recipe.of(edits, g), out, QUICK).edit([folder / "a.png"])
    assert [p.name for p in out.glob("contact*")] == ["contact sheet.png"]


def test_bad_folders_and_recipes_are_refused(g: StyleGAN2, tmp_path: Path) -> None:
    with pytest.raises(BadValue, match="not a folder"):
        photos_in(tmp_path / "none")
    with pytest.raises(BadValue, match="contains no photo"):
        photos_in(tmp_path)
    stranger = Recipe.from_bytes(
        b'{"format": "latent-editor recipe", "version": 1, "edits": [{"prompt": "red hair", "strength": 1}]}'
    )
    with pytest.raises(BadRecipe, match="red hair"):
        BatchEditor(g, stranger, tmp_path / "out", QUICK)
    assert not (tmp_path / "out").exists()
