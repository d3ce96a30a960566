"""Reads pickles of the TensorFlow implementations of StyleGAN2 (Karras et al. 2020, configurations E and F) and
StyleGAN2-ADA.

They hold the names and arrays of the variables, the arguments, and source code, which is ignored. Only names and
layouts differ from the PyTorch checkpoints: convolutions are stored as [kh, kw, in, out], matrices as [in, out], and
the bias of the affine layers without the 1 that is added to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.checkpoints.arguments import boolean
from latent_editor.checkpoints.checkpoint import Checkpoint
from latent_editor.checkpoints.foreign import StateReader, channel_kwargs
from latent_editor.checkpoints.unpickling import Instance
from latent_editor.core.errors import BadModel

FORMAT = "a TensorFlow StyleGAN2"
#: Arguments that change the images, by their TensorFlow names: of the network and of the mapping.
_FLAT = {"resample_kernel": "resample_filter", "conv_clamp": "conv_clamp", "nonlinearity": "activation"}
_OF_MAPPING = {"mapping_lrmul": "lr_multiplier", "mapping_nonlinearity": "activation"}
_MAX_DEPTH, _MAX_LEVELS, _MAX_VARIABLES = 4, 12, 5000


def read_tensorflow(path: str | Path, data: Any) -> Checkpoint:
    """Reads the generator of a parsed TensorFlow pickle.

    Args:
        path: The file, for messages.
        data: The networks, from :func:`latent_editor.checkpoints.unpickling.read_pickle`: (G, D, Gs), a dict of
            them, or one of them.

    Raises:
        BadModel: it holds no StyleGAN2 generator, or is damaged.
    """
    network, notes = _generator(Path(path).name, data)
    variables = dict(_variables(network))
    _refuse_other_networks(Path(path).name, variables)
    kwargs, ours = translate(variables, _arguments(network))
    if "dlatent_avg" not in variables:
        notes.append("the file has no mean latent; it is computed from random latents")
    return Checkpoint("tensorflow", "stylegan2", kwargs, ours, notes=tuple(notes))


def translate(
    variables: Mapping[str, Any], arguments: Mapping[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Translates the variables of a TensorFlow generator to the names and layouts of the PyTorch checkpoints.

    Args:
        variables: Arrays by name: ``mapping/Dense0/weight``, ``synthesis/4x4/Conv/mod_bias``, …
        arguments: Arguments of the networks that differ from the defaults.

    Returns:
        The constructor arguments and tensors by name, for
        :func:`latent_editor.generators.construction.build`.

    Raises:
        BadModel: a variable is missing, unexpected or misshapen; the message names it.
    """
    t, given = StateReader(variables, FORMAT), dict(arguments or {})
    if not boolean("normalize_latents", given.get("normalize_latents", True)):
        raise BadModel("The network does not normalize z (normalize_latents = False), which is not supported.")
    levels, channels = _channels(t)
    w_dim = t.shape("synthesis/4x4/Conv/mod_weight", 2)[0]
    colors = t.shape(f"synthesis/{_scope(2**levels)}/ToRGB/weight", 4)[3]
    skip, resnet = "synthesis/4x4/ToRGB/weight" in t, "synthesis/8x8/Skip/weight" in t
    kwargs: dict[str, Any] = {
        "w_dim": w_dim,
        "img_resolution": 2**levels,
        "img_channels": colors,
        **channel_kwargs(channels),
        "architecture": "skip" if skip else "resnet" if resnet else "orig",
        "use_noise": "synthesis/4x4/Conv/noise_strength" in t,
        "conv_clamp": None,
        **{ours: given[theirs] for theirs, ours in _FLAT.items() if given.get(theirs) is not None},
    }
    of_mapping, state = _mapping(t, w_dim, given)
    kwargs |= {"z_dim": of_mapping.pop("z_dim"), "c_dim": of_mapping.pop("c_dim"), "mapping_kwargs": of_mapping}
    state |= _synthesis(t, channels, w_dim, colors, skip=skip, resnet=resnet, noise=kwargs["use_noise"])
    t.check_all_used(ignored=r"((mapping|synthesis)/)?lod|synthesis/noise\d{1,3}")
    return kwargs, state


# From the pickle to variables.


