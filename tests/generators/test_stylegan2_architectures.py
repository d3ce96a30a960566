"""Every architecture and option of StyleGAN2 against a slow textbook of the papers, in double precision.

The textbook shares nothing with the package: it modulates the weights of each sample (eq. 1 and 3), enlarges by
inserting zeros, filters, and convolves; gains and activations are applied one after the other.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators import construction

BASE: dict[str, Any] = {
    "z_dim": 12, "c_dim": 0, "w_dim": 12, "img_resolution": 32, "img_channels": 3, "channel_base": 192,
    "channel_max": 10, "conv_clamp": None, "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip
CASES: dict[str, dict[str, Any]] = {
    "skip": {},
    "resnet": {"architecture": "resnet"},
    "orig": {"architecture": "orig"},
    "grayscale": {"img_channels": 1},
    "RGBA, residual": {"img_channels": 4, "architecture": "resnet"},
    "five channels, plain": {"img_channels": 5, "architecture": "orig"},
    "4 pixels": {"img_resolution": 4},
    "4 pixels, residual": {"img_resolution": 4, "architecture": "resnet"},
    "8 pixels, plain": {"img_resolution": 8, "architecture": "orig"},
    "a clamp that acts": {"conv_clamp": 0.7},
    "a clamp that acts, residual": {"conv_clamp": 0.7, "architecture": "resnet"},
    "lopsided filter": {"resample_filter": [1, 4, 2, 1]},
    "lopsided filter, residual": {"resample_filter": [1, 4, 2, 1], "architecture": "resnet"},
    "three taps": {"resample_filter": [1, 2, 1]},
    "five taps, residual": {"resample_filter": [1, 4, 6, 4, 1], "architecture": "resnet"},
    "two taps": {"resample_filter": [1, 1]},
    "one tap": {"resample_filter": [1]},
    "no filter": {"resample_filter": None},
    "twelve taps, lopsided": {"resample_filter": [1, 2, -1, 5, 9, 7, 3, 8, 1, 0, 2, 1]},
    "a filter of rows": {"resample_filter": [[1, 2, 3], [0, 4, 1], [2, 1, 1]], "architecture": "resnet"},
    "no noise": {"use_noise": False},
    "no noise, residual": {"use_noise": False, "architecture": "resnet"},
    "relu": {"activation": "relu"},
    "swish, clamped, residual": {"activation": "swish", "architecture": "resnet", "conv_clamp": 0.4},
    "tanh": {"activation": "tanh"},
    "linear": {"activation": "linear"},
    "pixel kernels": {"kernel_size": 1},
    "large kernels": {"kernel_size": 5, "architecture": "resnet"},
    "conditional": {"c_dim": 3},
    "conditional, odd mapping": {
        "c_dim": 4, "z_dim": 7, "w_dim": 9,
        "mapping_kwargs": {"num_layers": 3, "embed_features": 5, "layer_features": 11, "lr_multiplier": 0.05},
    },
    "conditional, normalized together": {"c_dim": 3, "mapping_kwargs": {"num_layers": 2, "joint_norm": True}},
    "any channels": {"channels": [7, 12, 3, 5], "architecture": "resnet"},
    "one mapping layer": {"z_dim": 5, "mapping_kwargs": {"num_layers": 1}},
    "no mapping layer": {"mapping_kwargs": {"num_layers": 0}},
    "relu mapping": {"mapping_kwargs": {"num_layers": 2, "activation": "relu", "w_avg_beta": 0.9}},
    "classes alone": {"z_dim": 0, "c_dim": 3},
}  # fmt: skip

ACTIVATIONS = {
    "lrelu": lambda x: torch.where(x < 0, 0.2 * x, x) * math.sqrt(2),
    "relu": lambda x: x.clamp(min=0) * math.sqrt(2),
    "linear": lambda x: x,
    "tanh": torch.tanh,
    "swish": lambda x: x / (1 + torch.exp(-x)) * math.sqrt(2),
}


class Textbook:
    """A StyleGAN2 by the book.

    Args:
        kwargs: Flat arguments of the constructor.
        state: Its tensors.
    """

    def __init__(self, kwargs: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
        self.kwargs = kwargs
        self.state = {name: torch.as_tensor(tensor).double() for name, tensor in state.items()}
        taps = torch.tensor(kwargs.get("resample_filter", [1, 3, 3, 1]) or [1], dtype=torch.float64)
        taps = taps[:, None] * taps if taps.ndim == 1 else taps
        self.filter = taps / taps.sum()

    def linear(self, x: Tensor, name: str, lr: float = 1.0) -> Tensor:
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        return x @ (weight * lr / math.sqrt(weight.shape[1])).T + bias * lr

    def map(self, z: Tensor, c: Tensor | None) -> Tensor:
        mapping = self.kwargs["mapping_kwargs"]
        parts = [z.double()] if self.kwargs["z_dim"] else []
        if self.kwargs["c_dim"]:
            assert c is not None
            parts.append(self.linear(c.double(), "mapping.embed"))
        parts = [torch.cat(parts, 1)] if mapping.get("joint_norm") else parts
        x = torch.cat([p / (p.pow(2).mean(1, keepdim=True) + 1e-8).sqrt() for p in parts], 1)
        for i in range(mapping.get("num_layers", 8)):
            x = self.linear(x, f"mapping.fc{i}", mapping.get("lr_multiplier", 0.01))
            x = ACTIVATIONS[mapping.get("activation", "lrelu")](x)
        return x

    def enlarge(self, x: Tensor, margin: int = 0) -> Tensor:
        """Zeros between pixels, then the filter as a convolution; ``margin`` more pixels are kept on each side."""
        n, c, h, w = x.shape
        grown = torch.zeros(n, c, 2 * h, 2 * w, dtype=x.dtype)
        grown[:, :, ::2, ::2] = x
        fh, fw = self.filter.shape
        pads = [(fw + 1) // 2 + margin, (fw - 2) // 2 + margin, (fh + 1) // 2 + margin, (fh - 2) // 2 + margin]
        kernel = self.filter.flip([0, 1])[None, None] * 4
        return F.conv2d(
            F.pad(grown, pads).reshape(-1, 1, 2 * h + sum(pads[2:]), 2 * w + sum(pads[:2])), kernel
        ).reshape(n, c, 2 * h + 2 * margin, 2 * w + 2 * margin)

    def convolution(self, x: Tensor, w: Tensor, name: str, *, up: bool, noise: bool, gain: float) -> Tensor:
        weight = self.state[f"{name}.weight"]
        styles = self.linear(w, f"{name}.affine")
        size = weight.shape[-1]
        x = self.enlarge(x, size // 2) if up else F.pad(x, [size // 2] * 4)
        samples = []
        for picture, style in zip(x, styles, strict=True):
            own = weight * style[None, :, None, None]
            own = own / (own.pow(2).sum([1, 2, 3], keepdim=True) + 1e-8).sqrt()
            samples.append(F.conv2d(picture[None], own.flip([2, 3]) if up else own))
        x = torch.cat(samples)
        if noise and self.kwargs.get("use_noise", True):
            x = x + self.state[f"{name}.noise_const"] * self.state[f"{name}.noise_strength"]
        x = ACTIVATIONS[self.kwargs.get("activation", "lrelu")](x + self.state[f"{name}.bias"][:, None, None]) * gain
        return self.clamp(x, gain)

    def clamp(self, x: Tensor, gain: float = 1.0) -> Tensor:
        limit = self.kwargs["conv_clamp"]
        return x if limit is None else x.clamp(-limit * gain, limit * gain)

    def to_rgb(self, x: Tensor, w: Tensor, name: str) -> Tensor:
        weight, styles = self.state[f"{name}.weight"], self.linear(w, f"{name}.affine")
        x = torch.einsum("nihw,oi,ni->nohw", x, weight[:, :, 0, 0] / math.sqrt(weight.shape[1]), styles)
        return self.clamp(x + self.state[f"{name}.bias"][:, None, None])

    def synthesize(self, ws: Tensor, noise: bool) -> Tensor:
        size, architecture = self.kwargs["img_resolution"], self.kwargs.get("architecture", "skip")
        x = self.state["synthesis.b4.const"].expand(len(ws), -1, -1, -1)
        image, index, resolution, half = None, 0, 4, math.sqrt(0.5)
        ws = ws.double()
        while resolution <= size:
            block = f"synthesis.b{resolution}"
            gain, path = 1.0, None
            if resolution > 4:
                if architecture == "resnet":
                    weight = self.state[f"{block}.skip.weight"][:, :, 0, 0]
                    around = torch.einsum("nihw,oi->nohw", self.enlarge(x), weight / math.sqrt(weight.shape[1]))
                    gain, path = half, around * half
                x = self.convolution(x, ws[:, index], f"{block}.conv0", up=True, noise=noise, gain=1.0)
                index += 1
            x = self.convolution(x, ws[:, index], f"{block}.conv1", up=False, noise=noise, gain=gain)
            index += 1
            x = x if path is None else path + x
            if architecture == "skip" or resolution == size:
                rgb = self.to_rgb(x, ws[:, index], f"{block}.torgb")
                image = rgb if image is None else self.enlarge(image) + rgb
            resolution *= 2
        assert image is not None
        assert index == ws.shape[1] - 1
        return image


def _trained(kwargs: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors of a network in which everything matters: noise, biases, mean."""
    state = construction.random("stylegan2", kwargs, seed=1).state_dict()
    generator = torch.Generator().manual_seed(2)
    for name, tensor in state.items():
        if name.endswith(("bias", "noise_strength", "w_avg")):
            tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.3)
    return state


