"""Generators of rosinality checkpoints: the goldens, round trips through files, variants and damage."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.random_generators import random_generator
from torch import Tensor

from latent_editor.checkpoints import rosinality
from latent_editor.checkpoints.formats import detect_format, read_checkpoint
from latent_editor.core.errors import BadModel
from latent_editor.generators import Generator, construction, load_generator
from latent_editor.generators.stylegan2 import StyleGAN2

BLUR = torch.tensor([1.0, 3, 3, 1]).outer(torch.tensor([1.0, 3, 3, 1])) / 16  # normalized, times 4


def theirs(g: StyleGAN2) -> dict[str, Tensor]:
    """The tensors of a skip generator as rosinality's program would save them."""
    state: dict[str, Tensor] = {}

    def convolution(name: str, layer: Any) -> None:
        state[f"{name}.conv.weight"] = layer.weight[None]
        state[f"{name}.conv.modulation.weight"] = layer.affine.weight
        state[f"{name}.conv.modulation.bias"] = layer.affine.bias
        if hasattr(layer, "noise_const"):
            state[f"{name}.noise.weight"] = layer.noise_strength[None]
            state[f"{name}.activate.bias"] = layer.bias
            number = sum(n.startswith("noises.") for n in state)
            state[f"noises.noise_{number}"] = layer.noise_const[None, None]
        else:
            state[f"{name}.bias"] = layer.bias[None, :, None, None]

    for i in range(g.config.mapping_layers):
        layer = getattr(g.mapping, f"fc{i}")
        state[f"style.{i + 1}.weight"], state[f"style.{i + 1}.bias"] = layer.weight, layer.bias
    first, *others = [getattr(g.synthesis, f"b{r}") for r in g.config.resolutions]
    state["input.input"] = first.const[None]
    convolution("conv1", first.conv1)
    convolution("to_rgb1", first.torgb)
    for k, block in enumerate(others):
        convolution(f"convs.{2 * k}", block.conv0)
        convolution(f"convs.{2 * k + 1}", block.conv1)
        convolution(f"to_rgbs.{k}", block.torgb)
        state[f"convs.{2 * k}.conv.blur.kernel"] = block.resample_filter * 4
        state[f"to_rgbs.{k}.upsample.kernel"] = block.resample_filter * 4
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def same_pictures(g: Any, want: Any) -> None:
    z = torch.randn(2, want.z_dim, generator=torch.Generator().manual_seed(3))
    a, b = g.synthesize(g.map(z)), want.synthesize(want.map(z))
    assert (a - b).abs().max() <= 1e-5 * b.abs().max()


def build(state: Mapping[str, Any]) -> Generator:
    return construction.build("stylegan2", *rosinality.translate(state))


def golden_state(shapes: dict[str, list[int]]) -> dict[str, Tensor]:
    """The weights of the golden, filled by the formula that FORMATS.md tells."""
    state = {}
    for name, shape in shapes.items():
        if name.endswith(".kernel"):
            state[name] = BLUR
        elif name.endswith("modulation.bias"):
            state[name] = torch.ones(shape)
        else:
            small = name.endswith((".bias", "noise.weight")) or name.startswith("noises")
            values = np.sin(0.7 * np.arange(math.prod(shape)) + zlib.crc32(name.encode()) % 997)
            values = values * (0.1 if small else 1.0) * math.sqrt(2)
            state[name] = torch.from_numpy(values.astype(np.float32).reshape(shape))
    return state


