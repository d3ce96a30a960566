"""Batched pictures equal those drawn one by one, and a bad request harms no other."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.generators import Generator, construction, random_ws
from latent_editor.generators.base import transform_matrix
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.networks.perceptual import psnr_db
from latent_editor.rendering import render_tensor
from latent_editor.ui.service.frame_renderer import MAX_BATCH, FrameRenderer, _RenderRequest, max_batch


def drawn_together(g: Generator, ws: Sequence[Tensor], transforms: Sequence[Tensor | None]) -> list[Tensor]:
    requests = [_RenderRequest(w, t) for w, t in zip(ws, transforms, strict=True)]
    return FrameRenderer()._draw((g, transforms[0] is not None), requests)


def test_batched_pictures_equal_single_ones(portraits: Generator) -> None:
    ws = [random_ws(portraits, seeds) for seeds in ([1], [2, 3], [4], [5])]
    together = drawn_together(portraits, ws, [None] * 4)
    assert [len(pictures) for pictures in together] == [1, 2, 1, 1]
    for pictures, some in zip(together, ws, strict=True):
        assert psnr_db(pictures, render_tensor(portraits, some, precision="fp32")).min() > 45


def test_each_picture_keeps_its_own_transform() -> None:
    kwargs = {"z_dim": 16, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "c_dim": 0}
    g = construction.random("stylegan3", {**kwargs, "channel_base": 128, "channel_max": 8}).eval().requires_grad_(False)
    ws = [random_ws(g, seeds) for seeds in ([1], [2, 3])]
    moves = [transform_matrix((0.2, 0.0)), transform_matrix((0.0, -0.1), 30)]
    for pictures, some, move in zip(drawn_together(g, ws, moves), ws, moves, strict=True):
        assert psnr_db(pictures, render_tensor(g, some, transform=move)).min() > 45


def test_a_bad_request_harms_no_other(tiny_generator: StyleGAN2) -> None:
    frame_renderer, g = FrameRenderer(), tiny_generator
    good = random_ws(g, [1])
    bad: list[tuple[Tensor, Tensor | None, type[Exception]]] = [
        (good, transform_matrix((0.1, 0)), BadValue),
        (good[:, :3], None, ValueError),
    ]

    def drag(i: int) -> None:
        for _ in range(10):
            if i < len(bad):
                ws, transform, error = bad[i]
                with pytest.raises(error):
                    frame_renderer.draw(g, ws, transform=transform)
            else:
                assert psnr_db(frame_renderer.draw(g, good), render_tensor(g, good)).min() > 45

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(drag, range(6)))


def test_several_models_share_the_cache(tiny_generator: StyleGAN2) -> None:
    kwargs = {"z_dim": 16, "w_dim": 16, "img_resolution": 16, "channel_base": 256}
    other = construction.random("stylegan2", kwargs).eval().requires_grad_(False)
    frame_renderer = FrameRenderer(max_bytes=300_000)

    def drag(i: int) -> None:
        g = (tiny_generator, other)[i % 2]
        ws = random_ws(g, [i])
        for k in range(20):
            ws = ws.clone()
            ws[:, k % g.num_ws :] += 0.1
            assert psnr_db(frame_renderer.draw(g, ws), render_tensor(g, ws)).min() > 45
            assert frame_renderer.cache.bytes <= 300_000

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(drag, range(6)))
    assert frame_renderer.cache.bytes > 0


def test_large_pictures_are_drawn_one_by_one_on_a_cpu(tiny_generator: StyleGAN2) -> None:
    kwargs = {"z_dim": 8, "w_dim": 8, "channel_base": 1024, "channel_max": 8}
    large = construction.random("stylegan2", {**kwargs, "img_resolution": 512})
    assert max_batch(large) == 1
    assert max_batch(tiny_generator) == MAX_BATCH


def test_images_have_the_wanted_size(tiny_generator: StyleGAN2) -> None:
    images = FrameRenderer().images(tiny_generator, random_ws(tiny_generator, [1, 2]), size_px=48)
    assert [image.size for image in images] == [(48, 48)] * 2
    assert not torch.is_inference_mode_enabled()
