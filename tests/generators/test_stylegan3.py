"""StyleGAN3: the golden, filters and layers against their definitions, moving and turning, precision, bad input."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import firwin
from scipy.special import j1
from torch import Tensor

from latent_editor.core.errors import BadModel, BadValue
from latent_editor.generators import construction
from latent_editor.generators.base import transform_matrix
from latent_editor.generators.stylegan3 import StyleGAN3, StyleGAN3Config
from latent_editor.generators.stylegan3_filters import jinc, low_pass

SMALL = {
    "z_dim": 16, "w_dim": 16, "img_resolution": 32, "channel_base": 512, "channel_max": 16, "num_layers": 6,
    "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip
R = {"conv_kernel": 1, "use_radial_filters": True}


class Golden:
    """The golden file, and the generator that it describes."""

    def __init__(self, path: Path) -> None:
        self.data = np.load(path)
        self.meta = json.loads(bytes(self.data["meta"]))
        self.state = {n.removeprefix("state/"): self[n] for n in self.data.files if n.startswith("state/")}
        self.g = StyleGAN3(StyleGAN3Config.from_init_kwargs(self.meta["init_kwargs"])).eval().requires_grad_(False)
        self.designed = {name: t.clone() for name, t in self.g.state_dict().items() if name.endswith("_filter")}
        self.g.load_state_dict(self.state)

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.data[name]))

    def check(self, got: Tensor, name: str) -> None:
        want = self[name]
        assert got.shape == want.shape
        assert (got - want).abs().max() <= 1e-5 * want.abs().max(), name


@pytest.fixture(scope="module")
def golden(shared_folder: Path) -> Golden:
    return Golden(shared_folder / "goldens" / "stylegan3_t_32.npz")


def small(**kwargs: Any) -> StyleGAN3:
    g = construction.random("stylegan3", {**SMALL, **kwargs}, seed=0)
    assert isinstance(g, StyleGAN3)
    return g


@pytest.fixture
def turning() -> StyleGAN3:
    """A random network of configuration R whose w turns and moves the input."""
    g = small(**R)
    g.synthesis.input.affine.weight.normal_(std=0.5, generator=torch.Generator().manual_seed(0))
    return g


def latents(g: StyleGAN3, count: int = 1) -> Tensor:
    return g.map(torch.randn(count, g.z_dim, generator=torch.Generator().manual_seed(1)))


def psnr_db(a: Tensor, b: Tensor) -> float:
    """For pictures from −1 to 1."""
    return float(-10 * torch.log10((a - b).square().mean() / 4))


# The golden.


def test_mapping_equals_the_golden(golden: Golden) -> None:
    golden.check(golden.g.map(golden["in/z"]), "out/ws")
    golden.check(golden.g.map(golden["in/z"], truncation_psi=0.7), "out/ws_psi0.7")
    golden.check(golden.g.map(golden["in/z"], truncation_psi=0.5, truncation_cutoff=4), "out/ws_psi0.5_cutoff4")


def test_pictures_equal_the_golden(golden: Golden) -> None:
    ws = golden["out/ws"]
    for noise in ("const", "none", "random"):
        golden.check(golden.g.synthesize(ws, noise=noise), "out/image")
    golden.check(golden.g(golden["in/z"]), "out/image")
    golden.check(golden.g.synthesize(ws, transform=torch.eye(3)), "out/image")


def test_designed_filters_equal_the_golden(golden: Golden) -> None:
    assert len(golden.designed) == 12
    for name, taps in golden.designed.items():
        assert torch.allclose(taps, golden.state[name], rtol=0, atol=1e-7), name


def test_the_shape_is_public(golden: Golden) -> None:
    kwargs, g = golden.meta["init_kwargs"], golden.g
    assert (g.size_px, g.channels, g.c_dim) == (kwargs["img_resolution"], kwargs["img_channels"], kwargs["c_dim"])
    assert (g.z_dim, g.w_dim, g.num_ws) == (kwargs["z_dim"], kwargs["w_dim"], golden.meta["num_ws"])
    assert g.has_transform


def test_filters_may_be_missing_from_a_state(golden: Golden) -> None:
    rest = {name: t for name, t in golden.state.items() if not name.endswith("_filter")}
    g = construction.build("stylegan3", golden.meta["init_kwargs"], rest)
    golden.check(g.synthesize(golden["out/ws"]), "out/image")


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
    layers = small(**R).synthesis.layers
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
    g = small(**kwargs)
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


# Moving and turning.


@pytest.mark.parametrize(("right", "down"), [(3, 0), (0, 4), (-5, 2)])
def test_the_content_moves_by_whole_pixels(golden: Golden, right: int, down: int) -> None:
    ws, size = golden["out/ws"][:1], golden.g.size_px
    still = golden.g.synthesize(ws)
    moved = golden.g.synthesize(ws, transform=transform_matrix((right / size, down / size)))
    back = moved.roll((-down, -right), dims=(2, 3))
    inside = slice(6, -6)
    still, back = still[:, :, inside, inside], back[:, :, inside, inside]
    assert (back - still).square().mean() < 1e-3 * still.var()


def test_r_turns_exactly_by_right_angles(turning: StyleGAN3) -> None:
    ws = latents(turning)
    still = turning.synthesize(ws)
    for quarters in (1, 2, 3):
        turned = turning.synthesize(ws, transform=transform_matrix(angle_deg=90 * quarters))
        want = torch.rot90(still, quarters, dims=(2, 3))  # counter-clockwise
        assert (turned - want).abs().max() < 1e-3 * want.abs().max(), quarters


def test_r_turns_by_any_angle(turning: StyleGAN3) -> None:
    ws, angle = latents(turning), 30
    still = turning.synthesize(ws)
    turned = turning.synthesize(ws, transform=transform_matrix(angle_deg=angle))
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    grid = F.affine_grid(torch.tensor([[[cos, -sin, 0], [sin, cos, 0]]]), still.shape, align_corners=False)
    want = F.grid_sample(still, grid, mode="bicubic", align_corners=False)
    inside = slice(8, -8)
    still, turned, want = (x[:, :, inside, inside] for x in (still, turned, want))
    assert (turned - want).square().mean() < 0.02 * (still - want).square().mean()


def test_w_turns_and_moves_like_the_transform(turning: StyleGAN3) -> None:
    """The input's affine layer gives (cos, sin, x, y): first the picture is turned, then moved, as the paper says."""
    ws, layer = latents(turning), turning.synthesis.input.affine
    cos, sin, x, y = 0.6, 0.8, 0.1, -0.2
    layer.weight.zero_()
    layer.bias.copy_(torch.tensor([1.0, 0, 0, 0]))
    rows = torch.tensor([[cos, -sin, sin * y - cos * x], [sin, cos, -sin * x - cos * y], [0, 0, 1]])
    want = turning.synthesize(ws, transform=rows)
    layer.bias.copy_(torch.tensor([cos, sin, x, y]) * 3)  # of any length
    assert torch.allclose(turning.synthesize(ws), want, atol=1e-5)


