"""The operations on every backend that this machine has: goldens, references, gradients, PyTorch's own checks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.compiled_ops import backends, running_on
from support.filters import OPTIONS, filters
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from latent_editor import ops
from latent_editor.generators.stylegan3_filters import low_pass
from latent_editor.ops import checking, kernels, library
from latent_editor.ops.bias_act import ACTIVATIONS
from latent_editor.ops.filtered_lrelu import filtered_lrelu_reference
from latent_editor.ops.kernel_selection import DTYPES, OPTIONAL, USED

ORDERS = [torch.contiguous_format, torch.channels_last]
OPS = torch.ops.latent_editor


@pytest.fixture(params=backends())
def device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The device of each backend, with its kernels switched on."""
    with running_on(request.param) as device:
        yield device


@pytest.fixture(params=backends()[1:])
def kernel_device(request: pytest.FixtureRequest) -> Iterator[torch.device]:
    """The same without the references."""
    with running_on(request.param) as device:
        yield device


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def far(got: Tensor, want: Tensor) -> float:
    """The largest difference as a part of the largest value."""
    assert got.shape == want.shape
    got, want = got.detach(), want.detach()
    return float((got.cpu().double() - want.double()).abs().max() / want.double().abs().max())


# Values.


def test_every_golden_passes(device: torch.device, shared_folder: Path) -> None:
    data = np.load(shared_folder / "goldens" / "ops.npz")
    for i, case in enumerate(json.loads(bytes(data["cases"]))):
        op = case.pop("op")
        tensors = [
            torch.from_numpy(data[f"{i}/{key}"]).to(device) if f"{i}/{key}" in data.files else None
            for key in {"upfirdn2d": ("x", "f"), "bias_act": ("x", "b"), "filtered_lrelu": ("x", "fu", "fd", "b")}[op]
        ]
        got = getattr(ops, op)(*tensors, **case)
        assert far(got, torch.from_numpy(data[f"{i}/y"])) <= 1e-4, (i, op, case)


def test_kernels_agree_with_their_references(kernel_device: torch.device) -> None:
    for dtype in DTYPES[kernel_device.type]:
        cases = itertools.chain(*(f(kernel_device.type, dtype) for f in (checking.cases, checking.convolutions)))
        for name, reference, arguments in cases:
            if name in OPTIONAL and not kernels.registered(name, kernel_device.type):
                continue  # this processor lacks what the kernel wants
            exact = [a.float() if isinstance(a, Tensor) else a for a in arguments]
            with torch.inference_mode():
                got, want = getattr(OPS, name)(*arguments), reference(*exact)
            assert checking.difference(got, want, dtype) <= checking.TOLERANCE[dtype], (dtype, name, arguments[1:])


def test_other_sizes_agree_too(kernel_device: torch.device) -> None:
    """One pixel, one channel, more channels than a vector has, pictures that are all border, long filters."""
    short, long = low_pass(12, cutoff=4.0, width=6.0, rate=32.0), noise(70).abs() / 50
    for shape in ((1, 1, 1, 1), (3, 1, 5, 4), (1, 67, 2, 3), (2, 3, 1, 40), (1, 33, 20, 20)):
        for order, f in itertools.product(ORDERS, (short, long, short.outer(short), None)):
            x = noise(*shape).contiguous(memory_format=order)
            pad = 0 if f is None else len(f)
            options: dict[str, Any] = {"up": (2, 3), "down": (3, 1), "padding": (pad, pad), "gain": 2.0}
            got = ops.upfirdn2d(x.to(kernel_device), f if f is None else f.to(kernel_device), **options)
            want = library._upfirdn2d(x, f, (2, 3), (3, 1), (pad,) * 4, False, 2.0)
            assert far(got, want) <= 1e-5, (shape, order)
            b = noise(shape[1], seed=1)
            got = ops.bias_act(x.to(kernel_device), b.to(kernel_device), act="lrelu", clamp=1.0)
            assert far(got, library._bias_act(x, b, 1, 2, 0.2, 2**0.5, 1.0)) <= 1e-5


def test_tensors_that_are_parts_of_others_are_read_rightly(kernel_device: torch.device) -> None:
    whole = noise(2, 8, 9, 10).to(kernel_device)
    f = noise(4, 4).to(kernel_device)
    for part in (whole[:, ::2], whole[:, :, 1:-1, 2:], whole.transpose(2, 3), whole[:1].expand(3, -1, -1, -1)):
        assert far(ops.upfirdn2d(part, f, up=2, padding=2), ops.upfirdn2d(part.clone(), f, up=2, padding=2).cpu()) == 0
        want = library._epilogue(part, None, None, None, f, [2] * 4, 1.0, 2, 0.2, 1.0, None).cpu()
        assert far(ops.modulation_epilogue(part, f=f, padding=2, gain=1.0), want) <= 1e-5


