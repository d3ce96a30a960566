"""Checkpoints of the rosinality implementation of StyleGAN2, and of the many projects that build on it.

The network is that of Karras et al. 2020 with skip connections; only the names and a few layouts differ, so that a
checkpoint is translated and built as any other. What the file says wins: size, channels, widths, number of mapping
layers and blur kernel are all read from the tensors' shapes and values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.checkpoints.checkpoint import Checkpoint
from latent_editor.checkpoints.foreign import MAX_LAYERS, Tensors, channel_kwargs, filter_taps
from latent_editor.core.errors import BadModel

#: Keys of a checkpoint that may hold the generator, the best first: the running average of its weights.
GENERATOR_KEYS = ("g_ema", "params_ema", "g", "generator", "state_dict")
FORMAT = "a rosinality generator"
#: Size of the largest generator that is read: 2 ** 12.
MAX_LEVELS = 12
_WRAPPED = "module."
_MAPPING_LR = 0.01


def read_rosinality(path: str | Path, data: Any) -> Checkpoint:
    """Takes the generator out of a parsed rosinality checkpoint.

    Args:
        path: Where it came from, for messages.
        data: What ``torch.save`` had been given: a dict with ``g_ema`` (and ``latent_avg``), or a bare state dict.

    Raises:
        BadModel: there is no such generator in it.
    """
    name = Path(path).name
    if not isinstance(data, Mapping):
        raise BadModel(f"{name} holds {type(data).__name__}; expected a dict with one of {', '.join(GENERATOR_KEYS)}.")
    key = _generator_key(data)
    state = unwrap(data if key is None else data[key])
    average = data.get("latent_avg")
    kwargs, ours = translate(state, average if isinstance(average, Tensor) else None)
    others = sorted(str(k) for k in data if key is not None and k not in (key, "latent_avg"))
    notes = [f"left out: {', '.join(others[:8])}"] if others else []
    if not isinstance(average, Tensor):
        notes.append("the file has no mean latent; it is computed from random ones")
    return Checkpoint("rosinality", "stylegan2", kwargs, ours, notes=tuple(notes))


def _generator_key(data: Mapping[Any, Any]) -> Any:
    """The key of the best generator, whatever it is called; None where ``data`` is a state itself."""
    states = [key for key in (*GENERATOR_KEYS, *data) if isinstance(data.get(key), Mapping)]
    whole = [key for key in states if "input.input" in unwrap(data[key])]
    return next(iter(whole + [key for key in states if key in GENERATOR_KEYS]), None)


def unwrap(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state without the prefix that ``DataParallel`` puts before every name."""
    wrapped = bool(state) and all(str(name).startswith(_WRAPPED) for name in state)
    return {str(name)[len(_WRAPPED) if wrapped else 0 :]: value for name, value in state.items()}