def test_the_golden(shared_folder: Path) -> None:
    golden = np.load(shared_folder / "goldens" / "rosinality_32.npz")
    meta = json.loads(golden["meta"].tobytes())
    g = build(golden_state(meta["shapes"]))
    assert (g.size_px, g.w_dim, g.z_dim, g.num_ws) == (meta["size"], meta["style_dim"], meta["style_dim"], 8)
    ws = g.map(torch.from_numpy(golden["z"]))
    assert np.abs(ws[:, 0].numpy() - golden["w"]).max() <= 1e-4 * np.abs(golden["w"]).max()
    for latents in (ws, torch.from_numpy(golden["w"]).unsqueeze(1).repeat(1, 8, 1)):
        difference = np.abs(g.synthesize(latents).numpy() - golden["image"]).max()
        assert difference <= 1e-4 * np.abs(golden["image"]).max()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"img_channels": 1},
        {"img_channels": 4},
        {"img_resolution": 8},
        {"img_resolution": 64, "channel_base": 512},
        {"channel_base": 100000},
        {"mapping_kwargs": {"num_layers": 0}},
        {"mapping_kwargs": {"num_layers": 1}},
        {"resample_filter": [1, 2, 1]},
        {"resample_filter": [1, 1]},
        {"resample_filter": [1, 5, 10, 10, 5, 1]},
        {"resample_filter": [[1, 2], [3, 5]]},
        {"channels": [16, 12, 20, 6]},
    ],
)
def test_whatever_the_tensors_say(changes: dict[str, Any]) -> None:
    want = random_generator(**changes)
    g = build(theirs(want))
    assert (g.size_px, g.channels, g.w_dim) == (want.size_px, want.channels, want.w_dim)
    same_pictures(g, want)


@pytest.mark.parametrize("multiplier", [1, 2, 4])
def test_the_usual_tables_of_channels(multiplier: int) -> None:
    """Those of 1024 pixels, without the memory."""
    table = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32, 1024: 16}
    channels = {size: count * (multiplier if size > 32 else 1) for size, count in table.items()}
    kwargs = rosinality.channel_kwargs(channels)
    expected: dict[str, Any] = {"channel_base": 16384 * multiplier, "channel_max": 512}
    assert kwargs == (expected if multiplier < 4 else {"channels": list(channels.values())})


