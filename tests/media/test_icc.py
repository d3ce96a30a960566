"""Photos in other encodings than sRGB."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from latent_editor.alignment import crop_by_hand
from latent_editor.compositing import paste
from latent_editor.core.values import Photo
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.media.exports import png_bytes
from latent_editor.media.icc import from_srgb, to_srgb
from latent_editor.media.photos import open_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB with its red and green lamps exchanged: plainly wrong where anybody forgets to convert."""
    return SRGB.replace(b"rXYZ", b"tmp!", 1).replace(b"gXYZ", b"rXYZ", 1).replace(b"tmp!", b"gXYZ", 1)


def noise(size: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(20, 236, (size, size, 3), dtype=np.uint8))


def test_colors_go_there_and_back() -> None:
    mixed = noise()
    seen = np.asarray(to_srgb(mixed, swapped_profile()), int)
    assert np.abs(seen - np.asarray(mixed, int)[..., [1, 0, 2]]).max() <= 2
    back = np.asarray(from_srgb(to_srgb(mixed, swapped_profile()), swapped_profile()), int)
    assert np.abs(back - np.asarray(mixed, int)).max() <= 2


@pytest.mark.parametrize("profile", [None, b"", b"nonsense", SRGB])
def test_what_is_srgb_or_unreadable_is_left_alone(profile: bytes | None) -> None:
    mixed = noise()
    assert to_srgb(mixed, profile) is mixed
    assert from_srgb(mixed, profile) is mixed


def test_a_crop_is_srgb_and_the_pasted_photo_in_its_own_encoding(tiny_generator: StyleGAN2) -> None:
    grass = Image.new("RGB", (96, 80), (200, 40, 40))  # green, as this encoding has it
    buffer = io.BytesIO()
    grass.save(buffer, "PNG", icc_profile=swapped_profile())
    photo = open_photo(buffer.getvalue())
    crop = crop_by_hand(photo, tiny_generator, (24.0, 16.0, 48.0))
    assert np.abs(np.array(crop.image.getpixel((16, 16))) - [40, 200, 40]).max() <= 2
    blue = Image.new("RGB", crop.image.size, (20, 30, 200))
    whole = paste(photo, crop, edited=blue, original=crop.image)
    assert whole.getpixel((2, 2)) == (200, 40, 40)
    assert np.abs(np.array(whole.getpixel((48, 40))) - [30, 20, 200]).max() <= 3
    saved = Image.open(io.BytesIO(png_bytes(whole, model="tiny", photo=photo)))
    assert saved.info["icc_profile"] == swapped_profile()
    assert saved.size == grass.size


def test_transparency_is_kept_and_colors_are_not_mixed_twice(tiny_generator: StyleGAN2) -> None:
    pixels = np.zeros((80, 96, 4), np.uint8)
    pixels[..., :3] = (180, 90, 60)
    pixels[..., 3] = np.linspace(0, 255, 96).astype(np.uint8)
    pixels[0, 0] = (9, 8, 7, 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    photo = open_photo(buffer.getvalue())
    crop = crop_by_hand(photo, tiny_generator, (24.0, 16.0, 48.0))
    plain = paste(photo, crop, edited=crop.image, original=crop.image)
    assert np.array_equal(np.asarray(plain), pixels)
    red = Image.fromarray(np.asarray(crop.image) // 2 + np.array([100, 0, 0], np.uint8))
    whole = np.asarray(paste(photo, crop, edited=red, original=crop.image))
    assert np.array_equal(whole[..., 3], pixels[..., 3])
    assert np.array_equal(whole[:12], pixels[:12])
    shown = np.asarray(Image.alpha_composite(Image.new("RGBA", (96, 80), (128, 128, 128, 255)), Image.fromarray(whole)))
    opaque = np.asarray(paste(Photo(photo.image), crop, edited=red, original=crop.image), int)
    visible = (whole[..., :3] > 0) & (whole[..., :3] < 255)
    assert np.abs(shown[..., :3].astype(int) - opaque)[visible].max() <= 2


def test_exif_tells_the_upright_size_and_holds_no_thumbnail() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x0100], exif[0x0101] = 64, 48
    exif.get_ifd(0x8769)[0xA002] = 64
    exif.get_ifd(0x8769)[0xA003] = 48
    exif.get_ifd(0x8769)[0x829A] = 0.01  # the exposure stays
    buffer = io.BytesIO()
    noise(64).crop((0, 0, 64, 48)).save(buffer, "JPEG", exif=exif)
    data = buffer.getvalue()
    photo = open_photo(data)
    assert photo.image.size == (48, 64)
    saved = Image.open(io.BytesIO(png_bytes(photo.image, model="tiny", photo=photo)))
    kept = saved.getexif()
    details = kept.get_ifd(0x8769)
    assert (kept[0x0112], kept[0x0100], kept[0x0101]) == (1, 48, 64)
    assert (details[0xA002], details[0xA003]) == (48, 64)
    assert float(details[0x829A]) == pytest.approx(0.01)
    assert b"\xff\xd8\xff" not in (photo.exif or b"")