def _generator(name: str, data: Any) -> tuple[Instance, list[str]]:
    """The preferred generator (Gs, the moving average, if present), and a note about the networks left out."""
    if isinstance(data, Mapping):
        parts = list(data.values())
    else:
        parts = list(data) if isinstance(data, list | tuple) else [data]
    networks = [part for part in parts if isinstance(part, Instance)]
    found = [n for n in networks if isinstance(n.state.get("components"), Mapping) and n.state["components"]]
    if not found:
        names = ", ".join(repr(str(n.state.get("name"))[:40]) for n in networks[:6])
        raise BadModel(
            f"{name} holds the TensorFlow networks {names or '(none)'}; expected a StyleGAN2 generator, which consists "
            "of a mapping and a synthesis network. Is it a discriminator, or an older GAN?"
        )
    chosen = next((n for n in found if str(n.state.get("name")) == "Gs"), found[-1])
    others = [str(n.state.get("name"))[:40] for n in networks if n is not chosen]
    return chosen, [f"left out: {', '.join(others[:8])}"] if others else []


def _variables(network: Instance, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """The variables of a network and its components, as ("component/name", array)."""
    listed = network.state.get("variables", [])
    components = network.state.get("components", {})
    if depth > _MAX_DEPTH or not isinstance(components, Mapping) or len(components) > 16:
        raise BadModel("The TensorFlow network has more components than a StyleGAN2. Is the file damaged?")
    pairs = list(listed.items()) if isinstance(listed, Mapping) else listed
    if not isinstance(pairs, list | tuple) or len(pairs) > _MAX_VARIABLES:
        raise BadModel("The variables of the TensorFlow network are not a list. Is the file damaged?")
    for pair in pairs:
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise BadModel("The variables of the TensorFlow network are not (name, array) pairs. Is the file damaged?")
        yield prefix + _strip_scopes(pair[0], prefix), pair[1]
    for name, component in components.items():
        if not isinstance(component, Instance):
            raise BadModel(f"The network's component {str(name)[:40]!r} is a {type(component).__name__}, no network.")
        yield from _variables(component, f"{prefix}{name}/", depth + 1)


def _strip_scopes(name: str, prefix: str) -> str:
    """A variable's name without ":0" and without the scopes of its network, which some files repeat."""
    name = re.sub(r":\d+$", "", name)
    scope = prefix.rstrip("/")
    return re.sub(rf"^(Gs?/)?(G_{re.escape(scope)}/)?" if scope else r"^Gs?/(?!G_)", "", name)


def _arguments(network: Instance) -> dict[str, Any]:
    """The merged arguments of a network and its components."""
    components = network.state.get("components", {})
    merged: dict[str, Any] = {}
    for part in (network, *components.values()):
        given = part.state.get("static_kwargs")
        merged |= {str(k): v for k, v in given.items()} if isinstance(given, Mapping) else {}
    return merged


def _refuse_other_networks(name: str, variables: Mapping[str, Any]) -> None:
    """Refuses networks in the same container that are not StyleGAN2 configuration E or F."""
    if any("/StyleMod/" in variable for variable in variables):
        raise BadModel(f"{name} is a StyleGAN1 (2018); only StyleGAN2 and StyleGAN3 are supported.")
    if any("ToRGB_lod" in variable for variable in variables):
        raise BadModel(f"{name} is a StyleGAN2 of configuration B, C or D; only E, F and successors are supported.")


# From variables to tensors.


def _scope(size_px: int) -> str:
    return f"{size_px}x{size_px}"


def _channels(t: StateReader) -> tuple[int, dict[int, int]]:
    """log2 of the resolution, and the channels by resolution."""
    levels = 2
    while f"synthesis/{_scope(2 << levels)}/Conv1/weight" in t and levels < _MAX_LEVELS:
        levels += 1
    channels = {4: t.shape("synthesis/4x4/Const/const", 4)[1]}
    for level in range(3, max(levels, 3) + 1):
        channels[2**level] = t.shape(f"synthesis/{_scope(2**level)}/Conv0_up/weight", 4)[3]
    return max(levels, 3), channels


def _mapping(t: StateReader, w_dim: int, given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Dense0 … DenseN, and the class embedding before them."""
    embedded, c_dim, ours = 0, 0, {}
    joint = "mapping/LabelConcat/weight" in t
    if joint:  # a plain matrix, without bias and equalized learning rate
        c_dim, embedded = t.shape("mapping/LabelConcat/weight", 2)
        weight = t.read("mapping/LabelConcat/weight", c_dim, embedded)
        ours["mapping.embed.weight"] = weight.t() * math.sqrt(c_dim)
        ours["mapping.embed.bias"] = torch.zeros(embedded)
    if "mapping/LabelEmbed/weight" in t:
        c_dim, embedded = t.shape("mapping/LabelEmbed/weight", 2)
        ours["mapping.embed.weight"] = t.read("mapping/LabelEmbed/weight", c_dim, embedded).t()
        ours["mapping.embed.bias"] = t.read("mapping/LabelEmbed/bias", embedded)
    count = t.count_numbered(r"mapping/Dense(\d{1,3})/.*")
    width = inputs = t.shape("mapping/Dense0/weight", 2)[0] if count else w_dim
    layers = []
    for i in range(count):
        outputs = w_dim if i == count - 1 else t.shape(f"mapping/Dense{i}/weight", 2)[1]
        weight = t.read(f"mapping/Dense{i}/weight", width, outputs).t()
        layers.append((weight, t.read(f"mapping/Dense{i}/bias", outputs)))
        ours[f"mapping.fc{i}.weight"], ours[f"mapping.fc{i}.bias"] = layers[-1]
        width = outputs
    arguments: dict[str, Any] = {"num_layers": count, "lr_multiplier": 0.01}
    arguments |= {name: given[theirs] for theirs, name in _OF_MAPPING.items() if given.get(theirs) is not None}
    if embedded:
        arguments |= {"embed_features": embedded, "joint_norm": joint}
    if count > 1:
        arguments["layer_features"] = layers[0][0].shape[0]
    z_dim = max(inputs - embedded, 0)
    if "dlatent_avg" in t:
        ours["mapping.w_avg"] = t.read("dlatent_avg", w_dim)
    return {"z_dim": z_dim, "c_dim": c_dim, **arguments}, ours


def _synthesis(
    t: StateReader, channels: Mapping[int, int], w_dim: int, colors: int, *, skip: bool, resnet: bool, noise: bool
) -> dict[str, Tensor]:
    """All tensors of the synthesis network."""
    ours = {"synthesis.b4.const": t.read("synthesis/4x4/Const/const", 1, channels[4], 4, 4)[0]}
    noises = iter(range(2 * len(channels)))
    for size, outputs in channels.items():
        theirs, block, inputs = f"synthesis/{_scope(size)}", f"synthesis.b{size}", channels.get(size // 2, 0)
        if size == 4:
            layers = [("Conv", "conv1", outputs, False)]
        else:
            layers = [("Conv0_up", "conv0", inputs, True), ("Conv1", "conv1", outputs, False)]
        for scope, layer, width, up in layers:
            number = next(noises)
            name = f"{block}.{layer}"
            ours |= dict(_modulated(t, f"{theirs}/{scope}", name, (3, 3, width, outputs), w_dim, flip=up))
            if noise:
                ours[f"{name}.noise_strength"] = t.read(f"{theirs}/{scope}/noise_strength")
                ours[f"{name}.noise_const"] = t.read(f"synthesis/noise{number}", 1, 1, size, size)[0, 0]
        if skip or size == max(channels):
            ours |= dict(_modulated(t, f"{theirs}/ToRGB", f"{block}.torgb", (1, 1, outputs, colors), w_dim))
        if resnet and size > 4:
            ours[f"{block}.skip.weight"] = _kernel(t.read(f"{theirs}/Skip/weight", 1, 1, inputs, outputs))
    return ours


def _modulated(
    t: StateReader, theirs: str, ours: str, shape: tuple[int, int, int, int], w_dim: int, *, flip: bool = False
) -> Iterator[tuple[str, Tensor]]:
    """A modulated convolution; upsampling ones are stored flipped, for a transposed convolution."""
    _, _, inputs, outputs = shape
    yield f"{ours}.weight", _kernel(t.read(f"{theirs}/weight", *shape), flip=flip)
    yield f"{ours}.bias", t.read(f"{theirs}/bias", outputs)
    yield f"{ours}.affine.weight", t.read(f"{theirs}/mod_weight", w_dim, inputs).t()
    yield f"{ours}.affine.bias", t.read(f"{theirs}/mod_bias", inputs) + 1


def _kernel(weight: Tensor, *, flip: bool = False) -> Tensor:
    """[kh, kw, in, out] → [out, in, kh, kw]"""
    weight = weight.permute(3, 2, 0, 1)
    return (weight.flip(2, 3) if flip else weight).contiguous()
