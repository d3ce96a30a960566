"""The whole chain on real photographs, through the public names only, as the README shows it."""

from __future__ import annotations

import inspect
from pathlib import Path

import numpy as np
import pytest

import latent_editor as le


@pytest.mark.parametrize("name", ["astronaut.png", "lisa1.jpg", "lisa2.jpg", "portrait_60cm.jpg"])
def test_a_photo_in_an_edited_photo_out(
    name: str, portraits: le.Generator, shared_folder: Path, tmp_path: Path
) -> None:
    g = portraits
    photo = le.open_photo(shared_folder / "photos" / name)
    assert len(le.find_faces(photo, g)) >= 1
    crop = le.align(photo, g)
    assert crop.image.size == (g.size_px, g.size_px)

    seen: list[le.Step] = []
    latent = le.invert(g, crop, method="w+", seconds=600, max_steps=4, on_step=seen.append)
    assert seen
    assert seen[-1].fraction == 1
    assert [s.psnr_db for s in seen] == sorted(s.psnr_db or 0 for s in seen), "the best so far never gets worse"
    assert latent.psnr_db is not None
    assert latent.psnr_db >= max(14, seen[0].psnr_db or 0) - 0.5  # the saved one is rendered exactly, the steps fast
    latent.save(tmp_path / "me.latent")
    latent = le.Latent.load(tmp_path / "me.latent")

    edits = [le.Edit(le.named_directions(g)[0], 2.0), le.Edit(le.text_direction(g, "red hair", latent=latent), 1.0)]
    plain, edited = le.render(g, latent), le.render(g, le.edited(latent, edits))
    assert np.abs(np.asarray(plain, np.float32) - np.asarray(edited, np.float32)).mean() > 1

    before = np.asarray(photo.image)
    assert np.array_equal(np.asarray(le.paste_edit(g, photo, crop, latent, [])), before)
    whole = np.asarray(le.paste_edit(g, photo, crop, latent, edits))
    assert whole.shape == before.shape
    changed = (whole != before).any(axis=2)
    assert changed.any()
    corners = crop.crop_to_photo @ np.array([[0, g.size_px, 0, g.size_px], [0, 0, g.size_px, g.size_px], [1] * 4])
    (left, top), (right, bottom) = corners.min(axis=1), corners.max(axis=1)
    rows, columns = np.nonzero(changed)
    assert columns.min() >= left - 1
    assert columns.max() <= right + 1
    assert rows.min() >= top - 1
    assert rows.max() <= bottom + 1


def test_no_public_function_gives_bare_latent_codes() -> None:
    """Codes without their latent would be drawn without its refinement and its regions."""
    functions = {name: getattr(le, name) for name in le.__all__ if inspect.isfunction(getattr(le, name))}
    bare = {name for name, f in functions.items() if "Tensor" in str(inspect.signature(f).return_annotation)}
    assert bare == {"psnr_db"}


def test_a_cat_is_no_face(portraits: le.Generator, shared_folder: Path) -> None:
    photo = le.open_photo(shared_folder / "photos" / "chelsea.png")
    with pytest.raises(le.NoFaceFound, match="chelsea.png"):
        le.align(photo, portraits)
    side = min(photo.image.size)
    crop = le.crop_by_hand(photo, portraits, (0.0, 0.0, float(side)))
    assert le.invert(portraits, crop, method="encoder").psnr_db is not None


def test_a_random_face_can_be_edited(portraits: le.Generator) -> None:
    latent = le.random_latent(portraits, 7)
    sliders = le.named_directions(portraits)
    assert len(sliders) >= 12
    plain = np.asarray(le.render(portraits, latent), np.float32)
    for slider in sliders[:12]:
        moved = le.render(portraits, le.edited(latent, [le.Edit(slider, slider.high)]))
        assert np.abs(np.asarray(moved, np.float32) - plain).mean() > 1, slider.name
