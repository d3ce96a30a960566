"""The reference operations: values against goldens and against definitions, first and second gradients, dtypes."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import upfirdn
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from latent_editor.ops import bias_act, downsample2d, filter2d, setup_filter, upfirdn2d, upsample2d
from latent_editor.ops.bias_act import ACTIVATIONS

RESAMPLINGS = [
    {},
    {"up": 2, "padding": [2, 1, 2, 1], "gain": 4},
    {"down": 2, "padding": 1, "flip_filter": True},
    {"up": [2, 1], "down": [1, 2], "padding": [3, 2, 1, 0], "gain": 2.5},
    {"up": 2, "down": 2, "padding": [-1, 2, 4, -2], "gain": 0.5},
    {"up": 3, "down": 2, "padding": [2, 1]},
]


def picture(*shape: int, dtype: torch.dtype = torch.float64, grad: bool = False) -> Tensor:
    x = torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    return x.requires_grad_(grad)


# Values.


@pytest.mark.parametrize("op", ["upfirdn2d", "bias_act"])
def test_values_equal_the_goldens(op: str, shared_folder: Path) -> None:
    data = np.load(shared_folder / "goldens" / "ops.npz")
    cases = [(i, c) for i, c in enumerate(json.loads(bytes(data["cases"]))) if c.pop("op") == op]
    assert cases

    def array(name: str) -> Tensor | None:
        return torch.from_numpy(data[name]) if name in data.files else None

    for i, options in cases:
        x, want = array(f"{i}/x"), array(f"{i}/y")
        got = upfirdn2d(x, array(f"{i}/f"), **options) if op == "upfirdn2d" else bias_act(x, array(f"{i}/b"), **options)
        assert got.shape == want.shape, (i, options)
        assert (got - want).abs().max() <= 1e-5 * want.abs().max(), (i, options)


def test_upfirdn2d_is_scipys_upfirdn_along_both_axes() -> None:
    x, taps = picture(1, 1, 7, 9), np.array([1.0, 2.0, 5.0])
    want = upfirdn(taps, upfirdn(taps, x[0, 0].numpy(), up=2, down=3, axis=0), up=2, down=3, axis=1)
    # scipy pads by taps − 1 on both sides, and leaves out the zeros after the last sample.
    got = upfirdn2d(x, torch.tensor(taps), up=2, down=3, padding=[2, 1, 2, 1])
    assert torch.allclose(got[0, 0], torch.from_numpy(want))


def test_a_separable_filter_equals_its_outer_product() -> None:
    x, taps = picture(2, 3, 8, 8), torch.tensor([1.0, 3.0, 3.0, 1.0])
    for options in RESAMPLINGS:
        assert torch.allclose(upfirdn2d(x, taps, **options), upfirdn2d(x, taps.outer(taps), **options)), options


def test_flipping_the_filter_correlates() -> None:
    x, f = picture(1, 2, 8, 8), picture(3, 3)
    assert torch.allclose(upfirdn2d(x, f, flip_filter=True), upfirdn2d(x, f.flip([0, 1])))


def test_resampling_keeps_size_and_brightness() -> None:
    f = setup_filter([1, 3, 3, 1])
    assert f is not None
    assert f.shape == (4, 4)
    assert f.sum() == pytest.approx(1)
    x = torch.full([1, 1, 16, 16], 0.5)
    for y, size in ((filter2d(x, f), 16), (upsample2d(x, f), 32), (downsample2d(x, f), 8)):
        assert y.shape == (1, 1, size, size)
        assert torch.allclose(y[:, :, 4:-4, 4:-4], torch.tensor(0.5)) if size > 8 else True
        assert y[0, 0, size // 2, size // 2] == pytest.approx(0.5)


def test_no_filter_is_the_identity() -> None:
    x = picture(1, 1, 4, 4)
    assert setup_filter(None) is None
    assert setup_filter([]) is None
    assert torch.equal(upfirdn2d(x, None), x)
    assert torch.equal(upfirdn2d(x, None, up=2)[:, :, ::2, ::2], x)


@pytest.mark.parametrize("act", sorted(ACTIVATIONS))
def test_activations_keep_the_dtype_and_the_clamp(act: str) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        y = bias_act(picture(2, 4, 3, dtype=dtype) * 10, torch.ones(4), act=act, clamp=0.25)
        assert y.dtype == dtype
        assert y.abs().max() <= 0.25


def test_the_bias_runs_along_its_axis() -> None:
    b = torch.arange(3.0)
    assert torch.equal(bias_act(torch.zeros(2, 3, 4), b)[0, :, 0], b)
    assert torch.equal(bias_act(torch.zeros(2, 4, 3), b, dim=2)[0, 0], b)
    assert bias_act(torch.tensor([[-1.0]]), act="lrelu") == pytest.approx(-0.2 * math.sqrt(2))


def test_half_precision_and_channels_last_stay_close() -> None:
    x, f = picture(2, 8, 16, 16, dtype=torch.float32), setup_filter([1, 3, 3, 1])
    want = upsample2d(x, f)
    assert torch.allclose(upsample2d(x.contiguous(memory_format=torch.channels_last), f), want, atol=1e-6)
    half = upsample2d(x.bfloat16(), f)
    assert half.dtype == torch.bfloat16
    assert (half.float() - want).abs().max() < 0.02 * want.abs().max()


# Gradients, in double precision.


@pytest.mark.parametrize("options", RESAMPLINGS, ids=str)
def test_upfirdn2d_has_first_and_second_gradients(options: dict) -> None:
    x, f = picture(1, 1, 4, 3, grad=True), picture(3, 3, grad=True)
    assert gradcheck(lambda x, f: upfirdn2d(x, f, **options), (x, f))
    assert gradgradcheck(lambda x, f: upfirdn2d(x, f, **options), (x, f))


@pytest.mark.parametrize("act", sorted(ACTIVATIONS))
def test_bias_act_has_first_and_second_gradients(act: str) -> None:
    x, b = picture(2, 3, 4, grad=True), torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda x, b: bias_act(x, b, act=act, gain=1.7), (x, b))
    assert gradgradcheck(lambda x, b: bias_act(x, b, act=act, gain=1.7), (x, b))


def test_no_gradient_flows_through_the_clamp() -> None:
    x = torch.tensor([[-3.0, 0.1, 3.0]], requires_grad=True)
    bias_act(x, clamp=1.0).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0, 1, 0]]


# Wrong arguments.


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="'gelu'.*lrelu"):
        bias_act(torch.zeros(1, 1), act="gelu")
    for options in ({"up": 0}, {"down": [1, 0]}):
        with pytest.raises(ValueError, match="factor"):
            upfirdn2d(torch.zeros(1, 1, 4, 4), None, **options)
