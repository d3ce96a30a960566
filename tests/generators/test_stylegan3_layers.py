"""StyleGAN3: filters and layers against their definitions, configurations."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from scipy.signal import firwin
from scipy.special import j1
from support.small_stylegan3 import R, small_stylegan3

from latent_editor.core.errors import BadModel
from latent_editor.generators.stylegan3 import StyleGAN3Config
from latent_editor.generators.stylegan3_filters import jinc, low_pass

# Filters and layers.


@pytest.mark.parametrize(
    ("taps", "cutoff", "width", "rate"), [(12, 2.0, 8.57, 64), (24, 9.0, 14.0, 256), (12, 16, 6, 64)]
)
def test_filters_are_designed_by_the_window_method(taps: int, cutoff: float, width: float, rate: float) -> None:
    got = low_pass(taps, cutoff=cutoff, width=width, rate=rate)
    assert np.allclose(got, firwin(taps, cutoff, width=width, fs=rate), atol=1e-7)


def test_jinc_is_the_transform_of_a_disc() -> None:
    r = np.linspace(0, 1, 30)
    want = np.where(r > 0, j1(2 * math.pi * 3 * r) / (math.pi * np.where(r > 0, r, 1)), 3)
    assert np.allclose(jinc(r, 3.0), want)


@pytest.mark.parametrize("radial", [False, True])
def test_filters_pass_what_they_should(radial: bool) -> None:
    # The critically sampled end of a network is left out: 12 taps are few for its narrow band.
    config = StyleGAN3Config(img_resolution=256, **R)
    ratios = []
    for layer in config.layers[4:10]:
        f = low_pass(
            layer.down_taps,
            cutoff=layer.out_cutoff,
            width=2 * layer.out_half_width,
            rate=layer.fine_rate,
            radial=radial,
        )
        f = f if radial else f.outer(f)
        response = torch.fft.fft2(f, s=(512, 512)).abs()  # bin b is b · rate / 512 cycles per picture
        hertz = torch.fft.fftfreq(512, 1 / layer.fine_rate)
        along, diagonal = response[0, :256], response.diagonal()[:256]
        stop = layer.out_cutoff + layer.out_half_width
        assert along[0] == pytest.approx(1)
        assert float(along[hertz[:256] > stop].max()) < 0.03
        at_half = hertz[:256][along < 0.5][0]
        assert at_half == pytest.approx(layer.out_cutoff, abs=0.3 * layer.out_half_width)
        # A disc has its edge as far out along the diagonal; a square √2 times as far.
        ratios.append(float(hertz[:256][diagonal < 0.5][0] * math.sqrt(2) / at_half))
    assert ratios == pytest.approx([1] * 6, abs=0.05) if radial else max(ratios) > 1.15, ratios


def test_radial_filters_are_symmetric() -> None:
    f = low_pass(12, cutoff=4.0, width=6.0, rate=32.0, radial=True)
    assert f.sum() == pytest.approx(1)
    for same in (f.t(), f.flip(0), f.flip(1)):
        assert torch.allclose(f, same, atol=1e-8)


def test_public_checkpoints_have_these_layers() -> None:
    # Names of tensors in the published networks of 1024 pixels.
    sizes = (36, 36, 52, 52, 84, 148, 148, 276, 276, 532, 1044, 1044, 1044, 1024, 1024)
    channels = (512, 512, 512, 512, 512, 512, 512, 323, 203, 128, 81, 51, 32, 32, 3)
    names = [f"L{i}_{s}_{c}" for i, (s, c) in enumerate(zip(sizes, channels, strict=True))]
    config = StyleGAN3Config(img_resolution=1024)
    assert [layer.name for layer in config.layers] == names
    assert config.num_ws == 16
    twice = StyleGAN3Config(img_resolution=1024, channel_base=65536, channel_max=1024, **R)
    assert [layer.name for layer in twice.layers][7:9] == ["L7_276_645", "L8_276_406"]


@pytest.mark.parametrize(
    "kwargs", [{}, R, {"num_critical": 0}, {"filter_size": 4}, {"lrelu_upsampling": 4, "conv_kernel": 5}]
)
def test_layers_fit_together(kwargs: dict) -> None:
    for size in (16, 32, 48, 128, 256):
        config = StyleGAN3Config(img_resolution=size, num_layers=8, **kwargs)
        for before, layer in zip(config.layers, config.layers[1:], strict=False):
            assert (layer.in_size, layer.in_rate, layer.inputs) == (before.out_size, before.out_rate, before.outputs)
        for layer in config.layers:
            assert layer.fine_rate == layer.up * layer.in_rate == layer.down * layer.out_rate
            fine = (layer.in_size + layer.kernel - 1) * layer.up + sum(layer.padding) - layer.up_taps + 1
            assert (fine - layer.down_taps) // layer.down + 1 == layer.out_size


def test_only_critical_layers_of_r_have_separable_downsampling() -> None:
    layers = small_stylegan3(**R).synthesis.layers
    assert [layer.down_filter.ndim for layer in layers if layer.down_filter is not None] == [2, 2, 2, 2, 1, 1]
    assert {layer.up_filter.ndim for layer in layers if layer.up_filter is not None} == {1}
    assert layers[-1].up_filter is layers[-1].down_filter is None


@pytest.mark.parametrize(
    "kwargs",
    [
        {"c_dim": 3}, {"img_channels": 1}, {"img_channels": 4, "conv_clamp": None}, {"img_resolution": 64}, R,
        {"num_layers": 9, "num_critical": 3}, {"img_resolution": 48}, {"margin_size": 0}, {"first_cutoff": 1.5},
        {"img_resolution": 16}, {"mapping_kwargs": {"num_layers": 0}},
    ],
    ids=str,
)  # fmt: skip
def test_other_configurations_render(kwargs: dict) -> None:
    g = small_stylegan3(**kwargs)
    c = torch.eye(3)[:2] if g.c_dim else None
    ws = g.map(torch.randn(2, g.z_dim, generator=torch.Generator().manual_seed(0)), c)
    image = g.synthesize(ws)
    assert ws.shape == (2, g.num_ws, g.w_dim)
    assert image.shape == (2, g.channels, g.size_px, g.size_px)
    assert image.is_contiguous()
    assert image.isfinite().all()
    assert not torch.allclose(image[0], image[1])
    for size in g.activation_sizes:
        assert g.activations(ws, size).shape[2:] == (size, size)
    assert StyleGAN3Config.from_init_kwargs(json.loads(json.dumps(g.config.to_init_kwargs()))) == g.config


# Configurations.


@pytest.mark.parametrize("nested", [True, False])
def test_the_configuration_is_read_flat_and_nested(nested: bool) -> None:
    synthesis = {"channel_base": 256, "num_layers": 6, "conv_clamp": None, "num_fp16_res": 4, "magnitude_ema_beta": 0.5}
    kwargs = {"z_dim": 8, "w_dim": 8, "img_resolution": 16, "mapping_kwargs": {"num_layers": 3, "lr_multiplier": 0.1}}
    config = StyleGAN3Config.from_init_kwargs({**kwargs, **({"synthesis_kwargs": synthesis} if nested else synthesis)})
    assert (config.channel_base, config.num_layers, config.conv_clamp) == (256, 6, None)
    assert (config.mapping_layers, config.mapping_lr_multiplier) == (3, 0.1)
    assert StyleGAN3Config.from_init_kwargs(config.to_init_kwargs()) == config


@pytest.mark.parametrize(
    "kwargs",
    [
        {"img_resolution": 1 << 40}, {"img_resolution": 0}, {"num_layers": 10**9}, {"num_layers": 2, "num_critical": 2},
        {"channel_base": math.nan}, {"channel_max": "512"}, {"first_cutoff": -1}, {"first_cutoff": math.inf},
        {"first_stopband": 1e300}, {"last_stopband_rel": 0}, {"margin_size": 10**6}, {"filter_size": 10**6},
        {"filter_size": 64, "lrelu_upsampling": 8}, {"lrelu_upsampling": 0}, {"conv_kernel": 0}, {"conv_clamp": 0},
        {"output_scale": None}, {"use_radial_filters": "yes"}, {"w_dim": 3.5}, {"c_dim": -1}, {"z_dim": [512]},
        {"mapping_kwargs": {"num_layers": -1}}, {"mapping_kwargs": 3}, {"synthesis_kwargs": "x"}, {"stylemap": 2},
        {"channel_base": 1}, {"first_cutoff": 100.0}, {"mapping_kwargs": {"attention": 8}},
    ],
    ids=str,
)  # fmt: skip
def test_absurd_configurations_are_refused(kwargs: dict) -> None:
    with pytest.raises(BadModel) as caught:
        StyleGAN3Config.from_init_kwargs(kwargs)
    assert len(str(caught.value)) < 500