@pytest.mark.parametrize("case", CASES)
def test_pictures_equal_the_textbook(case: str) -> None:
    kwargs = {**BASE, **CASES[case]}
    state = _trained(kwargs)
    g, book = construction.build("stylegan2", kwargs, state), Textbook(kwargs, state)
    generator = torch.Generator().manual_seed(3)
    z = torch.randn(3, kwargs["z_dim"], generator=generator)
    c = torch.eye(kwargs["c_dim"])[[0, 2, 1]] if kwargs["c_dim"] else None
    w = book.map(z, c)
    got = g.map(z, c)
    assert got.shape == (3, 2 * int(math.log2(kwargs["img_resolution"])) - 2, kwargs["w_dim"])
    assert (got - w[:, None]).abs().max() <= 1e-5 * w.abs().max()
    ws = torch.randn(got.shape, generator=generator)  # another w for each layer
    for noise in (True, False):
        want = book.synthesize(ws, noise)
        image = g.synthesize(ws, noise="const" if noise else "none")
        assert image.shape == want.shape == (3, kwargs["img_channels"], *[kwargs["img_resolution"]] * 2)
        assert (image - want).abs().max() <= 1e-5 * want.abs().max()


@pytest.mark.parametrize("name", ["stylegan2_skip_32", "stylegan2_cond_64"])
def test_the_textbook_equals_the_goldens(name: str, shared_folder: Path) -> None:
    data = np.load(shared_folder / "goldens" / f"{name}.npz")
    kwargs = json.loads(bytes(data["meta"]))["init_kwargs"]
    book = Textbook(kwargs, {k.removeprefix("state/"): data[k] for k in data.files if k.startswith("state/")})
    z, c = torch.from_numpy(data["in/z"]), torch.from_numpy(data["in/c"]) if kwargs["c_dim"] else None
    ws = torch.from_numpy(data["out/ws"])
    assert np.abs(book.map(z, c).numpy() - data["out/ws"][:, 0]).max() <= 1e-5 * np.abs(data["out/ws"]).max()
    for noise, key in ((True, "out/image"), (False, "out/image_noise_none")):
        assert np.abs(book.synthesize(ws, noise).numpy() - data[key]).max() <= 1e-5 * np.abs(data[key]).max()


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_each_w_has_its_layer(architecture: str) -> None:
    kwargs = {**BASE, "architecture": architecture}
    g = construction.random("stylegan2", kwargs)
    assert g.num_ws == 8
    read = [index for index, _ in g.synthesis.affines()]  # type: ignore[operator, union-attr]
    assert sorted(set(read)) == list(range(8))
    assert len(read) == {"skip": 11, "resnet": 8, "orig": 8}[architecture]


def test_activations_are_there_at_each_size() -> None:
    for architecture in ("skip", "resnet", "orig"):
        g = construction.random("stylegan2", {**BASE, "architecture": architecture})
        ws = g.map(torch.randn(1, 12))
        for size in (4, 8, 16, 32):
            assert g.activations(ws, size).shape == (1, min(192 // size, 10), size, size)


@pytest.mark.parametrize("architecture", ["skip", "resnet", "orig"])
def test_half_precision_stays_in_range(architecture: str) -> None:
    kwargs = {**BASE, "architecture": architecture, "conv_clamp": 256}
    state = _trained(kwargs)
    for name, tensor in state.items():
        if "conv" in name and name.endswith("affine.bias"):
            tensor.mul_(3e3)  # demodulation takes this back, but what it takes it from must not overflow
    g = construction.build("stylegan2", kwargs, state)
    ws = g.map(torch.randn(2, 12))
    exact, half = g.synthesize(ws), g.synthesize(ws, dtype=torch.float16)
    assert torch.isfinite(half).all()
    assert (half - exact).square().mean() < 1e-4 * exact.square().mean()