def test_what_is_not_a_number_stays_so_and_infinities_are_clamped(kernel_device: torch.device) -> None:
    for dtype in (torch.float32, torch.bfloat16):
        x = torch.tensor([[float("nan"), float("inf"), -float("inf"), 3e38]], dtype=dtype, device=kernel_device)
        y = ops.bias_act(x.repeat(1, 9), act="lrelu", clamp=8.0)[0, :4]
        assert y[0].isnan()
        assert y[1:].tolist() == [8.0, -8.0, 8.0]


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_the_epilogue_is_what_it_says(device: torch.device, order: torch.memory_format) -> None:
    x, f = noise(2, 6, 9, 8), noise(4, 4).abs() / 10
    scale, b, grain = noise(2, 6).abs(), noise(6), noise(8, 7)
    y = ops.upfirdn2d(x, f, padding=1, gain=4)
    want = ops.bias_act(y * scale[:, :, None, None] + grain, b, act="lrelu", clamp=1.5)
    inputs = [t.to(device) for t in (x.contiguous(memory_format=order), scale, b, grain)]
    got = ops.modulation_epilogue(*inputs, f=f.to(device), padding=1, filter_gain=4, clamp=1.5)
    assert far(got, want) <= 1e-5
    assert got.is_contiguous(memory_format=order)


def test_in_place_only_the_memory_differs(device: torch.device) -> None:
    x, scale, b, grain = (t.to(device) for t in (noise(2, 6, 9, 8), noise(2, 6), noise(6), noise(2, 1, 9, 8)))
    want = ops.modulation_epilogue(x, scale, b, grain, clamp=1.0)
    for order in ORDERS:
        again = x.clone(memory_format=order)
        got = ops.modulation_epilogue(again, scale, b, grain, clamp=1.0, inplace=True)
        assert far(got, want.cpu()) <= 1e-6
    watched = x.clone().requires_grad_(True)
    ops.modulation_epilogue(watched, scale, b, grain, clamp=1.0, inplace=True)
    assert torch.equal(watched, x)


def test_a_padding_needs_a_filter() -> None:
    with pytest.raises(ValueError, match="without a filter"):
        ops.modulation_epilogue(noise(1, 1, 4, 4), padding=1)


@pytest.mark.parametrize("kind", ["separable", "radial", "up only", "down only", "none"])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_filtered_lrelu_agrees_with_its_reference(kernel_device: torch.device, kind: str, options: dict) -> None:
    fu, fd = filters(kind) if kind != "none" else (None, None)
    x, b = noise(2, 3, 17, 14), noise(3, seed=1)
    full = {"up": 1, "down": 1, "gain": 2**0.5, "slope": 0.2, "clamp": None, "flip_filter": False, **options}
    want = filtered_lrelu_reference(x, fu, fd, b, **full)
    got = ops.filtered_lrelu(x.to(kernel_device), fu, fd, b.to(kernel_device), **options)
    assert got.shape == want.shape
    assert (got.cpu() - want).abs().max() <= 1e-5 * max(float(want.abs().max()), 1)


# Gradients: the kernels' against the reference's, whose own are checked numerically.


def gradients(backend_device: torch.device, run: Any, *inputs: Tensor) -> list[Tensor]:
    """Values, first gradients, and the gradients of a function of these."""
    tensors = [t.to(backend_device).detach().requires_grad_(True) for t in inputs]
    y = run(*tensors)
    weights = noise(*y.shape, seed=9).to(y)
    loss = (y.float().square() * weights).sum()
    firsts = torch.autograd.grad(loss, tensors, retain_graph=True)
    created = torch.autograd.grad(loss, tensors, create_graph=True)
    energy = sum((g.float() * noise(*g.shape, seed=8).to(g.device)).square().sum() for g in created)
    seconds = torch.autograd.grad(energy, tensors, allow_unused=True)
    return [y, *firsts, *created, *(s for s in seconds if s is not None)]


