"""Pictures from latents: right values, right sizes, and the fast path close to the exact one."""

from __future__ import annotations

import copy
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor import rendering
from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.refinement import Refinement
from latent_editor.core.region import Region
from latent_editor.core.values import Direction, Edit, Latent
from latent_editor.editing.edits import edited
from latent_editor.generators import Generator, construction, generator_for, random_latent, random_ws
from latent_editor.generators.pictures import as_rgb, from_rgb, to_image, to_tensor
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.inversion import invert
from latent_editor.networks.perceptual import psnr_db
from latent_editor.rendering import ActivationCache, Renderer, render, render_batch, render_tensor


def test_pixels_are_the_generators(tiny_generator: StyleGAN2) -> None:
    latents = [random_latent(tiny_generator, seed) for seed in (1, 2)]
    ws = torch.stack([latent.ws for latent in latents])
    expected = ((tiny_generator.synthesize(ws).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    for image, pixels in zip(render_batch(tiny_generator, latents, precision="fp32"), expected, strict=True):
        assert np.array_equal(np.asarray(image), pixels.permute(1, 2, 0).numpy())


def test_the_fast_path_is_close_to_float32(portraits: Generator) -> None:
    ws = random_ws(portraits, [1, 2, 3])
    exact = render_tensor(portraits, ws, precision="fp32")
    encoded = torch.stack([invert(portraits, to_image(face), method="encoder").ws for face in exact])
    for some in (ws, encoded, ws[:1], encoded[:1]):  # a picture alone takes another path
        exact = render_tensor(portraits, some, precision="fp32")
        assert psnr_db(render_tensor(portraits, some), exact).min() > 45
        with torch.inference_mode():  # whatever this machine takes for the fastest
            half = portraits.synthesize(some, dtype=torch.bfloat16)
        assert psnr_db(half.clamp(-1, 1), exact).min() > 45


def test_a_picture_survives_the_way_to_a_tensor_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    assert np.array_equal(np.asarray(to_image(to_tensor(Image.fromarray(pixels), 16)[0])), pixels)


def test_render_gives_any_size(tiny_generator: StyleGAN2) -> None:
    latent = random_latent(tiny_generator, 5)
    one = render(tiny_generator, latent)
    assert one.size == (32, 32)
    assert one.mode == "RGB"
    assert render(tiny_generator, latent, size_px=80).size == (80, 80)
    assert render(tiny_generator, latent, size_px=8).size == (8, 8)


def test_grayscale_generators_give_rgb_images() -> None:
    image = to_image(torch.zeros(1, 4, 4))
    assert image.mode == "RGB"
    assert image.getpixel((0, 0)) == (128, 128, 128)


def test_alpha_is_composited_on_gray_or_kept() -> None:
    white = torch.ones(4, 2, 2)
    white[3] = torch.tensor([[-1.0, 0.0], [1.0, 3.0]])  # clear, half, full, beyond
    image = to_image(white)
    assert image.mode == "RGB"
    assert np.asarray(image)[..., 0].tolist() == [[128, 191], [255, 255]]
    kept = to_image(white, alpha=True)
    assert kept.mode == "RGBA"
    assert np.asarray(kept)[..., 3].tolist() == [[0, 128], [255, 255]]
    assert np.asarray(to_image(white[2:]))[..., 2].tolist() == [[128, 191], [255, 255]]  # grayscale with alpha
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


def test_a_tensor_is_refused_since_it_says_nothing_of_a_refinement(tiny_generator: StyleGAN2) -> None:
    ws = random_ws(tiny_generator, [1])
    for what in (ws, ws[0]):
        with pytest.raises(BadLatent, match="g.latent"):
            render(tiny_generator, what)
    with pytest.raises(BadLatent, match="g.latent"):
        render_batch(tiny_generator, ws)


def edits_of(g: StyleGAN2) -> dict[str, list[Edit]]:
    direction = Direction("up", 0.3 * torch.randn(g.num_ws, g.w_dim, generator=torch.Generator().manual_seed(0)))
    half = Region.of(np.eye(2).repeat(8, 0).repeat(8, 1))
    return {"none": [], "a slider": [Edit(direction, 1.0)], "a region": [Edit(direction, 1.0, region=half)]}


def refined_latent(g: StyleGAN2, seed: int) -> Latent:
    noise = torch.Generator().manual_seed(seed)
    features = {8: torch.randn(g.config.channels_at(8), 8, 8, generator=noise)}
    return replace(random_latent(g, seed), refinement=Refinement(features))


@pytest.mark.parametrize("name", ["none", "a slider", "a region"])
def test_a_refined_latent_keeps_its_refinement_through_every_edit(tiny_generator: StyleGAN2, name: str) -> None:
    g, latent, edits = tiny_generator, refined_latent(tiny_generator, 1), edits_of(tiny_generator)[name]
    now = edited(latent, edits)
    drawing = generator_for(g, now)
    expected = to_image(drawing.synthesize(now.ws[None], noise="const", dtype=torch.float32).clamp(-1, 1)[0])
    found = render(g, now, precision="fp32")
    assert found.tobytes() == expected.tobytes()
    plain = render(g, edited(replace(latent, refinement=None), edits), precision="fp32")
    assert np.abs(np.asarray(found, int) - np.asarray(plain, int)).mean() > 1, "the oracle sees a dropped refinement"


def test_a_batch_draws_each_latent_by_its_own_refinement(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    latents = [random_latent(g, 1), refined_latent(g, 2), random_latent(g, 3), refined_latent(g, 4)]
    latents += [edited(latents[1], edits_of(g)["a region"])]
    together = render_batch(g, latents, precision="fp32")
    for image, latent in zip(together, latents, strict=True):
        away = np.abs(np.asarray(image, int) - np.asarray(render(g, latent, precision="fp32"), int))
        assert away.max() <= 1  # a batch may round otherwise


def test_an_unknown_precision_is_refused(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadValue, match="fp32"):
        render(tiny_generator, random_latent(tiny_generator, 1), precision="int4")


def test_a_generator_that_cannot_move_its_pictures_says_so(tiny_generator: StyleGAN2) -> None:
    with pytest.raises(BadValue, match="cannot move"):
        render(tiny_generator, random_latent(tiny_generator, 1), transform=torch.eye(3))


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
@pytest.mark.parametrize("precision", ["auto", "fp32"])
def test_an_edit_of_the_last_layers_renders_the_same(architecture: str, precision: str) -> None:
    kwargs = {"z_dim": 16, "w_dim": 16, "img_resolution": 32, "channel_base": 512, "architecture": architecture}
    g = construction.random("stylegan2", kwargs).eval().requires_grad_(False)
    renderer = Renderer(g)
    ws = random_ws(g, [1, 2])
    first = render_tensor(g, ws, precision=precision)
    for _ in range(2):  # what is kept must not be changed by its use
        assert torch.equal(renderer.render_tensor(ws, precision=precision), first)
        for k in range(g.num_ws):
            moved = ws.clone()
            moved[:, k:] += 0.5
            assert torch.equal(
                renderer.render_tensor(moved, precision=precision), render_tensor(g, moved, precision=precision)
            ), k
            alone = renderer.render_tensor(moved[:1], precision=precision)
            assert torch.allclose(alone, render_tensor(g, moved[:1], precision=precision), atol=2e-2), k


def test_only_the_layers_from_the_edit_on_are_computed(tiny_generator: StyleGAN2) -> None:
    drawn: list[int] = []
    for resolution, _, block in tiny_generator.synthesis.blocks():
        block.register_forward_pre_hook(lambda *_, resolution=resolution: drawn.append(resolution))
    renderer, ws = Renderer(tiny_generator), random_ws(tiny_generator, [3])
    for _ in range(2):  # a picture that is asked for once may be one of thousands
        drawn.clear()
        renderer.render_tensor(ws)
        assert drawn == [4, 8, 16, 32]
    for row, blocks in ((7, [32]), (6, [32]), (5, [16, 32]), (4, [16, 32]), (3, [8, 16, 32]), (0, [4, 8, 16, 32])):
        drawn.clear()
        ws = ws.clone()
        ws[:, row] += 1
        renderer.render_tensor(ws)
        assert drawn == blocks, row
        renderer.render_tensor(ws)


def test_what_is_requested_once_takes_no_memory(tiny_generator: StyleGAN2) -> None:
    cache = ActivationCache()
    renderer = Renderer(tiny_generator, cache=cache)
    for seed in range(8):
        renderer.render_tensor(random_ws(tiny_generator, [seed]))
    assert cache.bytes == 0
    renderer.render_tensor(random_ws(tiny_generator, [5]))
    assert cache.bytes > 0


def test_the_cache_is_bounded(tiny_generator: StyleGAN2) -> None:
    cache = ActivationCache(100_000)
    renderer = Renderer(tiny_generator, cache=cache)
    for seed in range(40):
        ws = random_ws(tiny_generator, [seed])
        for _ in range(2):
            assert torch.equal(renderer.render_tensor(ws), render_tensor(tiny_generator, ws))
        assert 0 < cache.bytes <= 100_000
    assert cache.bytes == sum(size for _, size in cache._items.values())


def test_an_item_that_would_fill_the_cache_is_not_stored(tiny_generator: StyleGAN2) -> None:
    ws = random_ws(tiny_generator, [1])
    everything = ActivationCache()
    for _ in range(2):
        Renderer(tiny_generator, cache=everything).render_tensor(ws)
    sizes = sorted(size for _, size in everything._items.values())
    assert sizes[0] < sizes[-1] // 2
    cache = ActivationCache(2 * sizes[-1] - 1)  # the largest takes more than half of it
    for seed in (1, 2, 3):
        ws = random_ws(tiny_generator, [seed])
        for _ in range(3):
            assert torch.equal(
                Renderer(tiny_generator, cache=cache).render_tensor(ws), render_tensor(tiny_generator, ws)
            )
        held = [size for _, size in cache._items.values()]
        assert held
        assert max(held) < sizes[-1]
    tiny = ActivationCache(sizes[0] - 1)  # not even the smallest fits
    for _ in range(3):
        assert torch.equal(Renderer(tiny_generator, cache=tiny).render_tensor(ws), render_tensor(tiny_generator, ws))
    assert tiny.bytes == 0


def test_only_so_many_requests_are_remembered(tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = len(list(tiny_generator.synthesis.blocks()))
    monkeypatch.setattr(rendering, "MAX_REQUESTED_KEYS", 2 * blocks)
    cache = ActivationCache()
    renderer = Renderer(tiny_generator, cache=cache)
    for seed in (1, 2, 3, 4, 5, 1):  # by its second request the first one is forgotten
        renderer.render_tensor(random_ws(tiny_generator, [seed]))
    assert cache.bytes == 0
    assert len(cache._requested) <= 2 * blocks
    renderer.render_tensor(random_ws(tiny_generator, [1]))
    assert cache.bytes > 0


def test_generators_share_a_cache_and_are_distinguished(tiny_generator: StyleGAN2) -> None:
    other = copy.deepcopy(tiny_generator)
    other.synthesis.b4.const.add_(1.0)
    cache, ws = ActivationCache(), random_ws(tiny_generator, [1])
    for _ in range(2):
        for g in (tiny_generator, other):
            assert torch.equal(Renderer(g, cache=cache).render_tensor(ws), render_tensor(g, ws))
    assert not torch.equal(render_tensor(tiny_generator, ws), render_tensor(other, ws))
    gone = weakref.ref(other)
    del g, other
    gc.collect()
    assert gone() is None  # what is kept of it does not keep the generator


def test_threads_share_a_renderer(tiny_generator: StyleGAN2) -> None:
    renderer = Renderer(tiny_generator, cache=ActivationCache(200_000))  # little, so that things come and go
    all_ws = [random_ws(tiny_generator, [seed]) for seed in range(6)]
    expected = [render_tensor(tiny_generator, ws) for ws in all_ws]

    def drag(seed: int) -> bool:
        same = True
        for i in range(30):
            j = (seed + i) % len(all_ws)
            same &= torch.equal(renderer.render_tensor(all_ws[j]), expected[j])
        return same

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(drag, range(4)))


def test_pictures_in_motion_are_small_and_alike(portraits: Generator) -> None:
    latent = random_latent(portraits, 4)
    whole, moving = (render(portraits, latent, size_px=64, moving=moving) for moving in (False, True))
    assert whole.size == moving.size == (64, 64)
    assert psnr_db(*(to_tensor(image, 64) for image in (whole, moving))).min() > 20
    rest = render(portraits, latent, moving=True)
    assert rest.tobytes() == render(portraits, latent).tobytes()


def test_styles_are_the_same_to_the_bit_whoever_is_drawn_with_them(portraits: Generator) -> None:
    ws = random_ws(portraits, [1, 2, 3, 4])
    together = portraits.synthesize(ws)
    alone = torch.cat([portraits.synthesize(w[None]) for w in ws])
    styles = [affine for _, affine in portraits.synthesis.affines()] if isinstance(portraits, StyleGAN2) else []
    with torch.no_grad():
        for affine in styles:
            assert torch.equal(affine(ws[:, 0]), torch.cat([affine(w[None, 0]) for w in ws]))
    torch.testing.assert_close(together, alone, atol=2e-3, rtol=0)
