"""StyleGAN2: goldens of the reference implementation, conditions, noise, precision, wrong arguments."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadModel
from latent_editor.generators.layers import linear_map
from latent_editor.generators.modulation import _phases, _upsample_in_phases
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config

GOLDENS = ["stylegan2_skip_32", "stylegan2_cond_64"]


class Golden:
    """One golden file, and the generator that it describes."""

    def __init__(self, path: Path) -> None:
        self.data = np.load(path)
        self.meta = json.loads(bytes(self.data["meta"]))
        self.g = StyleGAN2(StyleGAN2Config.from_init_kwargs(self.meta["init_kwargs"])).eval().requires_grad_(False)
        names = [name for name in self.data.files if name.startswith("state/") and not name.endswith("resample_filter")]
        self.g.load_state_dict({name.removeprefix("state/"): self[name] for name in names})
        self.z = self["in/z"]
        self.c = self["in/c"] if "in/c" in self.data.files else None

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self.data[name]))

    def check(self, got: Tensor, name: str) -> None:
        want = self[name]
        assert got.shape == want.shape
        assert (got - want).abs().max() <= 1e-5 * want.abs().max(), name


@pytest.fixture(params=GOLDENS)
def golden(request: pytest.FixtureRequest, shared_folder: Path) -> Golden:
    return Golden(shared_folder / "goldens" / f"{request.param}.npz")


def test_mapping_equals_the_golden(golden: Golden) -> None:
    golden.check(golden.g.map(golden.z, golden.c), "out/ws")
    golden.check(golden.g.map(golden.z, golden.c, truncation_psi=0.7), "out/ws_psi0.7")
    golden.check(golden.g.map(golden.z, golden.c, truncation_psi=0.5, truncation_cutoff=4), "out/ws_psi0.5_cutoff4")


def test_pictures_equal_the_golden(golden: Golden) -> None:
    ws = golden["out/ws"]
    golden.check(golden.g.synthesize(ws), "out/image")
    golden.check(golden.g.synthesize(ws, noise="none"), "out/image_noise_none")
    golden.check(golden.g(golden.z, golden.c), "out/image")


def test_the_shape_is_public(golden: Golden) -> None:
    kwargs, g = golden.meta["init_kwargs"], golden.g
    assert (g.size_px, g.channels, g.c_dim) == (kwargs["img_resolution"], kwargs["img_channels"], kwargs["c_dim"])
    assert (g.z_dim, g.w_dim, g.num_ws) == (kwargs["z_dim"], kwargs["w_dim"], golden.meta["num_ws"])


def test_the_order_of_a_batch_does_not_matter(tiny_generator: StyleGAN2) -> None:
    ws = tiny_generator.map(torch.randn(3, 32))
    together = tiny_generator.synthesize(ws)
    for i in range(3):
        assert torch.allclose(tiny_generator.synthesize(ws[i : i + 1])[0], together[i], atol=1e-5)


def test_each_w_acts_on_its_layer_only(tiny_generator: StyleGAN2) -> None:
    ws = tiny_generator.map(torch.randn(1, 32))
    image = tiny_generator.synthesize(ws)
    for layer in range(tiny_generator.num_ws):
        moved = ws.clone()
        moved[:, layer] += 1
        assert not torch.allclose(tiny_generator.synthesize(moved), image), layer


def test_noise_modes(tiny_generator: StyleGAN2) -> None:
    ws = tiny_generator.map(torch.randn(1, 32))
    for name, parameter in tiny_generator.named_parameters():
        if name.endswith("noise_strength"):
            parameter.fill_(0.5)
    const, none = tiny_generator.synthesize(ws), tiny_generator.synthesize(ws, noise="none")
    assert torch.equal(const, tiny_generator.synthesize(ws, noise="const"))
    assert not torch.allclose(const, none)
    torch.manual_seed(1)
    first, second = (tiny_generator.synthesize(ws, noise="random") for _ in range(2))
    assert not torch.allclose(first, second)


def test_bf16_stays_close(tiny_generator: StyleGAN2) -> None:
    ws = tiny_generator.map(torch.randn(2, 32))
    exact, half = tiny_generator.synthesize(ws), tiny_generator.synthesize(ws, dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    assert (half - exact).square().mean() < 1e-3 * exact.square().mean()


def test_pictures_come_in_the_usual_layout(tiny_generator: StyleGAN2) -> None:
    image = tiny_generator.synthesize(tiny_generator.map(torch.randn(2, 32)))
    assert image.shape == (2, 3, 32, 32)
    assert image.is_contiguous()
    assert torch.isfinite(image).all()


def test_gradients_reach_the_latent(tiny_generator: StyleGAN2) -> None:
    generator = torch.Generator().manual_seed(0)
    ws, towards = (torch.randn(1, tiny_generator.num_ws, 32, generator=generator) for _ in range(2))
    weight = torch.randn(1, 3, 32, 32, generator=generator)
    ws.requires_grad_(True)
    (slope,) = torch.autograd.grad((tiny_generator.synthesize(ws) * weight).sum(), ws)
    with torch.no_grad():
        ahead, behind = (tiny_generator.synthesize(ws + sign * 1e-2 * towards) for sign in (1, -1))
    measured = ((ahead - behind) * weight).sum() / 2e-2
    assert (slope * towards).sum() == pytest.approx(measured.item(), rel=0.02)


def test_truncation_pulls_towards_the_mean(tiny_generator: StyleGAN2) -> None:
    z = torch.randn(2, 32)
    tiny_generator.mapping.w_avg.copy_(torch.randn(32))
    full, half, none = (tiny_generator.map(z, truncation_psi=psi) for psi in (1, 0.5, 0))
    mean = tiny_generator.w_avg.expand_as(full)
    assert torch.allclose(none, mean, atol=1e-6)
    assert torch.allclose(half, (full + mean) / 2, atol=1e-5)
    cut = tiny_generator.map(z, truncation_psi=0, truncation_cutoff=3)
    assert torch.allclose(cut[:, :3], mean[:, :3], atol=1e-6)
    assert torch.equal(cut[:, 3:], full[:, 3:])


@pytest.mark.parametrize("nested", [True, False])
def test_the_configuration_is_read_flat_and_nested(nested: bool) -> None:
    synthesis = {"channel_base": 256, "channel_max": 16, "conv_clamp": 256, "num_fp16_res": 4}
    kwargs = {"z_dim": 8, "w_dim": 8, "img_resolution": 16, "mapping_kwargs": {"num_layers": 2, "lr_multiplier": 0.1}}
    config = StyleGAN2Config.from_init_kwargs({**kwargs, **({"synthesis_kwargs": synthesis} if nested else synthesis)})
    assert (config.channel_base, config.conv_clamp, config.mapping_layers) == (256, 256, 2)
    assert config.mapping_lr_multiplier == 0.1
    assert StyleGAN2Config.from_init_kwargs(config.to_init_kwargs()) == config


def test_a_configuration_of_every_field_survives_its_arguments() -> None:
    config = StyleGAN2Config(
        z_dim=5, c_dim=2, w_dim=6, img_resolution=16, img_channels=4, channel_base=64, channel_max=8, mapping_layers=3,
        mapping_lr_multiplier=0.5, conv_clamp=7.5, resample_filter=((1, 2), (3, 4)), architecture="resnet",
        mapping_last_act="linear", mapping_activation="relu", mapping_embed_features=3, mapping_layer_features=4,
        use_noise=False, activation="swish", kernel_size=5, channels=(9, 7, 5), mapping_joint_norm=True,
    )  # fmt: skip
    assert StyleGAN2Config.from_init_kwargs(json.loads(json.dumps(config.to_init_kwargs()))) == config


def test_the_clamp_follows_the_version_where_it_is_not_told() -> None:
    # stylegan3's StyleGAN2, whose options are flat, clamps at 256 by default; stylegan2-ada-pytorch does not clamp.
    assert StyleGAN2Config.from_init_kwargs({"img_resolution": 8}).conv_clamp == 256
    assert StyleGAN2Config.from_init_kwargs({"img_resolution": 8, "conv_clamp": None}).conv_clamp is None
    assert StyleGAN2Config.from_init_kwargs({"img_resolution": 8, "synthesis_kwargs": {}}).conv_clamp is None


def test_what_does_not_concern_the_pictures_is_passed_over() -> None:
    synthesis = {"num_fp16_res": 4, "fp16_channels_last": True, "fused_modconv_default": "inference_only"}
    kwargs = {**synthesis, "mapping_kwargs": {"w_avg_beta": 0.99, "num_layers": np.int64(2)}, "w_dim": np.float64(64)}
    config = StyleGAN2Config.from_init_kwargs(kwargs)
    assert (config.mapping_layers, config.w_dim) == (2, 64)
    assert type(config.w_dim) is int


@pytest.mark.parametrize("size", [2, 48, 0, -8, 4096, 1 << 40])
def test_sizes_that_cannot_be_are_refused(size: int) -> None:
    with pytest.raises(BadModel, match=f"{size} pixels.*power of two|img_resolution = {size};"):
        StyleGAN2Config(img_resolution=size)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"architecture": "unet"}, "architecture = 'unet'; expected one of skip, resnet, orig"),
        ({"w_dim": 10**300}, "w_dim = a number of 997 bits"),
        ({"z_dim": 0}, "z_dim = 0; expected an integer from 1"),
        ({"z_dim": "512"}, "z_dim = '512'"),
        ({"w_dim": True}, "w_dim = True"),
        ({"w_dim": 0.5}, "w_dim = 0.5"),
        ({"c_dim": -1}, "c_dim = -1"),
        ({"img_channels": float("nan")}, "img_channels = nan"),
        ({"channel_base": 4}, "channel_base = 4"),
        ({"channel_base": 1 << 24, "channel_max": 1 << 24}, "4194304 channels"),
        ({"conv_clamp": -1}, "conv_clamp = -1"),
        ({"activation": ["lrelu"]}, r"activation = \['lrelu'\]"),
        ({"kernel_size": 2}, "kernel_size = 2"),
        ({"use_noise": "yes"}, "use_noise = 'yes'; expected true or false"),
        ({"resample_filter": [1, -1]}, "resample_filter"),
        ({"resample_filter": [[1, 2], [3]]}, "resample_filter"),
        ({"resample_filter": "1331"}, "resample_filter"),
        ({"resample_filter": [1] * 1000}, "resample_filter"),
        ({"resample_filter": [float("inf")]}, "resample_filter"),
        ({"mapping_kwargs": {"num_layers": 10**9}}, "num_layers = 1000000000"),
        ({"mapping_kwargs": {"lr_multiplier": 0}}, "lr_multiplier = 0"),
        ({"mapping_kwargs": [1]}, r"mapping_kwargs = \[1\]; expected arguments by name"),
        ({"mapping_kwargs": {"rank": 3}}, "its mapping network the argument 'rank' = 3"),
        ({"style_mixing": 0.9}, "a StyleGAN2 the argument 'style_mixing' = 0.9"),
    ],
)
def test_arguments_that_cannot_be_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(BadModel, match=message):
        StyleGAN2Config.from_init_kwargs(arguments)


def test_a_mapping_without_layers_keeps_the_length() -> None:
    with pytest.raises(BadModel, match="z_dim = w_dim, got 8 and 16"):
        StyleGAN2(StyleGAN2Config(z_dim=8, w_dim=16, img_resolution=8, mapping_layers=0))


def test_wrong_arguments_are_named(tiny_generator: StyleGAN2) -> None:
    ws = tiny_generator.map(torch.randn(1, 32))
    with pytest.raises(ValueError, match="'fixed'.*const, none, random"):
        tiny_generator.synthesize(ws, noise="fixed")
    for wrong in (ws[0], ws[:, :-1], ws[:, :, :-1]):
        with pytest.raises(ValueError, match=r"expected \[N, 8, 32\]"):
            tiny_generator.synthesize(wrong)


def test_a_conditional_generator_wants_its_class() -> None:
    config = StyleGAN2Config(z_dim=8, c_dim=3, w_dim=8, img_resolution=8, channel_base=64, channel_max=8)
    g = StyleGAN2(config)
    with pytest.raises(ValueError, match=r"\[N, 3\]"):
        g.map(torch.randn(1, 8))
    assert not torch.allclose(*(g.map(torch.ones(1, 8), torch.eye(3)[i : i + 1]) for i in range(2)))


def _half(g: StyleGAN2, ws: Tensor) -> Tensor:
    with torch.no_grad():
        return g.synthesize(ws, dtype=torch.bfloat16)


def test_what_is_prepared_follows_the_weights(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    ws = g.map(torch.randn(1, 32)).detach()
    before = _half(g, ws)
    assert torch.equal(_half(g, ws), before)
    changes = {
        "in place": lambda: [p.detach().mul_(1.5) for n, p in g.synthesis.named_parameters() if "affine" not in n],
        "loaded": lambda: g.load_state_dict({k: v * 0.7 for k, v in g.state_dict().items()}),
        "replaced": lambda: g.load_state_dict({k: v * 1.2 for k, v in g.state_dict().items()}, assign=True),
        "rounded": lambda: g.half().float(),
    }
    for name, change in changes.items():
        change()
        fresh = StyleGAN2(g.config).eval().requires_grad_(False)
        fresh.load_state_dict(g.state_dict())
        after = _half(g, ws)
        assert torch.equal(after, _half(fresh, ws)), name
        assert not torch.equal(after, before), name
        before = after


def test_copies_begin_without_what_is_prepared(tiny_generator: StyleGAN2) -> None:
    ws = tiny_generator.map(torch.randn(1, 32)).detach()
    picture = _half(tiny_generator, ws)
    synthesis = tiny_generator.synthesis
    for copied in (copy.deepcopy(synthesis), pickle.loads(pickle.dumps(synthesis))):
        other = StyleGAN2(tiny_generator.config)
        other.synthesis = copied
        assert torch.equal(_half(other, ws), picture)
        for parameter in other.synthesis.parameters():
            parameter.detach().mul_(1.1)
        assert not torch.equal(_half(other, ws), picture)
        assert torch.equal(_half(tiny_generator, ws), picture)


@pytest.mark.parametrize("batch", [1, 3])
def test_wide_layers_in_bfloat16_give_pictures_and_gradients(batch: int) -> None:
    torch.manual_seed(0)
    config = StyleGAN2Config(
        z_dim=16, w_dim=16, img_resolution=32, channel_base=4096, channel_max=144, mapping_layers=1
    )
    g = StyleGAN2(config).eval().requires_grad_(False)
    towards = torch.randn(batch, 3, 32, 32)
    got = {}
    with torch.inference_mode():
        _half(g, g.map(torch.randn(1, 16)))  # what this prepares has to serve gradients too
    z = torch.randn(batch, 16)
    for dtype in (torch.float32, torch.bfloat16):
        ws = g.map(z).requires_grad_(True)
        image = g.synthesize(ws, dtype=dtype)
        (image * towards).sum().backward()
        with torch.no_grad():
            alone = g.synthesize(ws, dtype=dtype)
        got[dtype] = image.detach(), ws.grad, alone
    for exact, half in zip(got[torch.float32], got[torch.bfloat16], strict=True):
        assert exact is not None
        assert half is not None
        assert (exact - half).norm() < 0.1 * exact.norm()  # of a random direction, in an untrained network


def test_phases_equal_the_transposed_convolution() -> None:
    generator = torch.Generator().manual_seed(0)
    x, kernel = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ([2, 5, 6, 4], [7, 5, 3, 3]))
    y = _upsample_in_phases(x, *_phases(kernel))
    assert torch.allclose(y[..., :-1], F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2))
    assert not y[..., -1].any()


def test_a_linear_map_has_its_transpose_as_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    x, kernel = (torch.randn(s, generator=generator, dtype=torch.float64) for s in ([2, 3, 4, 4], [2, 3, 3, 3]))
    turned, phases = kernel.flip([2, 3]).transpose(0, 1), _phases(kernel)
    maps = {
        "same size": (lambda x: F.conv2d(x, kernel, padding=1), lambda y: F.conv2d(y, turned, padding=1)),
        "enlarged": (
            lambda x: _upsample_in_phases(x, *phases),
            lambda y: F.conv2d(y, kernel.transpose(0, 1), stride=2),
        ),
    }
    for there, back in maps.values():
        leaf = x.clone().requires_grad_(True)
        assert torch.autograd.gradcheck(lambda x, there=there, back=back: linear_map(x, there, back), [leaf])
        assert torch.autograd.gradgradcheck(
            lambda x, there=there, back=back: linear_map(x, there, back).square(), [leaf], fast_mode=True
        )


def test_training_reaches_every_weight(tiny_generator: StyleGAN2) -> None:
    g = tiny_generator
    ws = g.map(torch.randn(2, 32)).detach()
    _half(g, ws)
    g.requires_grad_(True)
    g.synthesize(ws, dtype=torch.bfloat16).square().mean().backward()
    for name, parameter in g.synthesis.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
