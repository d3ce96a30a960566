"""Reads checkpoints of the rosinality implementation of StyleGAN2 and of the many projects based on it.

The network is that of Karras et al. 2020 with skip connections; only names and a few layouts differ, so a checkpoint is
translated and built like any other. Resolution, channels, number of mapping layers and blur kernel are read from the
shapes and values of the tensors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.checkpoints.checkpoint import Checkpoint
from latent_editor.checkpoints.foreign import MAX_LAYERS, StateReader, channel_kwargs, filter_taps
from latent_editor.core.errors import BadModel

#: Keys that may hold the generator, by preference: first the moving average of the weights.
GENERATOR_KEYS = ("g_ema", "params_ema", "g", "generator", "state_dict")
FORMAT = "a rosinality generator"
#: log2 of the largest supported resolution.
MAX_LEVELS = 12
_DATA_PARALLEL_PREFIX = "module."
_MAPPING_LR = 0.01


def read_rosinality(path: str | Path, data: Any) -> Checkpoint:
    """Reads the generator of a parsed rosinality checkpoint.

    Args:
        path: The file, for messages.
        data: The object passed to ``torch.save``: a dict with ``g_ema`` (and ``latent_avg``), or a bare state dict.

    Raises:
        BadModel: it holds no such generator.
    """
    name = Path(path).name
    if not isinstance(data, Mapping):
        raise BadModel(f"{name} is a {type(data).__name__}; expected a dict with one of {', '.join(GENERATOR_KEYS)}.")
    key = _generator_key(data)
    state = unwrap(data if key is None else data[key])
    average = data.get("latent_avg")
    kwargs, ours = translate(state, average if isinstance(average, Tensor) else None)
    others = sorted(str(k) for k in data if key is not None and k not in (key, "latent_avg"))
    notes = [f"left out: {', '.join(others[:8])}"] if others else []
    if not isinstance(average, Tensor):
        notes.append("the file has no mean latent; it is computed from random latents")
    return Checkpoint("rosinality", "stylegan2", kwargs, ours, notes=tuple(notes))


def _generator_key(data: Mapping[Any, Any]) -> Any:
    """The key of the preferred generator; None if ``data`` is itself a state dict."""
    states = [key for key in (*GENERATOR_KEYS, *data) if isinstance(data.get(key), Mapping)]
    whole = [key for key in states if "input.input" in unwrap(data[key])]
    return next(iter(whole + [key for key in states if key in GENERATOR_KEYS]), None)


def unwrap(state: Mapping[str, Any]) -> dict[str, Any]:
    """Removes the name prefix that ``DataParallel`` adds."""
    wrapped = bool(state) and all(str(name).startswith(_DATA_PARALLEL_PREFIX) for name in state)
    return {str(name)[len(_DATA_PARALLEL_PREFIX) if wrapped else 0 :]: value for name, value in state.items()}


def translate(state: Mapping[str, Any], average: Tensor | None = None) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translates a rosinality state dict to the names of NVIDIA's StyleGAN2.

    Args:
        state: Tensors by name.
        average: The mean latent, [w_dim] or one row per layer, if known.

    Returns:
        The constructor arguments and tensors by name, for :func:`construction.build`.

    Raises:
        BadModel: a tensor is missing, unexpected or misshapen; the message names it.
    """
    t = StateReader(state, FORMAT)
    levels, channels = _channels(t)
    w_dim = t.shape("conv1.conv.modulation.weight", 2)[1]
    image_channels = t.shape("to_rgb1.conv.weight", 5)[1]
    ours, layers = _mapping(t, w_dim)
    taps = _resample_filter(t, levels)
    ours |= _synthesis(t, levels, channels, w_dim, image_channels)
    t.check_all_used(ignored=r"(convs|to_rgbs)\.\d+\.(conv\.blur|upsample)\.kernel")
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
        "conv_clamp": None,  # explicit: the default of the public constructors is 256
        "resample_filter": list(taps),
        "mapping_kwargs": {"num_layers": len(layers), "lr_multiplier": _MAPPING_LR},
    }
    return kwargs, ours


def _channels(t: StateReader) -> tuple[int, dict[int, int]]:
    """log2 of the resolution, and the channels by resolution."""
    convs = t.count_numbered(r"convs\.(\d{1,4})\..*")
    levels = 2 + convs // 2
    if convs < 2 or convs % 2 or levels > MAX_LEVELS:
        raise BadModel(
            f"The file numbers its convs up to {convs - 1}; {FORMAT} has 2 for each doubling of the resolution, an "
            f"even number from 2 to {2 * (MAX_LEVELS - 2)}. Is the generator complete?"
        )
    channels = {4: t.shape("input.input", 4)[1]}
    for i in range(levels - 2):
        channels[8 << i] = t.shape(f"convs.{2 * i}.conv.weight", 5)[1]
    return levels, channels


