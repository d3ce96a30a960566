"""The styles of a layer and what demodulates it: the reference, the kernel, their place in a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from support.compiled_ops import running_on
from torch import Tensor

from latent_editor import ops
from latent_editor.generators.modulation import ModulatedConv, ToRGB
from latent_editor.generators.stylegan2_config import StyleGAN2Config
from latent_editor.ops.styles import modulation_styles_reference

OP = torch.ops.latent_editor.modulation_styles


@pytest.fixture(params=["reference", "cpu"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    with running_on(request.param):
        yield request.param


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("n", "length", "inputs", "outputs"), [(1, 512, 96, 64), (3, 37, 5, 7), (2, 16, 4, 1)])
def test_outputs_get_the_variance_one(backend: str, n: int, length: int, inputs: int, outputs: int) -> None:
    """Weights of each sample modulated and demodulated as the paper writes it (eq. 1 and 3), in float64."""
    w, weight, b = noise(n, length), noise(inputs, length, seed=1), noise(inputs, seed=2)
    kernel = noise(outputs, inputs, 3, 3, seed=3)
    energies = kernel.square().sum(dim=[2, 3])
    styles, scale = ops.modulation_styles(w, weight, b, energies, weight_gain=0.3, bias_gain=2.0, gain=1.5)
    want = w.double() @ weight.double().t() * 0.3 + b.double() * 2
    torch.testing.assert_close(styles.double(), want, rtol=1e-5, atol=1e-5)
    modulated = kernel.double() * want[:, None, :, None, None]
    deviation = modulated.square().sum(dim=[2, 3, 4]).sqrt()
    torch.testing.assert_close(scale.double() * deviation / 1.5, torch.ones(n, outputs).double(), rtol=1e-4, atol=0)


def test_a_layer_that_is_not_demodulated_gets_no_scale(backend: str) -> None:
    styles, scale = ops.modulation_styles(noise(2, 9), noise(4, 9, seed=1), noise(4, seed=2))
    assert styles.shape == (2, 4)
    assert scale.shape == (2, 0)


def test_parts_of_other_tensors_and_samples_alone() -> None:
    ws, weight, b, energies = noise(3, 4, 70), noise(33, 70, seed=1), noise(33, seed=2), noise(5, 33, seed=3).square()
    with running_on("cpu"):
        together = ops.modulation_styles(ws[:, 2], weight, b, energies)
        for i in range(3):
            alone = ops.modulation_styles(ws[i : i + 1, 2].clone(), weight, b, energies)
            for whole, one in zip(together, alone, strict=True):
                assert torch.equal(whole[i : i + 1], one), "rounded otherwise beside others"


def test_wrong_shapes_are_refused() -> None:
    with running_on("cpu"):
        for w, weight, b, energies in (
            (noise(2, 9), noise(4, 8), noise(4), None),
            (noise(2, 9), noise(4, 9), noise(3), None),
            (noise(2, 9), noise(4, 9), noise(4), noise(5, 3)),
            (noise(2, 9).double(), noise(4, 9), noise(4), None),
        ):
            with pytest.raises(RuntimeError, match="Expected"):
                OP(w, weight, b, energies, 1.0, 1.0, 1.0)


def test_opcheck(backend: str) -> None:
    inputs: tuple[Any, ...] = tuple(
        t.requires_grad_(True) for t in (noise(2, 6), noise(5, 6, seed=1), noise(5, seed=2))
    )
    for energies in (None, noise(3, 5, seed=3).square()):
        torch.library.opcheck(OP, (*inputs, energies, 0.5, 2.0, 1.5))


@pytest.mark.parametrize("demodulated", [True, False])
def test_gradients_of_both_orders(backend: str, demodulated: bool) -> None:
    def found(op: Callable[..., Any]) -> list[Tensor]:
        inputs = [noise(*shape, seed=i).requires_grad_(True) for i, shape in enumerate(((2, 6), (5, 6), (5,)))]
        energies = [noise(3, 5, seed=3).square().requires_grad_(True)] if demodulated else []
        styles, scale = op(*inputs, energies[0] if energies else None, 0.5, 2.0, 1.5)
        loss = styles.pow(3).sum() + scale.pow(2).sum()
        first = torch.autograd.grad(loss, [*inputs, *energies], create_graph=True)
        return [
            *first,
            *torch.autograd.grad(torch.stack([g.square().sum() for g in first]).sum(), [*inputs, *energies]),
        ]

    for got, want in zip(found(OP), found(modulation_styles_reference), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_layers_are_the_same_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    config = StyleGAN2Config(z_dim=32, w_dim=32, img_resolution=16)
    torch.manual_seed(0)
    conv, rgb = ModulatedConv(6, 10, 16, config, up=2), ToRGB(6, config)
    f = ops.setup_filter([1, 3, 3, 1])
    assert f is not None
    x, w = noise(2, 6, 8, 8), noise(2, 32, seed=1)
    want = conv(x, w, f, "const"), rgb(x, w, None, f)
    with running_on("cpu"):
        got = conv(x, w, f, "const"), rgb(x, w, None, f)
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
