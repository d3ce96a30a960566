"""The filtered leaky ReLU: goldens, its definition by other operations, gradients, precision, wrong arguments."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.filters import OPTIONS, filters, noise
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from latent_editor.generators.stylegan3_filters import low_pass
from latent_editor.ops import bias_act, filtered_lrelu, upfirdn2d
from latent_editor.ops.banded import band, separable_terms

FILTERS = ["separable", "radial", "up only", "down only", "any"]


def composed(x: Tensor, fu: Tensor | None, fd: Tensor | None, b: Tensor, **options: Any) -> Tensor:
    """The definition, by operations that are tested elsewhere."""
    up, flip = options.get("up", 1), options.get("flip_filter", False)
    x = upfirdn2d(bias_act(x, b), fu, up=up, padding=options["padding"], gain=up * up, flip_filter=flip)
    x = bias_act(
        x, act="lrelu", alpha=options.get("slope", 0.2), gain=options.get("gain", math.sqrt(2)),
        clamp=options.get("clamp"),
    )  # fmt: skip
    return upfirdn2d(x, fd, down=options.get("down", 1), flip_filter=flip)


def test_values_equal_the_goldens(shared_folder: Path) -> None:
    data = np.load(shared_folder / "goldens" / "ops.npz")
    cases = [(i, c) for i, c in enumerate(json.loads(bytes(data["cases"]))) if c.pop("op") == "filtered_lrelu"]
    assert cases

    def array(name: str) -> Tensor | None:
        return torch.from_numpy(data[name]) if name in data.files else None

    for i, options in cases:
        x, want = array(f"{i}/x"), array(f"{i}/y")
        got = filtered_lrelu(x, array(f"{i}/fu"), array(f"{i}/fd"), array(f"{i}/b"), **options)
        assert got.shape == want.shape, (i, options)
        assert (got - want).abs().max() <= 1e-5 * want.abs().max(), (i, options)


@pytest.mark.parametrize("kind", FILTERS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_is_what_it_says_step_by_step(kind: str, options: dict) -> None:
    fu, fd = filters(kind)
    x, b = noise(2, 3, 17, 14), noise(3, seed=1)
    got, want = filtered_lrelu(x, fu, fd, b, **options), composed(x, fu, fd, b, **options)
    assert got.shape == want.shape
    # Radial filters leave out singular values below 1e-7 of the greatest.
    assert (got - want).abs().max() <= 1e-6 * max(want.abs().max(), 1)


def test_large_pictures_are_worked_on_in_strips_without_a_seam() -> None:
    f = low_pass(12, cutoff=60.0, width=40.0, rate=512.0)
    for shape in ((1, 2, 400, 30), (2, 1, 30, 900), (1, 1, 300, 420)):
        x = noise(*shape, dtype=torch.float32)
        options = {"up": 2, "down": 2, "padding": [10, 11, 10, 11], "clamp": 1.0}
        got = filtered_lrelu(x, f, f, torch.zeros(shape[1]), **options)
        assert torch.allclose(got, composed(x, f, f, torch.zeros(shape[1]), **options), atol=1e-5)


def test_no_filters_leave_only_the_activation() -> None:
    x, b = noise(2, 3, 5, 4), noise(3, seed=1)
    assert torch.equal(filtered_lrelu(x, b=b, clamp=1.0), bias_act(x, b, act="lrelu", clamp=1.0))


def test_a_band_is_the_matrix_of_its_filter() -> None:
    taps = noise(1, 5)
    for up, down, before in ((1, 1, 0), (2, 1, 3), (1, 3, -2), (3, 2, 7), (4, 2, -5)):
        b = band(taps, up=up, down=down, before=before)
        x = noise(1, 1, 1, b.reads(50) + b.first, seed=2)  # as many values as 50 outputs read, from the first on
        want = upfirdn2d(
            x, taps.float().double(), up=(up, 1), down=(down, 1), padding=[before, 200, 0, 0], flip_filter=True
        )
        padded = torch.nn.functional.pad(x, [-b.first, 0])[0, 0, 0]
        for j in range(50):
            start = j // b.outputs * b.step
            got = b.matrix[0, j % b.outputs] @ padded[start : start + b.matrix.shape[2]]
            assert got == pytest.approx(want[0, 0, 0, j].item(), abs=1e-6)


def test_a_radial_filter_is_a_sum_of_few_separable_ones() -> None:
    for cutoff in (3.0, 5.0, 7.0):
        f = low_pass(12, cutoff=cutoff, width=4.0, rate=32.0, radial=True)
        rows, columns = separable_terms(f)
        assert len(rows) <= 6
        assert (torch.einsum("ra,rb->ab", rows, columns) - f).abs().max() <= 1e-6 * f.max()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_short_floats_come_back_and_stay_close(dtype: torch.dtype) -> None:
    f = low_pass(12, cutoff=4.0, width=6.0, rate=32.0)
    x = noise(2, 4, 16, 16, dtype=torch.float32)
    options = {"up": 2, "down": 2, "padding": [10, 11, 10, 11]}
    want, got = filtered_lrelu(x, f, f, **options), filtered_lrelu(x.to(dtype), f, f, **options)
    assert got.dtype == dtype
    assert (got.float() - want).abs().max() < 0.01 * want.abs().max()


# Gradients, in double precision.


@pytest.mark.parametrize("clamp", [None, 0.8])
@pytest.mark.parametrize("kind", ["separable", "radial"])
def test_first_and_second_gradients(kind: str, clamp: float | None) -> None:
    fu, fd = filters(kind)
    x, b = noise(1, 2, 4, 3).requires_grad_(True), noise(2, seed=1).requires_grad_(True)

    def run(x: Tensor, b: Tensor) -> Tensor:
        return filtered_lrelu(x, fu, fd, b, up=2, down=2, padding=9, clamp=clamp)

    assert gradcheck(run, (x, b))
    assert gradgradcheck(run, (x, b))


def test_gradients_reach_the_filters() -> None:
    x = noise(1, 1, 4, 3)
    fu, fd = (noise(3, seed=seed).requires_grad_(True) for seed in (1, 2))
    assert gradcheck(lambda fu, fd: filtered_lrelu(x, fu, fd, up=2, down=2, padding=4), (fu, fd))


def test_what_comes_in_stays_as_it_is() -> None:
    x = noise(1, 2, 8, 8)
    before = x.clone()
    f = low_pass(12, cutoff=4.0, width=6.0, rate=32.0)
    with torch.no_grad():
        filtered_lrelu(x, None, f, padding=12, clamp=0.1)
    assert torch.equal(x, before)


# Wrong arguments.


def test_wrong_arguments_are_named() -> None:
    f = torch.ones(12) / 12
    for options in ({"up": 0}, {"down": 0}):
        with pytest.raises(ValueError, match="factor"):
            filtered_lrelu(torch.zeros(1, 1, 4, 4), f, f, **options)
    with pytest.raises(ValueError, match="4 × 5 pixels"):
        filtered_lrelu(torch.zeros(1, 1, 5, 4), f, f)