def _mapping(t: StateReader, w_dim: int) -> tuple[dict[str, Tensor], list[tuple[Tensor, Tensor]]]:
    """``style.1`` … ``style.n``; ``style.0`` is the normalization of z, which has no tensors."""
    ours: dict[str, Tensor] = {}
    layers: list[tuple[Tensor, Tensor]] = []
    for i in range(1, t.count_numbered(r"style\.(\d{1,4})\..*")):
        inputs = w_dim if layers else t.shape(f"style.{i}.weight", 2)[1]
        layers.append((t.read(f"style.{i}.weight", w_dim, inputs), t.read(f"style.{i}.bias", w_dim)))
        ours[f"mapping.fc{i - 1}.weight"], ours[f"mapping.fc{i - 1}.bias"] = layers[-1]
    return ours, layers


def _average(average: Tensor, w_dim: int) -> Tensor:
    """The mean latent [w_dim] from [w_dim], [1, w_dim] or [layers, w_dim]."""
    if average.ndim == 0 or average.shape[-1] != w_dim or average.numel() > w_dim * MAX_LAYERS:
        raise BadModel(f"The tensor 'latent_avg' has the shape {list(average.shape)}; expected [{w_dim}].")
    return average.detach().float().reshape(-1, w_dim).mean(dim=0)


def _resample_filter(t: StateReader, levels: int) -> tuple[Any, ...]:
    """The taps of the blur kernel, which is stored with every upsampling layer."""
    names = [f"convs.{2 * i}.conv.blur.kernel" for i in range(levels - 2)]
    names += [f"to_rgbs.{i}.upsample.kernel" for i in range(levels - 2)]
    stored = [name for name in names if name in t]
    if not stored:  # older checkpoints omit them
        return (1, 3, 3, 1)
    side = t.shape(stored[0], 2)
    if side[0] != side[1] or not 1 <= side[0] <= 16:
        raise BadModel(f"The tensor {stored[0]!r} has the shape {list(side)}; expected a blur kernel, usually [4, 4].")
    first = t.read(stored[0], *side).float()
    for name in stored[1:]:
        if not torch.allclose(t.read(name, *side).float(), first, rtol=1e-4, atol=1e-6):
            raise BadModel(f"The blur kernels {stored[0]!r} and {name!r} differ; expected one for all layers.")
    return filter_taps(first)


def _synthesis(t: StateReader, levels: int, channels: dict[int, int], w_dim: int, colors: int) -> dict[str, Tensor]:
    """All tensors of the synthesis network."""
    ours = {"synthesis.b4.const": t.read("input.input", 1, channels[4], 4, 4)[0]}
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
    t: StateReader, theirs: str, ours: str, inputs: int, outputs: int, w_dim: int, size_px: int, noise: int
) -> dict[str, Tensor]:
    found = dict(_modulated(t, f"{theirs}.conv", ours, inputs, outputs, 3, w_dim))
    found[f"{ours}.bias"] = t.read(f"{theirs}.activate.bias", outputs)
    found[f"{ours}.noise_strength"] = t.read(f"{theirs}.noise.weight", 1)[0]
    name = f"noises.noise_{noise}"
    if name in t or any(other.startswith("noises.") for other in t.state):  # the oldest checkpoints have none
        found[f"{ours}.noise_const"] = t.read(name, 1, 1, size_px, size_px)[0, 0]
    return found


def _to_rgb(t: StateReader, theirs: str, ours: str, inputs: int, colors: int, w_dim: int) -> dict[str, Tensor]:
    found = dict(_modulated(t, f"{theirs}.conv", ours, inputs, colors, 1, w_dim))
    found[f"{ours}.bias"] = t.read(f"{theirs}.bias", 1, colors, 1, 1).reshape(colors)
    return found


def _modulated(
    t: StateReader, theirs: str, ours: str, inputs: int, outputs: int, kernel: int, w_dim: int
) -> Iterator[tuple[str, Tensor]]:
    """The weight, stored with a leading axis of 1, and the affine layer that maps w to styles."""
    yield f"{ours}.weight", t.read(f"{theirs}.weight", 1, outputs, inputs, kernel, kernel)[0]
    yield f"{ours}.affine.weight", t.read(f"{theirs}.modulation.weight", inputs, w_dim)
    yield f"{ours}.affine.bias", t.read(f"{theirs}.modulation.bias", inputs)