def translate(state: Mapping[str, Any], average: Tensor | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """From the names of a rosinality checkpoint to those of the public StyleGAN2 ones.

    Args:
        state: Tensors by name.
        average: The mean latent, [w_dim] or one row per layer, where it is known.

    Returns:
        The constructor's arguments, and tensors by name, as :func:`construction.build` takes them.

    Raises:
        BadModel: a tensor is missing, superfluous, misshapen or not finite; the message names it.
    """
    t = Tensors(state, FORMAT)
    levels, channels = _channels(t)
    w_dim = t.shape("conv1.conv.modulation.weight", 2)[1]
    image_channels = t.shape("to_rgb1.conv.weight", 5)[1]
    ours, layers = _mapping(t, w_dim)
    taps = _resample_filter(t, levels)
    ours |= _synthesis(t, levels, channels, w_dim, image_channels)
    t.finish(ignored=r"(convs|to_rgbs)\.\d+\.(conv\.blur|upsample)\.kernel")
    if average is not None:
        ours["mapping.w_avg"] = _average(average, w_dim)
    kwargs = {
        "z_dim": layers[0][0].shape[1] if layers else w_dim,
        "c_dim": 0,
        "w_dim": w_dim,
        "img_resolution": 2**levels,
        "img_channels": image_channels,
        **channel_kwargs(channels),
        "architecture": "skip",
        "conv_clamp": None,  # the flat arguments of public constructors mean 256 where it is not told
        "resample_filter": list(taps),
        "mapping_kwargs": {"num_layers": len(layers), "lr_multiplier": _MAPPING_LR},
    }
    return kwargs, ours


def _channels(t: Tensors) -> tuple[int, dict[int, int]]:
    """log2 of the size, and the channels by resolution."""
    convs = t.count(r"convs\.(\d{1,4})\..*")
    levels = 2 + convs // 2
    if convs < 2 or convs % 2 or levels > MAX_LEVELS:
        raise BadModel(
            f"The file numbers its convs up to {convs - 1}; {FORMAT} has 2 for each doubling of the size, so an "
            f"even number of them from 2 to {2 * (MAX_LEVELS - 2)}. Is it a whole generator?"
        )
    channels = {4: t.shape("input.input", 4)[1]}
    for i in range(levels - 2):
        channels[8 << i] = t.shape(f"convs.{2 * i}.conv.weight", 5)[1]
    return levels, channels


def _mapping(t: Tensors, w_dim: int) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
    """``style.1`` … ``style.n``; ``style.0`` is the normalisation of z, which has no tensors."""
    ours: dict[str, Tensor] = {}
    layers: list[tuple[Tensor, Tensor]] = []
    for i in range(1, t.count(r"style\.(\d{1,4})\..*")):
        inputs = w_dim if layers else t.shape(f"style.{i}.weight", 2)[1]
        layers.append((t.take(f"style.{i}.weight", w_dim, inputs), t.take(f"style.{i}.bias", w_dim)))
        ours[f"mapping.fc{i - 1}.weight"], ours[f"mapping.fc{i - 1}.bias"] = layers[-1]
    return ours, layers


def _average(average: Tensor, w_dim: int) -> Tensor:
    """The mean latent [w_dim], from the file's [w_dim], [1, w_dim] or [layers, w_dim]."""
    if average.ndim == 0 or average.shape[-1] != w_dim or average.numel() > w_dim * MAX_LAYERS:
        raise BadModel(f"The tensor 'latent_avg' has the shape {list(average.shape)}; expected [{w_dim}].")
    return average.detach().float().reshape(-1, w_dim).mean(dim=0)


def _resample_filter(t: Tensors, levels: int) -> tuple[Any, ...]:
    """The taps of the blur kernel, which every upsampling layer repeats."""
    names = [f"convs.{2 * i}.conv.blur.kernel" for i in range(levels - 2)]
    names += [f"to_rgbs.{i}.upsample.kernel" for i in range(levels - 2)]
    there = [name for name in names if name in t]
    if not there:  # older checkpoints leave them out
        return (1, 3, 3, 1)
    side = t.shape(there[0], 2)
    if side[0] != side[1] or not 1 <= side[0] <= 16:
        raise BadModel(f"The tensor {there[0]!r} has the shape {list(side)}; expected a blur kernel, usually [4, 4].")
    first = t.take(there[0], *side).float()
    for name in there[1:]:
        if not torch.allclose(t.take(name, *side).float(), first, rtol=1e-4, atol=1e-6):
            raise BadModel(f"The blur kernels {there[0]!r} and {name!r} differ; expected one for all layers.")
    return filter_taps(first)


def _synthesis(t: Tensors, levels: int, channels: dict[int, int], w_dim: int, colors: int) -> dict[str, Tensor]:
    """Everything but the mapping."""
    ours = {"synthesis.b4.const": t.take("input.input", 1, channels[4], 4, 4)[0]}
    noises = iter(range(2 * levels - 3))
    ours |= _convolution(t, "conv1", "synthesis.b4.conv1", channels[4], channels[4], w_dim, 4, next(noises))
    ours |= _to_rgb(t, "to_rgb1", "synthesis.b4.torgb", channels[4], colors, w_dim)
    for i in range(levels - 2):
        size, inputs, outputs = 8 << i, channels[4 << i], channels[8 << i]
        block = f"synthesis.b{size}"
        ours |= _convolution(t, f"convs.{2 * i}", f"{block}.conv0", inputs, outputs, w_dim, size, next(noises))
        ours |= _convolution(t, f"convs.{2 * i + 1}", f"{block}.conv1", outputs, outputs, w_dim, size, next(noises))
        ours |= _to_rgb(t, f"to_rgbs.{i}", f"{block}.torgb", outputs, colors, w_dim)
    return ours


def _convolution(
    t: Tensors, theirs: str, ours: str, inputs: int, outputs: int, w_dim: int, size_px: int, noise: int
) -> dict[str, Tensor]:
    found = dict(_modulated(t, f"{theirs}.conv", ours, inputs, outputs, 3, w_dim))
    found[f"{ours}.bias"] = t.take(f"{theirs}.activate.bias", outputs)
    found[f"{ours}.noise_strength"] = t.take(f"{theirs}.noise.weight", 1)[0]
    name = f"noises.noise_{noise}"
    if name in t or any(other.startswith("noises.") for other in t.state):  # the oldest checkpoints have none at all
        found[f"{ours}.noise_const"] = t.take(name, 1, 1, size_px, size_px)[0, 0]
    return found


def _to_rgb(t: Tensors, theirs: str, ours: str, inputs: int, colors: int, w_dim: int) -> dict[str, Tensor]:
    found = dict(_modulated(t, f"{theirs}.conv", ours, inputs, colors, 1, w_dim))
    found[f"{ours}.bias"] = t.take(f"{theirs}.bias", 1, colors, 1, 1).reshape(colors)
    return found


def _modulated(
    t: Tensors, theirs: str, ours: str, inputs: int, outputs: int, kernel: int, w_dim: int
) -> Iterator[tuple[str, Tensor]]:
    """The weight, stored with a leading axis of 1, and the layer that turns w into styles."""
    yield f"{ours}.weight", t.take(f"{theirs}.weight", 1, outputs, inputs, kernel, kernel)[0]
    yield f"{ours}.affine.weight", t.take(f"{theirs}.modulation.weight", inputs, w_dim)
    yield f"{ours}.affine.bias", t.take(f"{theirs}.modulation.bias", inputs)
