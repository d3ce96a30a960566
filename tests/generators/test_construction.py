"""Generators from plain tensors: goldens, what may differ harmlessly, what is refused and what refusing costs."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from latent_editor.core.errors import BadModel, BadValue
from latent_editor.generators import Generator, construction, random_latent, random_ws

KWARGS: dict[str, Any] = {
    "z_dim": 16, "c_dim": 0, "w_dim": 16, "img_resolution": 16, "img_channels": 3, "channel_base": 128,
    "channel_max": 8, "conv_clamp": None, "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip
GOLDENS = ["stylegan2_skip_32", "stylegan2_cond_64", "stylegan3_t_32"]


@pytest.fixture
def state() -> dict[str, Tensor]:
    """The tensors of a small generator whose noise shows."""
    state = construction.random("stylegan2", KWARGS, seed=3).state_dict()
    for name, tensor in state.items():
        if name.endswith("noise_strength"):
            tensor.fill_(0.4)
    return state


def picture(g: Generator) -> Tensor:
    return g(torch.randn(2, 16, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("name", GOLDENS)
def test_goldens(name: str, shared_folder: Path) -> None:
    data = np.load(shared_folder / "goldens" / f"{name}.npz")
    meta = json.loads(bytes(data["meta"]))
    g = construction.build(
        meta["kind"],
        meta["init_kwargs"],
        {k.removeprefix("state/"): data[k] for k in data.files if k.startswith("state/")},
    )
    z, c = torch.from_numpy(data["in/z"]), torch.from_numpy(data["in/c"]) if g.c_dim else None
    ws = torch.from_numpy(data["out/ws"])
    got = {
        "out/ws": g.map(z, c),
        "out/ws_psi0.7": g.map(z, c, truncation_psi=0.7),
        "out/ws_psi0.5_cutoff4": g.map(z, c, truncation_psi=0.5, truncation_cutoff=4),
        "out/image": g.synthesize(ws),
        "out/image_noise_none": g.synthesize(ws, noise="none"),
    }
    assert g.num_ws == meta["num_ws"]
    wanted = [key for key in data.files if key.startswith("out/")]
    assert len(wanted) >= 4
    for key in wanted:
        assert np.abs(got[key].numpy() - data[key]).max() <= 1e-5 * np.abs(data[key]).max(), key


def test_built_is_what_was_taken_apart(state: dict[str, Tensor]) -> None:
    g = construction.build("stylegan2", KWARGS, state)
    assert torch.equal(
        picture(g), picture(construction.build("stylegan2", KWARGS, {k: v.numpy() for k, v in state.items()}))
    )
    assert g.state_dict().keys() == state.keys()
    assert not g.training
    assert not any(p.requires_grad for p in g.parameters())
    assert all(t.dtype == torch.float32 and t.device.type == "cpu" for t in (*g.parameters(), *g.buffers()))
    assert g.state_dict()["synthesis.b4.const"].data_ptr() == state["synthesis.b4.const"].data_ptr(), "taken over"


def test_nested_and_flat_arguments_are_alike(state: dict[str, Tensor]) -> None:
    of_synthesis = ("channel_base", "channel_max", "conv_clamp")
    nested = {k: v for k, v in KWARGS.items() if k not in of_synthesis}
    nested["synthesis_kwargs"] = {**{k: KWARGS[k] for k in of_synthesis}, "num_fp16_res": 2}
    both = [construction.build("stylegan2", kwargs, state) for kwargs in (KWARGS, nested)]
    assert torch.equal(picture(both[0]), picture(both[1]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(dtype: torch.dtype, state: dict[str, Tensor]) -> None:
    g, exact = (
        construction.build("stylegan2", KWARGS, {k: v.to(dtype) for k, v in state.items()}),
        picture(construction.build("stylegan2", KWARGS, state)),
    )
    assert next(g.parameters()).dtype == torch.float32
    assert (picture(g) - exact).abs().max() < 0.05 * exact.abs().max()


@pytest.mark.parametrize("change", ["big-endian", "read-only", "flipped", "transposed"])
def test_arrays_come_as_they_lie_in_memory(change: str, state: dict[str, Tensor]) -> None:
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    exact = picture(construction.build("stylegan2", KWARGS, state))
    name = "synthesis.b8.conv0.weight"
    if change == "big-endian":
        arrays[name] = arrays[name].astype(">f4")
    elif change == "read-only":
        arrays[name] = np.frombuffer(arrays[name].tobytes(), np.float32).reshape(arrays[name].shape)
    elif change == "flipped":
        arrays[name] = arrays[name][:, :, ::-1, ::-1].copy()[:, :, ::-1, ::-1]
    else:
        arrays[name] = arrays[name].transpose(2, 3, 1, 0).copy().transpose(3, 2, 0, 1)
    assert torch.equal(picture(construction.build("stylegan2", KWARGS, arrays)), exact)


# What may differ harmlessly.


def test_missing_noise_is_made_anew_from_a_seed(state: dict[str, Tensor]) -> None:
    without = {name: tensor for name, tensor in state.items() if not name.endswith("noise_const")}
    one, two = (construction.build("stylegan2", KWARGS, without) for _ in range(2))
    assert torch.equal(picture(one), picture(two))
    assert one.state_dict()["synthesis.b16.conv0.noise_const"].std() == pytest.approx(1, abs=0.2)
    ws = one.map(torch.ones(1, 16))
    assert torch.equal(
        one.synthesize(ws, noise="none"), construction.build("stylegan2", KWARGS, state).synthesize(ws, noise="none")
    )


@pytest.mark.parametrize("c_dim", [0, 3])
def test_a_missing_mean_is_estimated(c_dim: int) -> None:
    kwargs = {**KWARGS, "c_dim": c_dim}
    state = construction.random("stylegan2", kwargs).state_dict()
    state["mapping.fc1.bias"] += 100  # so that the mean is not near 0
    del state["mapping.w_avg"]
    g = construction.build("stylegan2", kwargs, state)
    w = random_ws(g, list(range(600)), truncation_psi=1)[:, 0]
    assert w.mean().abs() > 0.3
    assert (g.w_avg - w.mean(dim=0)).abs().max() < 5 * (w.std(dim=0).max() / 600**0.5)
    assert torch.equal(g.w_avg, construction.build("stylegan2", kwargs, state).w_avg)


@pytest.mark.parametrize("taps", [[1, 3, 3, 1], [1, 4, 2, 1], [1, 4, 6, 4, 1], [1, 2, 3, 4, 5, 4, 3, 2, 1], [1]])
@pytest.mark.parametrize("told", ["flat", "nested", "only by the tensors", "wrong"])
def test_the_filter_of_the_state_wins(taps: list[float], told: str, state: dict[str, Tensor]) -> None:
    kwargs = {**KWARGS, "resample_filter": taps}
    want = picture(construction.build("stylegan2", kwargs, state))
    if told == "nested":
        kwargs = {**KWARGS, "synthesis_kwargs": {"resample_filter": taps}}
    elif told == "only by the tensors":
        kwargs = KWARGS
    elif told == "wrong":
        kwargs = {**KWARGS, "resample_filter": [1, 2, 1]}
    row = torch.tensor(taps, dtype=torch.float32)
    f = row / row.sum() if len(row) >= 8 else row.outer(row) / row.sum() ** 2
    for block in ("b4", "b8", "b16", "b4.conv1", "b8.conv0"):
        state[f"synthesis.{block}.resample_filter"] = f
    assert (picture(construction.build("stylegan2", kwargs, state)) - want).abs().max() <= 1e-5 * want.abs().max()


def test_axes_of_one_and_leftover_numbers_do_not_matter(state: dict[str, Tensor]) -> None:
    want = picture(construction.build("stylegan2", KWARGS, state))
    state["synthesis.b4.const"] = state["synthesis.b4.const"][None]
    state["synthesis.b8.conv0.noise_strength"] = state["synthesis.b8.conv0.noise_strength"].reshape(1)
    state["synthesis.b8.conv0.noise_const"] = state["synthesis.b8.conv0.noise_const"][None, None]
    state["mapping.w_avg_beta"] = torch.tensor(0.995)
    state["synthesis.b8.num_batches_tracked"] = torch.tensor(7)
    assert torch.equal(picture(construction.build("stylegan2", KWARGS, state)), want)


# What is refused.


def refused(message: str, kwargs: dict[str, Any], state: Any, kind: str = "stylegan2") -> None:
    with pytest.raises(BadModel, match=message):
        construction.build(kind, kwargs, state)


def test_every_missing_tensor_is_named(state: dict[str, Tensor]) -> None:
    for name in state:
        if not name.endswith(("noise_const", "w_avg")):
            refused(f"'{name}' is missing.*16 pixels", KWARGS, {k: v for k, v in state.items() if k != name})


def test_every_misshapen_tensor_is_named(state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        wrong = torch.cat([tensor.reshape(len(tensor) if tensor.ndim else 1, -1)] * 2)
        refused(f"'{name}' has the shape", KWARGS, {**state, name: wrong})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_every_value_that_is_not_finite_is_named(value: float, state: dict[str, Tensor]) -> None:
    for name, tensor in state.items():
        wrong = tensor.double().clone()
        wrong.view(-1)[-1] = value
        refused(f"'{name}' holds values that are not finite", KWARGS, {**state, name: wrong})


def test_unexpected_tensors_are_named(state: dict[str, Tensor]) -> None:
    for name in ("mapping.embed.weight", "synthesis.b32.conv0.weight", "synthesis.b8.skip.weight", "encoder.x"):
        refused(f"'{name}' does not belong to a StyleGAN2 of 16 pixels", KWARGS, {**state, name: torch.zeros(3)})
    refused("'mapping.w_avg_beta' does not belong", KWARGS, {**state, "mapping.w_avg_beta": torch.zeros(10)})
    refused("'mapping.fc1.weight' does not belong", {**KWARGS, "mapping_kwargs": {"num_layers": 1}}, state)
    refused("'synthesis.b4.torgb", {**KWARGS, "architecture": "orig"}, state)
    refused("'synthesis.b8.skip.weight' is missing", {**KWARGS, "architecture": "resnet"}, state)


def test_a_strange_filter_is_named(state: dict[str, Tensor]) -> None:
    name = "synthesis.b8.conv0.resample_filter"
    for f in (torch.ones(2, 2, 2), torch.ones(0), torch.tensor(1.0), torch.ones(1000)):
        refused(f"'{name}' has the shape", KWARGS, {**state, name: f})
    refused(f"'{name}' holds values that are not finite", KWARGS, {**state, name: torch.tensor([1, float("nan")])})
    others = {"synthesis.b4.resample_filter": torch.ones(2, 2) / 4, name: torch.ones(3, 3) / 9}
    refused(f"'{name}' differs from 'synthesis.b4", KWARGS, {**state, **others})
    refused("resample_filter", KWARGS, {**state, name: torch.tensor([1.0, -1.0])})


@pytest.mark.parametrize(
    "value",
    [
        None, "text", 3, [[1.0]], np.array(["a"]), np.array([{}]), torch.zeros(16, dtype=torch.int64),
        torch.zeros(16, dtype=torch.complex64), torch.zeros(16, device="meta"), torch.zeros(16).to_sparse(),
    ],
)  # fmt: skip
def test_what_is_no_tensor_of_numbers_is_named(value: Any, state: dict[str, Tensor]) -> None:
    refused("'mapping.fc0.bias' (is a|has the shape)", KWARGS, {**state, "mapping.fc0.bias": value})


def test_other_kinds_and_no_arguments_at_all() -> None:
    refused("kind = 'stylegan4'; expected one of stylegan2, stylegan3", KWARGS, {}, "stylegan4")
    refused("init_kwargs = ", [1], {})  # type: ignore[arg-type]
    refused("its tensors = ", KWARGS, [1])
    refused("its tensors = ", KWARGS, {1: torch.zeros(1)})
    for kind in construction.KINDS:
        refused("is missing", KWARGS if kind == "stylegan2" else {**KWARGS, "channel_base": 512}, {}, kind)


def test_a_lie_costs_nothing() -> None:
    """Arguments of a network of 60 GB, and tensors that pretend to be one, are refused without allocating it."""
    kwargs = {**KWARGS, "img_resolution": 2048, "channel_base": 2048 * 8192, "channel_max": 8192}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused("'synthesis.b4.const' is missing|is missing", kwargs, {})
    wide = {**kwargs, "img_resolution": 16, "w_dim": 16384, "z_dim": 16384}
    with torch.device("meta"):
        layout = construction._network("stylegan2", wide).state_dict()
    refused("claims more numbers", wide, {k: torch.zeros([]).expand(v.shape) for k, v in layout.items()})
    arrays = {k: np.broadcast_to(np.float32(0), tuple(v.shape)) for k, v in layout.items()}
    refused("claims more numbers", wide, arrays)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 << 10


# Random weights.


@pytest.mark.parametrize("kind", construction.KINDS)
def test_random_weights_are_those_of_a_new_network(kind: str) -> None:
    kwargs = {**KWARGS, "img_resolution": 16 if kind == "stylegan2" else 32, "channel_base": 512}
    torch.manual_seed(5)
    before = torch.get_rng_state()
    one, again, other = (construction.random(kind, kwargs, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(picture(one), picture(again))
    assert not torch.equal(picture(one), picture(other))
    for name, tensor in one.state_dict().items():
        if name.endswith("affine.bias") and ".input." not in name:
            assert torch.equal(tensor, torch.ones_like(tensor)), name
        elif name.endswith((".bias", "noise_strength", "w_avg")) and ".input." not in name:
            assert not tensor.any(), name
        elif name.endswith("weight") and tensor.numel() > 200 and ".input." not in name:
            scale = 100 if name.startswith("mapping.fc") else 1
            assert tensor.std() == pytest.approx(scale, rel=0.15), name
    rebuilt = construction.build(kind, kwargs, one.state_dict())
    assert torch.equal(picture(rebuilt), picture(one))
    assert rebuilt.fingerprint == one.fingerprint


def test_a_large_random_generator_has_the_public_size() -> None:
    g = construction.random(
        "stylegan2", {"z_dim": 512, "c_dim": 0, "w_dim": 512, "img_resolution": 1024, "img_channels": 3}
    )
    assert sum(p.numel() for p in g.parameters()) == 30_370_060
    assert (g.size_px, g.num_ws) == (1024, 18)


# Classes.


def test_a_class_is_chosen() -> None:
    g = construction.random("stylegan2", {**KWARGS, "c_dim": 3})
    for index in range(3):
        want = g.map(torch.randn(1, 16, generator=torch.Generator().manual_seed(7)), torch.eye(3)[[index]])
        # Not to the bit: some machines round a product differently from one call to the next.
        torch.testing.assert_close(random_ws(g, [7], truncation_psi=1, class_index=index), want, atol=1e-5, rtol=1e-5)
        assert not torch.allclose(random_ws(g, [7], truncation_psi=1, class_index=(index + 1) % 3), want, atol=1e-3)
    assert torch.equal(random_latent(g, 7).ws, random_latent(g, 7, class_index=1).ws), "seed 7 has class 7 mod 3"
    for index in (-1, 3):
        with pytest.raises(BadValue, match=f"class {index}.*classes 0 to 2"):
            random_ws(g, [0], class_index=index)
    with pytest.raises(BadValue, match="class 0.*no classes"):
        random_latent(construction.random("stylegan2", KWARGS), 0, class_index=0)
