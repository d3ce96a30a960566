"""Thumbnails of large generators are drawn by the preview, everything else by the full generator."""

from __future__ import annotations

import pytest
from PIL import Image

from latent_editor.generators import Generator, construction, random_latent
from latent_editor.generators.preview import Preview
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.rendering import render
from latent_editor.sessions.placement import Placement
from latent_editor.ui.service import preview_choice
from latent_editor.ui.service.preview_choice import choose_generator


@pytest.fixture(scope="module")
def large() -> Generator:
    kwargs = {"z_dim": 8, "c_dim": 0, "w_dim": 8, "img_resolution": 512, "img_channels": 3}
    kwargs |= {"channel_base": 1024, "channel_max": 8, "mapping_kwargs": {"num_layers": 1}}
    return construction.random("stylegan2", kwargs).eval().requires_grad_(False)


def test_thumbnails_of_large_generators_use_the_preview(large: Generator) -> None:
    assert choose_generator(large, 256) is large  # a moving frame never waits for the preview to be built
    assert choose_generator(large, 512) is large
    thumbnail = choose_generator(large, 80)
    assert isinstance(thumbnail, Preview)
    assert thumbnail.size_px == 256
    assert choose_generator(large, 96) is thumbnail
    image = render(thumbnail, random_latent(large, 1), size_px=80)
    assert (image.size, image.mode) == ((80, 80), "RGB")
    assert isinstance(image, Image.Image)


def test_only_an_accurate_preview_draws_moving_frames(large: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    preview = choose_generator(large, 80)
    assert isinstance(preview, Preview)
    for fit, wanted in ((0.99, preview), (0.9, large)):
        monkeypatch.setattr(preview, "fit", fit)
        assert choose_generator(large, 256) is wanted
    assert preview_choice.TRUE_FIT > 0.9


def test_small_generators_and_placements_use_the_full_generator(large: Generator, tiny_generator: StyleGAN2) -> None:
    assert choose_generator(tiny_generator, 80) is tiny_generator
    assert choose_generator(large, 80, Placement(x=0.5)) is large
