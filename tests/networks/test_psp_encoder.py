"""The encoders of pSp and e4e: structure, arithmetic and bad files, with random weights."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from latent_editor.core.errors import BadModel
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.models.bundle import Bundle
from latent_editor.networks import encoder as encoders
from latent_editor.networks.psp_encoder import UNITS, Head, PspConfig, PspEncoder, Unit, build_psp_encoder

DEPTHS = (8, 8, 12, 16)
NUM_WS, W_DIM = 8, 32


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """An encoder in the public structure, narrow, its names and shapes written down by hand."""
    rng = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def weight(name: str, *shape: int) -> None:
        state[name] = torch.randn(shape, generator=rng) / math.sqrt(max(1, math.prod(shape[1:])))

    def norm(name: str, channels: int) -> None:
        state[f"{name}.weight"] = torch.rand(channels, generator=rng) + 0.5
        state[f"{name}.bias"] = torch.randn(channels, generator=rng) * 0.1
        state[f"{name}.running_mean"] = torch.randn(channels, generator=rng) * 0.1
        state[f"{name}.running_var"] = torch.rand(channels, generator=rng) + 0.5
        state[f"{name}.num_batches_tracked"] = torch.tensor(1000)

    weight("input_layer.0.weight", 8, 3, 3, 3)
    norm("input_layer.1", 8)
    state["input_layer.2.weight"] = torch.full([8], 0.25)
    inputs, number = 8, 0
    for count, depth in zip((3, 4, 14, 3), DEPTHS, strict=True):
        for _ in range(count):
            unit = f"body.{number}"
            norm(f"{unit}.res_layer.0", inputs)
            weight(f"{unit}.res_layer.1.weight", depth, inputs, 3, 3)
            state[f"{unit}.res_layer.2.weight"] = torch.full([depth], 0.25)
            weight(f"{unit}.res_layer.3.weight", depth, depth, 3, 3)
            norm(f"{unit}.res_layer.4", depth)
            weight(f"{unit}.res_layer.5.fc1.weight", 4, depth, 1, 1)
            weight(f"{unit}.res_layer.5.fc2.weight", depth, 4, 1, 1)
            if inputs != depth:
                weight(f"{unit}.shortcut_layer.0.weight", depth, inputs, 1, 1)
                norm(f"{unit}.shortcut_layer.1", depth)
            inputs, number = depth, number + 1
    for i in range(NUM_WS):
        for j in range(4 if i < 3 else 5 if i < 7 else 6):
            weight(f"styles.{i}.convs.{2 * j}.weight", W_DIM, DEPTHS[3] if j == 0 else W_DIM, 3, 3)
            weight(f"styles.{i}.convs.{2 * j}.bias", W_DIM)
        state[f"styles.{i}.linear.weight"] = torch.randn(W_DIM, W_DIM, generator=rng)
        weight(f"styles.{i}.linear.bias", W_DIM)
    for name, channels in (("latlayer1", DEPTHS[2]), ("latlayer2", DEPTHS[1])):
        weight(f"{name}.weight", DEPTHS[3], channels, 1, 1)
        weight(f"{name}.bias", DEPTHS[3])
    return state


def picture(n: int = 1, size_px: int = 256, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, size_px, size_px, generator=torch.Generator().manual_seed(5)) * 2 - 1


def test_the_public_shape() -> None:
    with torch.device("meta"):
        shapes = {k: tuple(v.shape) for k, v in PspEncoder(PspConfig()).state_dict().items()}
    assert shapes["body.23.res_layer.3.weight"] == (512, 512, 3, 3)
    assert shapes["body.21.shortcut_layer.0.weight"] == (512, 256, 1, 1)
    assert "body.0.shortcut_layer.0.weight" not in shapes  # 64 → 64: pooled
    assert shapes["body.7.res_layer.5.fc1.weight"] == (16, 256, 1, 1)
    assert shapes["styles.17.convs.10.weight"] == (512, 512, 3, 3)
    assert shapes["latlayer2.weight"] == (512, 128, 1, 1)
    assert sum(UNITS) == 24
    assert len([name for name in shapes if name.endswith("linear.bias")]) == 18


def numpy_unit(state: dict[str, np.ndarray], x: np.ndarray, stride: int) -> np.ndarray:
    """A residual unit on x [C, H, W], pixel by pixel."""

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        scaled = (x - mean[:, None, None]) / np.sqrt(var + 1e-5)[:, None, None]
        return scaled * state[f"{name}.weight"][:, None, None] + state[f"{name}.bias"][:, None, None]

    def convolve(weight: np.ndarray, x: np.ndarray, stride: int) -> np.ndarray:
        k = weight.shape[-1]
        padded = np.pad(x, [(0, 0), (k // 2, k // 2), (k // 2, k // 2)])
        rows, columns = range(0, x.shape[1], stride), range(0, x.shape[2], stride)
        return np.array(
            [[[(w * padded[:, r : r + k, c : c + k]).sum() for c in columns] for r in rows] for w in weight]
        )

    y = convolve(state["res_layer.1.weight"], norm("res_layer.0", x), 1)
    y = np.where(y > 0, y, y * state["res_layer.2.weight"][:, None, None])
    y = norm("res_layer.4", convolve(state["res_layer.3.weight"], y, stride))
    hidden = np.maximum(state["res_layer.5.fc1.weight"][:, :, 0, 0] @ y.mean(axis=(1, 2)), 0)
    y = y / (1 + np.exp(-(state["res_layer.5.fc2.weight"][:, :, 0, 0] @ hidden)))[:, None, None]
    if "shortcut_layer.0.weight" in state:
        return y + norm("shortcut_layer.1", convolve(state["shortcut_layer.0.weight"], x, stride))
    return y + x[:, ::stride, ::stride]


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(6, 6, 1), (6, 6, 2), (4, 6, 2)])
def test_a_unit_against_plain_arithmetic(inputs: int, outputs: int, stride: int) -> None:
    torch.manual_seed(0)
    unit = Unit(inputs, outputs, 2, stride).eval()
    for name, tensor in unit.state_dict().items():
        if tensor.is_floating_point():
            tensor.copy_(torch.rand_like(tensor) + 0.3 if "var" in name else torch.randn_like(tensor) * 0.5)
    x = torch.randn(2, inputs, 6, 6)
    with torch.no_grad():
        got = unit(x)
    want = [
        numpy_unit({k: v.double().numpy() for k, v in unit.state_dict().items()}, p.double().numpy(), stride) for p in x
    ]
    np.testing.assert_allclose(got.numpy(), np.stack(want), atol=1e-5)


def test_a_head_ends_in_one_pixel_and_an_equalised_layer() -> None:
    torch.manual_seed(0)
    head = Head(5, 7, pools=4)
    x = torch.randn(2, 5, 16, 16)
    with torch.no_grad():
        inside = head.convs(x)
        got = head(x)
    assert inside.shape == (2, 7, 1, 1)
    want = inside.flatten(1).numpy() @ (head.linear.weight.detach().numpy() / np.sqrt(7)).T
    np.testing.assert_allclose(got.numpy(), want, atol=1e-6)
    assert [type(layer).__name__ for layer in head.convs] == ["Conv2d", "LeakyReLU"] * 4


@pytest.mark.parametrize("offsets", [True, False])
def test_the_mean_latent_is_added(tiny_generator: StyleGAN2, offsets: bool) -> None:
    average = torch.randn(NUM_WS, W_DIM)
    state = {k: torch.zeros_like(v) if ".linear." in k else v for k, v in random_state().items()}
    state |= {"latent_avg": average, "offsets_from_first": torch.tensor(offsets)}
    net = build_psp_encoder(state, tiny_generator)
    assert torch.equal(net(picture()), average[None])


def test_later_latents_of_e4e_are_offsets_from_the_first(tiny_generator: StyleGAN2) -> None:
    state = random_state()
    pSp = build_psp_encoder({**state, "offsets_from_first": torch.tensor(False)}, tiny_generator)(picture(2))
    e4e = build_psp_encoder({**state, "offsets_from_first": torch.tensor(True)}, tiny_generator)(picture(2))
    assert pSp.shape == e4e.shape == (2, NUM_WS, W_DIM)
    assert pSp.dtype == torch.float32
    torch.testing.assert_close(e4e[:, 0], pSp[:, 0])
    torch.testing.assert_close(e4e[:, 1:], pSp[:, :1] + pSp[:, 1:])


def test_each_latent_looks_at_its_level(tiny_generator: StyleGAN2) -> None:
    """Without the lateral layers all that reaches the finer levels is the coarse one, enlarged."""
    net = build_psp_encoder(random_state(), tiny_generator)
    fine, middle, coarse = net._levels(picture())
    assert [level.shape[-1] for level in (fine, middle, coarse)] == [64, 32, 16]
    for layer in (net.latlayer1, net.latlayer2):
        layer.weight.zero_()
        layer.bias.zero_()
    _, middle, coarse = net._levels(picture())
    torch.testing.assert_close(middle[..., 0, 0], coarse[..., 0, 0])  # corners stay on corners
    torch.testing.assert_close(middle[..., -1, -1], coarse[..., -1, -1])


def test_normalisation_uses_what_was_learned(tiny_generator: StyleGAN2) -> None:
    net = build_psp_encoder(random_state(), tiny_generator)
    assert not any(module.training for module in net.modules())
    assert not any(p.requires_grad for p in net.parameters())
    both = net(picture(2))
    torch.testing.assert_close(net(picture(2)[1:]), both[1:], atol=1e-4, rtol=1e-4)  # no picture depends on others


@pytest.mark.parametrize(("size_px", "channels"), [(64, 3), (512, 3), (256, 1), (256, 4)])
def test_pictures_of_any_size_and_channels(tiny_generator: StyleGAN2, size_px: int, channels: int) -> None:
    net = build_psp_encoder(random_state(), tiny_generator)
    ws = net(torch.full([1, channels, size_px, size_px], 0.3))
    torch.testing.assert_close(ws, net(torch.full([1, 3, 256, 256], 0.3)), atol=1e-4, rtol=1e-4)


def test_half_precision_is_near(tiny_generator: StyleGAN2) -> None:
    net = build_psp_encoder(random_state(), tiny_generator)
    full, half = net(picture()), net(picture(), torch.bfloat16)
    assert half.dtype == torch.float32
    assert 0 < (half - full).abs().max() < 0.1 * full.abs().max()


def test_load_encoder_takes_what_came_with_the_generator(tiny_generator: StyleGAN2) -> None:
    assert not encoders.has_encoder(tiny_generator)
    tiny_generator.bundle = Bundle("mine", extras={"encoder": random_state()})
    assert encoders.has_encoder(tiny_generator)
    net = encoders.load_encoder(tiny_generator)
    assert isinstance(net, PspEncoder)
    assert encoders.load_encoder(tiny_generator) is net


# Bad files.


def without(name: str) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.pop(name)


def replaced(name: str, value: Tensor) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without("body.9.res_layer.3.weight"), "body.9.res_layer.3.weight"),
        (without("body.7.res_layer.5.fc1.weight"), "body.7.res_layer.5.fc1.weight"),
        (without("input_layer.0.weight"), "input_layer.0.weight"),
        (without("styles.2.linear.bias"), "styles.2.linear.bias"),
        (without("latlayer1.bias"), "latlayer1.bias"),
        (replaced("styles.3.convs.0.weight", torch.zeros(5)), "styles.3.convs.0.weight"),
        (replaced("body.0.res_layer.0.running_var", torch.full([8], torch.nan)), "body.0.res_layer.0.running_var"),
        (replaced("input_layer.0.weight", torch.zeros(0, 3, 3, 3)), "input_layer.0.weight.*none of them empty"),
        (replaced("surprise", torch.zeros(1)), "surprise"),
        (replaced("styles.999.linear.weight", torch.zeros(1)), "1000 latents"),
        (replaced("styles.8.linear.weight", torch.zeros(1)), "styles.8"),
        (replaced("latent_avg", torch.zeros(3, 3)), "latent_avg"),
    ],
)
def test_a_damaged_encoder_is_named(tiny_generator: StyleGAN2, damage: Callable, says: str) -> None:
    state = random_state()
    damage(state)
    with pytest.raises(BadModel, match=says):
        build_psp_encoder(state, tiny_generator)


def test_an_encoder_of_another_generator_is_refused(tiny_generator: StyleGAN2) -> None:
    state = {k: v for k, v in random_state().items() if not k.startswith("styles.7.")}
    with pytest.raises(BadModel, match=r"\[7, 32\].*\[8, 32\]"):
        build_psp_encoder(state, tiny_generator)


def test_counters_of_training_may_be_missing(tiny_generator: StyleGAN2) -> None:
    state = {k: v for k, v in random_state().items() if not k.endswith("num_batches_tracked")}
    torch.testing.assert_close(
        build_psp_encoder(state, tiny_generator)(picture()),
        build_psp_encoder(random_state(), tiny_generator)(picture()),
    )
