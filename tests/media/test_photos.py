"""Opening photos: every kind that people send, and every kind that they should not."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from latent_editor.core.errors import BadImage, BadInput
from latent_editor.media.photos import BACKGROUND_RGB, open_photo


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def gradient() -> Image.Image:
    """48 × 32, red grows to the right, green downwards."""
    y, x = np.mgrid[:32, :48]
    return Image.fromarray(np.stack([x * 5, y * 7, np.full_like(x, 60)], -1).astype(np.uint8))


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "WEBP", "JPEG", "GIF", "AVIF"])
def test_opens_every_format(format: str, gradient: Image.Image) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    photo = open_photo(encoded(gradient, format, **options))
    assert photo.image.mode == "RGB"
    assert photo.image.size == (48, 32)
    away = np.abs(np.asarray(photo.image, float) - np.asarray(gradient, float)).mean()
    assert away < (0.01 if format in ("PNG", "BMP", "TIFF", "WEBP") else 12)


def test_takes_paths_strings_bytes_files_and_images(tmp_path: Path, gradient: Image.Image) -> None:
    path = tmp_path / "me.png"
    gradient.save(path)
    with path.open("rb") as f:
        photos = [
            open_photo(s) for s in (path, str(path), path.read_bytes(), f, io.BytesIO(path.read_bytes()), gradient)
        ]
    for photo in photos:
        assert np.array_equal(np.asarray(photo.image), np.asarray(gradient))
    assert photos[0].name == photos[3].name == "me.png"
    assert photos[2].name == "photo"


def test_a_photo_does_not_change_with_the_callers_image(gradient: Image.Image) -> None:
    photo = open_photo(gradient)
    before = photo.image.getpixel((3, 3))
    gradient.putpixel((3, 3), (255, 255, 255))
    assert photo.image.getpixel((3, 3)) == before


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_and_reset(orientation: int, gradient: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = "A camera"
    photo = open_photo(encoded(gradient, "PNG", exif=exif))
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}  # Pillow's transpositions
    want = gradient.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else gradient
    assert np.array_equal(np.asarray(photo.image), np.asarray(want))
    kept = Image.Exif()
    assert photo.exif is not None
    kept.load(photo.exif)
    assert kept[0x0112] == 1
    assert kept[0x010F] == "A camera"


@pytest.mark.parametrize("nonsense", [0, 9, 255, 65535])
def test_an_absurd_orientation_is_ignored(nonsense: int, gradient: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = nonsense
    photo = open_photo(encoded(gradient, "JPEG", exif=exif, quality=95))
    assert photo.image.size == (48, 32)


@pytest.mark.parametrize(
    "block",
    [
        b"Exif\0\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x12\x01\x03\0\xff\xff\xff\xff\xff\xff\xff\xff" * 20,
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x02\0\x04\0\0\0six\0\0\0\0\0",
        b"Exif\0\0" + bytes(range(256)) * 100,
    ],
)
def test_a_broken_exif_block_harms_nothing(block: bytes, gradient: Image.Image) -> None:
    jpeg = encoded(gradient, "JPEG")
    app1 = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    assert open_photo(jpeg[:2] + app1 + jpeg[2:]).image.size == (48, 32)


def test_the_color_profile_is_kept(gradient: Image.Image) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert open_photo(encoded(gradient, "PNG", icc_profile=profile)).icc_profile == profile
    assert open_photo(encoded(gradient.convert("L"), "PNG", icc_profile=profile)).icc_profile is None
    assert open_photo(encoded(gradient, "PNG")).icc_profile is None


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(32, 0)
    for format in ("PNG", "TIFF"):
        gray = np.asarray(open_photo(encoded(Image.fromarray(ramp), format)).image)
        assert np.abs(gray[0, :, 0] - np.linspace(0, 255, 64)).max() < 1
        assert np.array_equal(gray[..., 0], gray[..., 2])


def test_dark_sixteen_bits_stay_dark() -> None:
    dark = np.full((32, 32), 200, np.uint16)
    assert np.asarray(open_photo(encoded(Image.fromarray(dark), "PNG")).image).max() == 1


@pytest.mark.parametrize("top", [1.0, 255.0, 60000.0, 1e9])
def test_floating_point_pictures_are_scaled(top: float) -> None:
    ramp = np.linspace(0, top, 64, dtype=np.float32)[None].repeat(32, 0) * np.float32(0.9999)
    ramp[0, 0] = np.nan
    gray = np.asarray(open_photo(encoded(Image.fromarray(ramp), "TIFF")).image)[5, :, 0]
    assert gray[0] == 0
    assert gray[-1] >= 232
    assert (np.diff(gray.astype(int)) >= 0).all()


def test_sixteen_bit_color_png_is_scaled() -> None:
    values = np.linspace(0, 65535, 32 * 32 * 3).astype(">u2").reshape(32, 32, 3)
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    photo = open_photo(png(32, 32, depth=16, color=2, data=zlib.compress(rows)))
    assert np.abs(np.asarray(photo.image, float) - values / 257).max() < 1.01


def png(width: int, height: int, *, depth: int = 8, color: int = 2, data: bytes = b"") -> bytes:
    """A PNG by hand, so that it may lie."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_cmyk_looks_like_itself(gradient: Image.Image) -> None:
    photo = open_photo(encoded(gradient.convert("CMYK"), "JPEG", quality=95))
    assert photo.icc_profile is None
    assert np.abs(np.asarray(photo.image, float) - np.asarray(gradient, float)).mean() < 12


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "YCbCr", "LAB", "HSV", "PA", "I", "F"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    assert open_photo(Image.new(mode, (32, 20))).image.mode == "RGB"