@pytest.mark.parametrize("bare", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_files(tmp_path: Path, bare: bool, old: bool) -> None:
    want = random_generator()
    data: dict[str, Any] = {"g_ema": theirs(want), "g": {}, "d": {}, "latent_avg": want.w_avg.clone(), "iter": 3}
    path = tmp_path / "picture.jpg"  # the name says nothing
    torch.save(data["g_ema"] if bare else data, path, _use_new_zipfile_serialization=not old)
    assert detect_format(path) == "rosinality"
    checkpoint = read_checkpoint(path)
    assert (checkpoint.format, checkpoint.kind) == ("rosinality", "stylegan2")
    notes = " ".join(checkpoint.notes)
    assert ("no mean latent" in notes) is bare
    assert ("left out: d, g, iter" in notes) is not bare
    g = load_generator(path)
    same_pictures(g, want)
    if not bare:
        torch.testing.assert_close(g.w_avg, want.w_avg)


def test_a_missing_mean_is_that_of_random_latents() -> None:
    g = build(theirs(random_generator()))
    torch.testing.assert_close(g.w_avg, build(theirs(random_generator())).w_avg, rtol=0, atol=0)
    sample = g.map(torch.randn(20000, 24, generator=torch.Generator().manual_seed(9)))[:, 0]
    assert (g.w_avg - sample.mean(dim=0)).abs().max() < 0.05 * sample.std()


@pytest.mark.parametrize("rows", [(24,), (1, 24), (8, 24)])
def test_a_mean_in_any_layout(rows: tuple[int, ...]) -> None:
    want = random_generator()
    data = {"g_ema": theirs(want), "latent_avg": want.w_avg.expand(rows).clone()}
    torch.testing.assert_close(rosinality.read_rosinality("x.pt", data).state["mapping.w_avg"], want.w_avg)


def test_half_precision_and_data_parallel() -> None:
    want = random_generator()
    state = {f"module.{name}": tensor.half() for name, tensor in theirs(want).items()}
    g = construction.build("stylegan2", *_content(rosinality.read_rosinality("x.pt", state)))
    a, b = g.synthesize(g.w_avg.expand(1, 8, -1)), want.synthesize(g.w_avg.expand(1, 8, -1))
    assert (a - b).abs().max() < 0.02 * b.abs().max()
    state["module.convs.0.conv.blur.kernel"] = BLUR  # saved in another precision than the others
    rosinality.read_rosinality("x.pt", state)


def _content(checkpoint: Any) -> tuple[dict[str, Any], dict[str, Tensor]]:
    return checkpoint.init_kwargs, checkpoint.state


def test_the_oldest_checkpoints_have_no_noise_and_no_kernels() -> None:
    want = random_generator()
    state = {k: v for k, v in theirs(want).items() if not k.startswith("noises.") and not k.endswith(".kernel")}
    g = build(state)
    ws = want.w_avg.expand(1, 8, -1)
    torch.testing.assert_close(g.synthesize(ws, noise="none"), want.synthesize(ws, noise="none"))
    assert torch.isfinite(g.synthesize(ws)).all()


def without(name: str) -> Callable[[dict[str, Any]], object]:
    return lambda state: state.pop(name)


def put(name: str, value: Any) -> Callable[[dict[str, Any]], object]:
    return lambda state: state.update({name: value})


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (without("input.input"), "'input.input'"),
        (without("conv1.conv.modulation.weight"), "'conv1.conv.modulation.weight'"),
        (without("convs.3.conv.weight"), "'convs.3.conv.weight'"),
        (without("convs.3.activate.bias"), "'convs.3.activate.bias'"),
        (without("style.2.weight"), "'style.2.weight'"),
        (without("noises.noise_4"), "'noises.noise_4'"),
        (put("convs.1.conv.weight", torch.zeros(1, 16, 16, 5, 5)), r"'convs.1.conv.weight'.*\[1, 16, 16, 5, 5\]"),
        (put("convs.1.conv.weight", torch.zeros(3)), r"'convs.1.conv.weight'.*\[3\]"),
        (put("input.input", torch.zeros(1, 16, 8, 8)), r"'input.input'.*\[1, 16, 8, 8\]"),
        (put("input.input", "weights"), "'input.input' is a str"),
        (put("convs.4.conv.weight", torch.full([1, 8, 16, 3, 3], torch.nan)), "not finite"),
        (put("convs.9.conv.weight", torch.zeros(1)), "convs.6.conv.weight"),
        (put("convs.6.conv.weight", torch.zeros(1)), "numbers its convs up to 6"),
        (put("convs.9999.conv.weight", torch.zeros(1)), "counts to 9999"),
        (put("style.99.weight", torch.zeros(1)), "counts to 99"),
        (put("attention.weight", torch.zeros(1)), "does not have: attention.weight"),
        (put("to_rgbs.1.upsample.kernel", torch.ones(4, 4)), "to_rgbs.1.upsample.kernel.*differ"),
        (put("convs.0.conv.blur.kernel", torch.ones(99, 99)), r"blur.kernel.*\[99, 99\]"),
        (put("convs.0.conv.blur.kernel", torch.zeros(4, 4)), "differ|sum 0"),
    ],
)
def test_damage_is_named(damage: Callable, says: str) -> None:
    state: dict[str, Any] = theirs(random_generator())
    damage(state)
    with pytest.raises(BadModel, match=says):
        build(state)


@pytest.mark.parametrize("others", [{}, {"g_ema": {}}, {"state_dict": {"fc.weight": 3}}])
def test_a_generator_under_any_name(tmp_path: Path, others: dict[str, Any]) -> None:
    want = random_generator()
    torch.save({**others, "netG": theirs(want)}, tmp_path / "x.pt")
    same_pictures(load_generator(tmp_path / "x.pt"), want)


@pytest.mark.parametrize("data", [3, [1], {"latent_avg": 3}, {}])
def test_what_is_no_checkpoint(data: Any) -> None:
    with pytest.raises(BadModel):
        rosinality.read_rosinality("x.pt", data)


def test_a_mean_of_another_network_is_refused() -> None:
    with pytest.raises(BadModel, match=r"'latent_avg'.*\[512\].*\[24\]"):
        rosinality.read_rosinality("x.pt", {"g_ema": theirs(random_generator()), "latent_avg": torch.zeros(512)})


def test_more_numbers_than_any_generator_are_refused() -> None:
    state = theirs(random_generator())
    state["convs.1.conv.weight"] = torch.zeros(1).expand(1, 16384, 16384, 3, 3)
    with pytest.raises(BadModel, match="numbers"):
        build(state)