def test_each_picture_has_its_own_transform(golden: Golden) -> None:
    ws = golden["out/ws"]
    both = torch.stack([transform_matrix((0.1, 0)), transform_matrix(angle_deg=20)])
    together = golden.g.synthesize(ws, transform=both)
    for i in range(2):
        assert torch.allclose(golden.g.synthesize(ws[i : i + 1], transform=both[i])[0], together[i], atol=1e-5)


def test_shifts_are_in_picture_widths_for_any_size() -> None:
    g = small(img_resolution=48)
    ws = latents(g)
    still, moved = g.synthesize(ws), g.synthesize(ws, transform=transform_matrix((12 / 48, 0)))
    inside = slice(8, -20)
    difference = moved.roll(-12, dims=3)[..., 8:-8, inside] - still[..., 8:-8, inside]
    assert difference.square().mean() < 1e-2 * still.var()


def test_a_transform_matrix_undoes_what_it_shows() -> None:
    turn_then_move = transform_matrix((0.25, -0.5), 90)
    # What is seen a quarter to the right and half up of the centre is the centre of the content.
    assert torch.allclose(turn_then_move @ torch.tensor([0.25, -0.5, 1.0]), torch.tensor([0.0, 0, 1]), atol=1e-6)
    # The content's right is seen above it.
    assert torch.allclose(turn_then_move @ torch.tensor([0.25, -0.6, 1.0]), torch.tensor([0.1, 0, 1]), atol=1e-6)
    assert torch.equal(transform_matrix(), torch.eye(3))
    with pytest.raises(BadValue, match="finite"):
        transform_matrix((math.nan, 0))


