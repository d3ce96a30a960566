"""Pictures from latents: right values, right sizes, and the fast path close to the exact one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.errors import BadLatent, BadValue
from latent_editor.features.perceptual import psnr_db
from latent_editor.generators import Generator, random_latent, random_ws
from latent_editor.generators.pictures import as_rgb, from_rgb, to_image, to_tensor
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.rendering import render, render_batch, render_tensor


def test_pixels_are_the_generators(tiny_generator: StyleGAN2) -> None:
    ws = random_ws(tiny_generator, [1, 2])
    expected = ((tiny_generator.synthesize(ws).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    for image, pixels in zip(render_batch(tiny_generator, ws, precision="fp32"), expected, strict=True):
        assert np.array_equal(np.asarray(image), pixels.permute(1, 2, 0).numpy())


def test_the_fast_path_is_close_to_float32(portraits: Generator) -> None:
    ws = random_ws(portraits, [1, 2, 3])
    assert psnr_db(render_tensor(portraits, ws), render_tensor(portraits, ws, precision="fp32")).min() > 45


def test_a_picture_survives_the_way_to_a_tensor_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(to_image(to_tensor(Image.fromarray(pixels), 16)[0])), pixels)


def test_render_takes_latents_and_ws_in_any_size(tiny_generator: StyleGAN2) -> None:
    latent = random_latent(tiny_generator, 5)
    one = render(tiny_generator, latent)
    assert one.size == (32, 32)
    assert one.mode == "RGB"
    assert one.tobytes() == render(tiny_generator, latent.ws[None]).tobytes()
    assert render(tiny_generator, latent, size_px=80).size == (80, 80)
    assert render(tiny_generator, latent, size_px=8).size == (8, 8)


def test_grey_generators_give_rgb_pictures() -> None:
    image = to_image(torch.zeros(1, 4, 4))
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == (128, 128, 128)


def test_alpha_is_laid_on_grey_or_kept() -> None:
    white = torch.ones(4, 2, 2)
    white[3] = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])  # clear, half, full, beyond
    image = to_image(white)
    assert image.mode == "RGB"
    assert np.asarray(image)[..., 0].tolist() == [[128, 191], [255, 255]]
    kept = to_image(white, alpha=True)
    assert kept.mode == "RGBA"
    assert np.asarray(kept)[..., 3].tolist() == [[0, 128], [255, 255]]
    assert np.asarray(to_image(white[2:]))[..., 2].tolist() == [[128, 191], [255, 255]]  # grey with alpha
    assert to_image(torch.zeros(7, 2, 2)).mode == "RGB"


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_a_photo_as_a_network_of_any_channels_would_give_it(channels: int) -> None:
    photo = to_tensor(Image.new("RGB", (4, 4), (255, 0, 0)), 4)
    picture = from_rgb(photo, channels)
    assert picture.shape == (1, channels, 4, 4)
    assert (as_rgb(picture) == photo).all() == (channels >= 3)
    assert channels in (1, 3) or (picture[:, -1] == 1).all()


def test_a_latent_of_another_model_is_refused(tiny_generator: StyleGAN2, portraits: Generator) -> None:
    with pytest.raises(BadLatent, match="portraits"):
        render(portraits, random_latent(tiny_generator, 1))


def test_random_latents_repeat_and_differ(tiny_generator: StyleGAN2) -> None:
    assert torch.equal(random_latent(tiny_generator, 3).ws, random_latent(tiny_generator, 3).ws)
    assert not torch.equal(random_latent(tiny_generator, 3).ws, random_latent(tiny_generator, 4).ws)


def test_an_unknown_precision_is_refused(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadValue, match="fp32"):
        render(tiny_generator, random_latent(tiny_generator, 1), precision="int4")


def test_a_generator_that_cannot_move_its_pictures_says_so(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadValue, match="cannot move"):
        render(tiny_generator, random_latent(tiny_generator, 1), transform=torch.eye(3))
