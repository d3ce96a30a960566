"""What can be wrong with a picture, against plain code and Pillow."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.degradations import (
    Blurred,
    Chain,
    Compressed,
    Degradation,
    Downsampled,
    Grayscale,
    Masked,
    Noisy,
    degradation_of,
    hidden_from,
    quantization,
)

S = 32


def picture(seed: int = 0, *, size: int = S, channels: int = 3) -> Tensor:
    """Smooth, as photographs are, with some detail: [1, C, S, S]."""
    rng = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, channels, 6, 6, generator=rng)
    smooth = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic")
    return (0.4 * smooth + 0.05 * torch.randn(1, channels, size, size, generator=rng)).clamp(-1, 1)


def as_image(tensor: Tensor) -> Image.Image:
    pixels = ((tensor[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(pixels)


def as_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 127.5 - 1


def hole(size: int = S) -> Tensor:
    hidden = torch.zeros(1, 1, size, size)
    hidden[..., size // 4 : size // 2, size // 4 : 3 * size // 4] = 1
    return hidden


EACH: dict[str, Degradation] = {
    "mask": Masked(hole()),
    "few pixels": Downsampled(4),
    "grayscale": Grayscale(),
    "blur": Blurred(1.5),
    "noise": Noisy(0.2),
    "jpeg": Compressed(20),
    "all": degradation_of(hidden=hole(), scale=2, grayscale=True, blur_px=1.0, jpeg=40),
}


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize("channels", [1, 3])
def test_shape_and_gradient(name: str, channels: int) -> None:
    x = picture(channels=channels).expand(2, -1, -1, -1).clone().requires_grad_(True)
    made = EACH[name](x)
    assert made.shape == x.shape
    made.square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()
    assert float(x.grad.abs().max()) > 0


@pytest.mark.parametrize("name", EACH)
def test_agreeing_brings_another_picture_nearer_and_leaves_the_right_one(name: str) -> None:
    damage, true, other = EACH[name], picture(1), picture(2)
    damaged = damage(true)
    agreed = damage.agree(other, damaged)
    before = (damage(other) - damaged).square().mean()
    assert float((damage(agreed) - damaged).square().mean()) < 0.3 * float(before)
    assert float((agreed - true).square().mean()) < float((other - true).square().mean())
    torch.testing.assert_close(damage.agree(true, damaged), true, atol=2e-3, rtol=0)


def test_a_mask_keeps_known_pixels_exactly_and_hides_the_edge() -> None:
    hidden, true = hole(), picture(1)
    offset = Masked(hidden).agree(true + 0.3, Masked(hidden)(true))
    known = (hidden == 0).expand_as(true)
    assert torch.equal(offset[known], true[known])
    # A render that is brighter throughout is brought down inside too: the seam is gone.
    assert float((offset - true).abs().max()) < 0.03


def test_few_pixels_are_means_of_areas() -> None:
    x = picture()
    small = np.asarray(x).reshape(1, 3, S // 4, 4, S // 4, 4).mean(axis=(3, 5))
    torch.testing.assert_close(Downsampled(4)(x), torch.from_numpy(small.repeat(4, axis=2).repeat(4, axis=3)))


def test_grayscale_matches_pillow() -> None:
    x = as_tensor(as_image(picture()))
    pillow = as_tensor(as_image(x).convert("L").convert("RGB"))
    torch.testing.assert_close(Grayscale()(x), pillow, atol=1.5 / 127.5, rtol=0)


def test_grayscale_keeps_luminance_where_colors_would_leave_the_range() -> None:
    gray = torch.full((1, 3, 1, 1), 0.9)
    colored = Grayscale().agree(torch.tensor([1.0, -1.0, -1.0]).view(1, 3, 1, 1), gray)
    assert float(colored.max()) <= 1 + 1e-6
    torch.testing.assert_close(Grayscale()(colored), gray)


def test_blur_is_what_pillow_makes_of_it() -> None:
    x = as_tensor(as_image(picture(size=64)))
    pillow = as_tensor(as_image(x).filter(ImageFilter.GaussianBlur(2)))
    inside = slice(8, -8)
    difference = (Blurred(2)(x) - pillow)[..., inside, inside]
    assert float(difference.abs().mean()) < 1.5 / 127.5  # Pillow's is made of three boxes


@pytest.mark.parametrize("quality", [5, 20, 50, 90])
def test_jpeg_is_what_pillow_makes_of_it(quality: int) -> None:
    x = as_tensor(as_image(picture(size=64)))
    file = io.BytesIO()
    as_image(x).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    pillow = as_tensor(Image.open(file))
    ours = Compressed(quality)(x).clamp(-1, 1)
    apart, lost = (ours - pillow).square().mean(), (x - pillow).square().mean()
    assert float(apart) < max(0.15 * float(lost), (2.5 / 127.5) ** 2)


@pytest.mark.parametrize("quality", [1, 10, 50, 75, 95])
def test_quantization_tables_are_those_in_pillows_files(quality: int) -> None:
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "JPEG", quality=quality)
    tables = Image.open(file).quantization  # type: ignore[attr-defined]
    for i, chroma in enumerate((False, True)):
        assert quantization(quality, chroma=chroma).flatten().int().tolist() == list(tables[i])


def test_noise_is_averaged_out() -> None:
    true = torch.zeros(1, 3, 64, 64)
    grainy = true + 0.3 * torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    assert float(Noisy(0.3).agree(true, grainy).std()) < 0.03


def test_a_chain_is_its_links_in_order() -> None:
    x, links = picture(), (Grayscale(), Blurred(1.0), Downsampled(2))
    torch.testing.assert_close(Chain(links)(x), links[2](links[1](links[0](x))))


def test_gradients_agree_with_differences() -> None:
    x = picture(size=16).double().requires_grad_(True)
    smooth = Chain((Grayscale(), Blurred(1.0), Downsampled(2), Masked(hole(16))))
    assert torch.autograd.gradcheck(lambda t: smooth(t).square().sum(), x, atol=1e-4, nondet_tol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 1000}, {"scale": 1}, {"scale": math.nan}, {"scale": -2}, {"blur_px": 0}, {"blur_px": math.inf},
        {"blur_px": math.nan}, {"noise": -1}, {"noise": math.nan}, {"jpeg": 0}, {"jpeg": 101}, {"jpeg": math.nan}, {},
        {"hidden": torch.ones(1, 1, S, S)}, {"hidden": torch.full((1, 1, S, S), math.nan)},
        {"hidden": torch.zeros(S, S)}, {"hidden": torch.zeros(1, 1, 0, 0)}, {"hidden": 2 * hole()},
    ],
)  # fmt: skip
def test_hostile_values_are_refused(wrong: dict) -> None:
    with pytest.raises(BadValue, match="expected"):
        degradation_of(**wrong)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(BadValue, match="expected the same size"):
        Masked(hole(16))(picture())


def test_masks_from_numbers() -> None:
    assert hidden_from([[0, 255], [100, 200]]).flatten().tolist() == [0, 1, 0, 1]
    assert hidden_from(np.array([[True, False]])).flatten().tolist() == [1, 0]
    with pytest.raises(BadValue, match="height × width"):
        hidden_from(np.zeros((2, 2, 3)))
