"""Edits on whole photos: what they change arrives, and nothing else does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

import latent_editor as le
from latent_editor.core.refinement import Refinement
from latent_editor.generators.stylegan2 import StyleGAN2


def noisy_photo(*, transparent: bool = False) -> le.Photo:
    noise = np.random.default_rng(0).integers(88, 168, (200, 240, 3)).astype(np.uint8)
    image = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2))
    if not transparent:
        return le.Photo(image)
    rgba = image.convert("RGBA")
    rgba.putalpha(128)
    return le.Photo(image, rgba=rgba)


def refined_latent(g: StyleGAN2, seed: int) -> le.Latent:
    noise = torch.Generator().manual_seed(seed)
    refinement = Refinement({8: torch.randn(g.config.channels_at(8), 8, 8, generator=noise)})
    return replace(le.random_latent(g, seed), refinement=refinement)


def slider(g: StyleGAN2) -> le.Direction:
    return le.Direction("up", 0.5 * torch.randn(g.num_ws, g.w_dim, generator=torch.Generator().manual_seed(1)))


BOX = (60.0, 40.0, 100.0)


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("refined", [False, True])
def test_without_an_edit_the_photo_comes_back_bit_identical(
    tiny_generator: StyleGAN2, refined: bool, transparent: bool
) -> None:
    g, photo = tiny_generator, noisy_photo(transparent=transparent)
    crop = le.crop_by_hand(photo, g, BOX)
    latent = refined_latent(g, 1) if refined else le.random_latent(g, 1)  # nothing like the photo
    up = slider(g)
    region = le.Region.of(np.ones((16, 16)))
    for edits in ([], [le.Edit(up, 0.0)], [le.Edit(up, 2.0, muted=True)], [le.Edit(up, 0.0, region=region)]):
        whole = le.paste_edit(g, photo, crop, latent, edits)
        assert whole.mode == (photo.rgba or photo.image).mode
        assert whole.tobytes() == (photo.rgba or photo.image).tobytes()


def test_an_edit_changes_the_photo_as_it_changes_the_render(tiny_generator: StyleGAN2) -> None:
    g, photo, latent = tiny_generator, noisy_photo(), refined_latent(tiny_generator, 1)
    crop = le.crop_by_hand(photo, g, BOX)
    edits = [le.Edit(slider(g), 0.2)]  # no pixel leaves 0..255
    whole = le.paste_edit(g, photo, crop, latent, edits)
    before, after = le.render(g, latent), le.render(g, le.edited(latent, edits))
    assert whole.tobytes() == le.paste(photo, crop, edited=after, original=before).tobytes()
    change = np.asarray(whole, float) - np.asarray(photo.image, float)
    x, y, side = (int(v) for v in BOX)
    outside = change.copy()
    outside[y : y + side, x : x + side] = 0
    assert (outside == 0).all()
    middle = change[y + 30 : y + 70, x + 30 : x + 70].mean((0, 1))
    drawn = (np.asarray(after, float) - np.asarray(before, float))[10:22, 10:22].mean((0, 1))
    assert np.abs(drawn).max() > 5
    assert middle @ drawn > 0.9 * np.linalg.norm(middle) * np.linalg.norm(drawn)  # the same change of color


def test_no_edit_of_a_photograph_changes_no_pixel(portraits: le.Generator, shared_folder: Path) -> None:
    photo = le.open_photo(shared_folder / "photos" / "lisa1.jpg")
    crop = le.align(photo, portraits)
    latent = le.invert(portraits, crop, method="encoder")
    whole = le.paste_edit(portraits, photo, crop, latent, [])
    assert whole.tobytes() == photo.image.tobytes()