# Latents, gradients, precision.


def test_each_w_acts_on_its_layer(turning: StyleGAN3) -> None:
    ws = latents(turning)
    image = turning.synthesize(ws)
    for layer in range(turning.num_ws):
        moved = ws.clone()
        moved[:, layer] += 1
        assert not torch.allclose(turning.synthesize(moved), image), layer


def test_the_order_of_a_batch_does_not_matter(turning: StyleGAN3) -> None:
    ws = latents(turning, 3)
    together = turning.synthesize(ws)
    for i in range(3):
        assert torch.allclose(turning.synthesize(ws[i : i + 1])[0], together[i], atol=1e-5)


def test_gradients_reach_the_latent_and_the_transform(turning: StyleGAN3) -> None:
    generator = torch.Generator().manual_seed(0)
    ws, towards = latents(turning), torch.randn(1, turning.num_ws, 16, generator=generator)
    transform, way = transform_matrix((0.1, 0.05), 10), torch.zeros(3, 3)
    way[0, 2] = 1
    weight = torch.randn(1, 3, 32, 32, generator=generator)
    inputs = ws.clone().requires_grad_(True), transform.clone().requires_grad_(True)
    slopes = torch.autograd.grad((turning.synthesize(inputs[0], transform=inputs[1]) * weight).sum(), inputs)
    assert all((slope.abs().sum(dim=-1) > 0).all() for slope in slopes[0])
    for slope, step, of_ws, of_transform in ((slopes[0], towards, 1, 0), (slopes[1], way, 0, 1)):
        ahead, behind = (
            turning.synthesize(ws + s * of_ws * towards, transform=transform + s * of_transform * way)
            for s in (1e-3, -1e-3)
        )
        measured = ((ahead - behind).double() * weight).sum() / 2e-3
        assert (slope * step).sum() == pytest.approx(measured.item(), rel=0.02)


@pytest.mark.parametrize("kwargs", [{}, R], ids=["T", "R"])
def test_bf16_stays_close(kwargs: dict) -> None:
    g = small(**kwargs)
    ws = latents(g, 2)
    exact, half = g.synthesize(ws), g.synthesize(ws, dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    assert psnr_db(half, exact) > 40
    assert (half - exact).square().mean() < 1e-3 * exact.square().mean()


def test_activations_are_pictures_without_margins(golden: Golden) -> None:
    g, ws = golden.g, golden["out/ws"]
    assert g.activation_sizes == [16, 32]
    layer = g.synthesis.layers[-1]
    last = g.activations(ws, 32)
    assert torch.allclose(layer(last, ws[:, -1]) * g.config.output_scale, golden["out/image"], atol=1e-6)
    moved = g.synthesis.config.activation_layers[16]
    assert g.activations(ws, 16).shape == (2, g.config.layers[moved].outputs, 16, 16)
    with pytest.raises(ValueError, match=r"20.*\[16, 32\]"):
        g.activations(ws, 20)


# Bad input.


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


def test_wrong_arguments_are_named(golden: Golden) -> None:
    ws = golden["out/ws"]
    with pytest.raises(ValueError, match="'fixed'.*const, none, random"):
        golden.g.synthesize(ws, noise="fixed")
    for wrong in (ws[0], ws[:, :-1], ws[:, :, :-1]):
        with pytest.raises(ValueError, match=r"expected \[N, 8, 32\]"):
            golden.g.synthesize(wrong)
    with pytest.raises(ValueError, match=r"\[2, 3\]; expected \[3, 3\]"):
        golden.g.synthesize(ws, transform=torch.eye(3)[:2])
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        small(c_dim=3).map(torch.randn(1, 16))