def test_transparent_pixels_become_gray(gradient: Image.Image) -> None:
    clear = gradient.copy()
    clear.putalpha(Image.new("L", clear.size, 0))
    assert open_photo(encoded(clear, "PNG")).image.getpixel((9, 9)) == BACKGROUND_RGB
    palette = Image.new("P", (32, 32), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    assert open_photo(encoded(palette, "PNG", transparency=1)).image.getpixel((9, 9)) == BACKGROUND_RGB
    assert open_photo(encoded(palette, "PNG", transparency=bytes([255, 0]))).image.getpixel((9, 9)) == BACKGROUND_RGB
    assert open_photo(encoded(palette, "PNG", transparency=0)).image.getpixel((9, 9)) == (0, 255, 0)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_an_animation_gives_its_first_frame(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
    photo = open_photo(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    red, _, blue = photo.image.getpixel((5, 5))
    assert red > 240
    assert blue < 15


def test_the_content_decides_not_the_name(tmp_path: Path, gradient: Image.Image) -> None:
    (tmp_path / "me.jpg").write_bytes(encoded(gradient, "PNG"))
    assert open_photo(tmp_path / "me.jpg").image.size == (48, 32)


def test_a_sixty_megapixel_jpeg_is_reduced() -> None:
    photo = open_photo(encoded(Image.new("RGB", (9000, 6700), "red"), "JPEG"))
    assert 20e6 < photo.image.width * photo.image.height < 24.1e6
    assert photo.image.width / photo.image.height == pytest.approx(9000 / 6700, rel=1e-3)


def test_a_large_png_is_reduced(gradient: Image.Image) -> None:
    photo = open_photo(encoded(gradient.resize((480, 320)), "PNG"), working_pixels=40_000)
    assert photo.image.size == (245, 163)


@functools.cache
def bad_files() -> dict[str, bytes]:
    picture = Image.effect_noise((64, 64), 80).convert("RGB")
    jpeg, whole = encoded(picture, "JPEG"), encoded(picture, "PNG")
    return {
        "zero bytes": b"",
        "text": b"hello, this is not a picture\n" * 10,
        "web page": b"<!DOCTYPE html><html></html>",
        "svg": b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        "pdf": b"%PDF-1.7\n",
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0heic",
        "video": b"\0\0\0\x18ftypisom\0\0\0\0isom",
        "pickle": b"\x80\x04\x95\x10",
        "noise": os.urandom(4000),
        "truncated jpeg": jpeg[: len(jpeg) // 2],
        "truncated png": whole[: len(whole) // 2],
        "jpeg header": jpeg[:4],
        "png header": whole[:20],
        "postscript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n",
        "ppm": b"P6 32 32 255\n" + bytes(32 * 32 * 3),
        "bomb": png(60_000, 60_000, data=zlib.compress(bytes(1000))),
        "large png": png(12_000, 9_000, data=zlib.compress(bytes(1000))),
        "png without data": png(64, 64),
        "bad compression": png(64, 64, data=b"not deflate at all"),
        "no pixels": png(0, 64),
        "one pixel": encoded(Image.new("RGB", (1, 1)), "PNG"),
    }


@pytest.mark.parametrize("what", list(bad_files()))
def test_bad_files_are_refused_with_advice(what: str, tmp_path: Path) -> None:
    path = tmp_path / "stranger.png"
    path.write_bytes(bad_files()[what])
    with pytest.raises(BadImage, match=r"stranger\.png") as e:
        open_photo(path)
    assert isinstance(e.value, BadInput)
    assert len(str(e.value)) < 500
    assert any(advice in str(e.value) for advice in ("again", "Choose", "Check"))


def test_a_text_bomb_is_refused_or_skipped() -> None:
    body = b"Comment\0\1\0\0\0" + zlib.compress(bytes(30_000_000), 1)
    chunk = struct.pack(">I", len(body)) + b"iTXt" + body + struct.pack(">I", zlib.crc32(b"iTXt" + body))
    whole = encoded(Image.effect_noise((64, 64), 80).convert("RGB"), "PNG")
    with contextlib.suppress(BadImage):
        assert open_photo(whole[:33] + chunk + whole[33:]).image.size == (64, 64)


def test_the_message_names_what_came() -> None:
    said = {"heic": "HEIC", "pdf": "PDF", "web page": "web page", "svg": "SVG", "zero bytes": "empty", "video": "video"}
    for what, word in said.items():
        with pytest.raises(BadImage, match=word):
            open_photo(bad_files()[what])


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(BadImage, match="does not exist"):
        open_photo(tmp_path / "none.jpg")
    with pytest.raises(BadImage, match="folder"):
        open_photo(tmp_path)
    with pytest.raises(BadImage, match="NoneType"):
        open_photo(None)  # type: ignore[arg-type]
    with pytest.raises(BadImage, match="binary"):
        open_photo(io.StringIO("text"))  # type: ignore[arg-type]
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadImage):
        open_photo(tmp_path / "pipe")


def test_damaged_bytes_never_surprise() -> None:
    """Seeded damage in the middle of good files: opened, or refused with BadImage; nothing else."""
    random = np.random.default_rng(0)
    picture = Image.effect_noise((48, 48), 60).convert("RGB")
    for format in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"):
        good = encoded(picture, format)
        for _ in range(60):
            bad = bytearray(good)
            for at in random.integers(2, len(bad), 6):
                bad[at] = random.integers(256)
            with contextlib.suppress(BadImage):
                assert open_photo(bytes(bad)).image.mode == "RGB"


def test_the_shared_photos_open(shared_folder: Path) -> None:
    for path in sorted((shared_folder / "photos").glob("*.[jp][pn]g")):
        assert open_photo(path).image.mode == "RGB"
