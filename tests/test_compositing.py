"""Edited crops put back into their photos."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from latent_editor.compositing import paste
from latent_editor.errors import BadValue
from latent_editor.ops import affine
from latent_editor.types import Crop, Photo

CROP_PX = 64


def smooth_photo(width: int = 300, height: int = 240, seed: int = 0) -> Photo:
    noise = np.random.default_rng(seed).integers(0, 255, (height, width, 3)).astype(np.uint8)
    return Photo(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(6)))


def crop_of(photo: Photo, angle_deg: float = 0, scale: float = 2.0, centre: tuple[float, float] = (150, 120)) -> Crop:
    a = np.radians(angle_deg)
    linear = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) * scale
    crop_to_photo = np.column_stack([linear, np.array(centre) - linear @ [CROP_PX / 2, CROP_PX / 2]])
    pixels = affine.warp(np.asarray(photo.image), crop_to_photo, (CROP_PX, CROP_PX))
    return Crop(Image.fromarray(pixels), crop_to_photo)


def inside_of(photo: Photo, crop: Crop) -> np.ndarray:
    """Which photo pixels have their centre inside of the crop: bool [H, W]."""
    w, h = photo.image.size
    centres = np.stack(np.meshgrid(np.arange(w) + 0.5, np.arange(h) + 0.5), -1).reshape(-1, 2)
    seen = affine.transformed(affine.inverted(crop.crop_to_photo), centres)
    return ((seen > 0) & (seen < CROP_PX)).all(1).reshape(h, w)


def brighter(image: Image.Image, by: int = 40) -> Image.Image:
    return Image.fromarray(np.clip(np.asarray(image, int) + by, 0, 255).astype(np.uint8))


PLACES = [(0, 2.0, (150, 120)), (33, 1.5, (140, 110)), (-80, 0.7, (60, 60)), (10, 2.5, (20, 230)), (0, 9.0, (150, 120))]


@pytest.mark.parametrize(("angle", "scale", "centre"), PLACES)
@pytest.mark.parametrize("with_original", [False, True])
def test_outside_of_the_crop_nothing_changes(
    angle: float, scale: float, centre: tuple[float, float], with_original: bool
) -> None:
    photo = smooth_photo()
    crop = crop_of(photo, angle, scale, centre)
    red = Image.new("RGB", (128, 128), "red")
    whole = paste(photo, crop, red, original=crop.image if with_original else None)
    assert whole.size == photo.image.size
    assert whole.mode == "RGB"
    outside = ~inside_of(photo, crop)
    assert np.array_equal(np.asarray(whole)[outside], np.asarray(photo.image)[outside])
    x, y = (int(v) for v in centre)
    middle = whole.getpixel((min(x, 299), min(y, 239)))
    assert middle[0] - middle[1] > 100


def test_the_photo_itself_is_left_alone() -> None:
    photo = smooth_photo()
    before = np.asarray(photo.image).copy()
    paste(photo, crop_of(photo), Image.new("RGB", (64, 64), "red"))
    assert np.array_equal(np.asarray(photo.image), before)


@pytest.mark.parametrize("angle", [0, 30, -140])
def test_pasting_the_crop_itself_gives_the_photo_back(angle: float) -> None:
    photo = smooth_photo()
    whole = paste(photo, crop_of(photo, angle, 1.0), crop_of(photo, angle, 1.0).image)
    away = np.abs(np.asarray(whole, int) - np.asarray(photo.image, int))
    assert away.max() <= 4
    assert away.mean() < 0.1


def test_without_an_edit_the_photo_keeps_every_bit() -> None:
    photo = smooth_photo()
    reconstruction = Image.new("RGB", (64, 64), (99, 140, 60))  # nothing like the photo
    whole = paste(photo, crop_of(photo, 12), reconstruction, original=reconstruction)
    assert np.array_equal(np.asarray(whole), np.asarray(photo.image))


def test_the_difference_carries_the_edit_and_keeps_the_detail() -> None:
    photo = smooth_photo()
    detail = np.asarray(photo.image, int) + (np.indices((240, 300)).sum(0) % 2)[..., None] * 20 - 10
    photo = Photo(Image.fromarray(np.clip(detail, 40, 200).astype(np.uint8)))
    crop = crop_of(photo)
    reconstruction = crop.image.filter(ImageFilter.GaussianBlur(3))
    whole = paste(photo, crop, brighter(reconstruction, 30), original=reconstruction)
    change = np.asarray(whole, int) - np.asarray(photo.image, int)
    assert np.abs(change[110:130, 140:160] - 30).max() <= 1


def test_a_larger_rendering_brings_its_detail() -> None:
    photo = smooth_photo()
    crop = crop_of(photo, scale=3.0, centre=(150, 120))
    stripes = np.zeros((192, 192, 3), np.uint8)
    stripes[:, ::2] = 255
    whole = np.asarray(paste(photo, crop, Image.fromarray(stripes)), int)
    row = whole[120, 140:160, 0]
    assert np.abs(np.diff(row)).min() > 200


def test_the_border_takes_the_photos_colours() -> None:
    photo = Photo(Image.new("RGB", (300, 240), (100, 120, 140)))
    crop = crop_of(photo)
    whole = np.asarray(paste(photo, crop, brighter(crop.image, 50)), int)[120, :, 0] - 100
    assert whole[150] > 40
    assert np.abs(np.diff(whole)).max() <= 5
    plain = 50 * 0.9  # near the border a mask alone would show most of the step within the feather
    assert whole[86 + 12] < plain / 2


@pytest.mark.parametrize("feather", [0.0, -1.0, 0.9, float("nan")])
def test_a_bad_feather_is_refused(feather: float) -> None:
    photo = smooth_photo()
    with pytest.raises(BadValue, match="feather"):
        paste(photo, crop_of(photo), Image.new("RGB", (64, 64)), feather=feather)


def test_a_crop_of_another_photo_is_refused() -> None:
    crop = crop_of(smooth_photo(), centre=(250, 200))
    with pytest.raises(BadValue, match="outside"):
        paste(smooth_photo(60, 60), crop, Image.new("RGB", (64, 64)))


def test_a_wider_feather_is_softer() -> None:
    photo = Photo(Image.new("RGB", (300, 240), (100, 100, 100)))
    crop = crop_of(photo)
    reds = [
        np.asarray(paste(photo, crop, brighter(crop.image), original=crop.image, feather=f), int)[120, :, 0]
        for f in (0.05, 0.4)
    ]
    assert np.abs(np.diff(reds[0])).max() > 3 * np.abs(np.diff(reds[1])).max()