CASES: dict[str, tuple[Any, tuple[Tensor, ...]]] = {
    "upfirdn2d": (
        lambda x: ops.upfirdn2d(x, noise(4, 3).to(x.device), up=2, down=3, padding=[2, -1, 3, 0]),
        (noise(2, 3, 8, 7),),
    ),
    "bias_act": (lambda x, b: ops.bias_act(x, b, act="lrelu", clamp=0.7), (noise(2, 3, 8, 7), noise(3))),
    "tanh": (lambda x, b: ops.bias_act(x, b, act="tanh", clamp=0.7), (noise(2, 3, 8, 7), noise(3))),
    "epilogue": (
        lambda x, s, b, n: ops.modulation_epilogue(x, s, b, n, clamp=0.7),
        (noise(2, 5, 8, 7), noise(2, 5), noise(5), noise(8, 7)),
    ),
    "epilogue with a filter": (
        lambda x, s, b: ops.modulation_epilogue(x, s, b, f=noise(4, 4).to(x.device), padding=1),
        (noise(2, 5, 8, 7), noise(2, 5), noise(5)),
    ),
    "filtered_lrelu": (
        lambda x, b: ops.filtered_lrelu(x, noise(4).to(x.device), noise(4).to(x.device), b, up=2, down=2, padding=3),
        (noise(1, 2, 5, 5), noise(2)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("name", list(CASES))
def test_gradients_agree_with_the_reference(
    kernel_device: torch.device, name: str, order: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, (x, *rest) = CASES[name]
    inputs = (x.contiguous(memory_format=order), *rest)
    got = gradients(kernel_device, run, *inputs)
    monkeypatch.setattr(kernels.kernels_for(kernel_device.type), "ready", False)
    want = gradients(torch.device("cpu"), run, *inputs)
    assert len(got) == len(want)
    for g, w in zip(got, want, strict=True):
        assert far(g, w) <= 2e-4


def test_the_epilogues_reference_has_first_and_second_gradients() -> None:
    inputs = [t.double().requires_grad_(True) for t in (noise(2, 2, 4, 3), noise(2, 2).abs(), noise(2), noise(3, 2))]
    f = noise(3, 3)

    def run(x: Tensor, scale: Tensor, b: Tensor, grain: Tensor) -> Tensor:
        return ops.modulation_epilogue(x, scale, b, grain, f=f, padding=[1, 0, 0, 1], gain=1.3)

    assert gradcheck(run, inputs)
    assert gradgradcheck(run, inputs)


def test_bfloat16_gradients_stay_close(kernel_device: torch.device) -> None:
    run, inputs = CASES["epilogue"]
    want = gradients(torch.device("cpu"), run, *inputs)[1:5]
    x, *rest = inputs
    got = gradients(kernel_device, run, x.bfloat16(), *rest)[1:5]
    assert got[0].dtype == torch.bfloat16
    for g, w in zip(got, want, strict=True):
        assert far(g, w) <= 0.05


# PyTorch's own checks.


@pytest.mark.parametrize("order", ORDERS, ids=str)
def test_opcheck(device: torch.device, order: torch.memory_format) -> None:
    x = noise(2, 3, 6, 5).to(device).contiguous(memory_format=order).requires_grad_(True)
    b, scale, grain, f = (t.to(device) for t in (noise(3), noise(2, 3), noise(2, 1, 6, 5), noise(4, 4)))
    act = library.NAMES.index("lrelu")
    plain = x.detach().clone()
    torch.library.opcheck(OPS.upfirdn2d, (x, f, [2, 1], [1, 2], [2, 1, 2, 1], False, 1.0))
    torch.library.opcheck(OPS.bias_act, (x, b, 1, act, 0.2, 1.5, 1.0))
    torch.library.opcheck(OPS.filtered_lrelu, (x, b, b, b, 2, 2, [3, 2, 3, 2], 1.0, 0.2, None, False))
    torch.library.opcheck(OPS.modulation_epilogue, (x, scale, b, grain, None, [0] * 4, 1.0, act, 0.2, 1.5, 1.0))
    torch.library.opcheck(OPS.modulation_epilogue_, (plain, scale, b, grain, act, 0.2, 1.5, 1.0))
    torch.library.opcheck(OPS.modulation_epilogue_backward, (plain, plain, plain, scale, act, 0.2, 1.5, 1.0))


# Who decides.


def test_precisions_without_a_kernel_run_as_references(kernel_device: torch.device) -> None:
    assert not kernels.use_kernel("bias_act", noise(1, 1, 2, 2, dtype=torch.float64).to(kernel_device))
    assert not kernels.use_kernel("no such operation", noise(1, 1, 2, 2).to(kernel_device))
    x = noise(1, 2, 4, 4, dtype=torch.float64).to(kernel_device)
    assert ops.bias_act(x, act="tanh").dtype == torch.float64
    used = kernels.kernels_for(kernel_device.type).status().used
    assert [op for op in USED[kernel_device.type] if op not in used] == [
        op for op in OPTIONAL if not kernels.registered(op, kernel_device.type)
    ]


def test_the_kernels_know_the_activations_by_their_order() -> None:
    header = (Path(library.__file__).parent / "csrc" / "activation.h").read_text(encoding="utf-8")
    names = header.split("enum ActivationKind {")[1].split("}")[0].replace(" ", "").split(",")[:-1]
    assert [name.lower() for name in names] == list(ACTIVATIONS)


def test_a_whole_network_renders_alike(device: torch.device, tiny_generator: Any) -> None:
    ws = tiny_generator.map(noise(2, 32))
    want = tiny_generator.synthesize(ws)
    got = tiny_generator.to(device).synthesize(ws.to(device))
    assert far(got, want) <= 1e-4
    ws = ws.to(device).requires_grad_(True)
    tiny_generator.synthesize(ws).square().mean().backward()
    assert ws.grad is not None
    assert ws.grad.abs().sum() > 0
