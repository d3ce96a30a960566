from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadLatent
from latent_editor.core.values import Direction, Edit, Latent, Photo
from latent_editor.media.exports import file_name, jpeg_bytes, latent_bytes, latent_from_bytes, png_bytes


def noise(size: int = 16) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8))


def test_png_keeps_every_pixel_and_says_that_it_is_synthetic() -> None:
    red = Edit(Direction("red hair", torch.zeros(1, 1)), 1.5)
    off = Edit(Direction("age", torch.zeros(1, 1)), 0.0)
    hidden = Edit(Direction("smile", torch.zeros(1, 1)), 1.0, muted=True)
    image = Image.open(io.BytesIO(png_bytes(noise(), model="portraits", edits=[red, off, hidden])))
    assert np.array_equal(np.array(image), np.array(noise()))
    assert image.text["Synthetic"] == "all"
    assert image.text["Model"] == "portraits"
    assert "red hair +1.50" in image.text["Description"]
    assert "age" not in image.text["Description"]
    assert "smile" not in image.text["Description"]
    assert "/trainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]


def test_png_of_a_whole_photo_keeps_its_color_profile_and_says_part() -> None:
    photo = Photo(noise(), "me.jpg", icc_profile=b"profile")
    image = Image.open(io.BytesIO(png_bytes(noise(), model="portraits", photo=photo)))
    assert image.info["icc_profile"] == b"profile"
    assert image.text["Synthetic"] == "part"
    assert "compositeWithTrainedAlgorithmicMedia" in image.text["XML:com.adobe.xmp"]


def test_jpeg_is_close() -> None:
    gray = Image.new("RGB", (32, 32), (90, 120, 150))
    shown = np.array(Image.open(io.BytesIO(jpeg_bytes(gray))), dtype=int)
    assert np.abs(shown - np.array(gray)).max() <= 3


def test_latent_there_and_back() -> None:
    latent = Latent(torch.randn(4, 8), "tiny", "abc", 25.0, "w+")
    back = latent_from_bytes(latent_bytes(latent))
    assert torch.equal(back.ws, latent.ws)
    assert (back.model, back.fingerprint, back.psnr_db, back.method) == ("tiny", "abc", 25.0, "w+")


@pytest.mark.parametrize("data", [b"", b"\x00" * 100, b"not a latent", jpeg_bytes(noise())])
def test_what_is_no_latent_is_refused_by_its_name(data: bytes) -> None:
    with pytest.raises(BadLatent, match="holiday"):
        latent_from_bytes(data, "holiday.latent")


@pytest.mark.parametrize(
    ("name", "ending", "expected"),
    [
        ("Zoë/1.jpg", " edited.png", "Zoe 1 edited.png"),
        ("../../etc/passwd", ".latent", "etc passwd.latent"),
        ("C:\\photos\\me.PNG", " edited.png", "C photos me edited.png"),
        ("", ".png", "face.png"),
        ("写真.jpg", ".png", "face.png"),
        ("me.jpg", "", "me.jpg"),
        ("a" * 300, ".png", "a" * 60 + ".png"),
    ],
)
def test_file_names_are_safe_everywhere(name: str, ending: str, expected: str) -> None:
    assert file_name(name, ending) == expected
