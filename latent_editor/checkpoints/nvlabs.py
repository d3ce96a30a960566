"""Reads NVIDIA pickles (stylegan2-ada-pytorch, stylegan3): only the tensors and the constructor arguments.

These files reference a function that NVIDIA's loader calls with the source code of the network, to compile and run it.
The stand-in used here only stores its arguments; the source code is ignored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from torch import Tensor

from latent_editor.checkpoints.checkpoint import Checkpoint
from latent_editor.checkpoints.unpickling import Instance, InstanceRecord, Refused, attributes, shorten
from latent_editor.core.errors import BadModel

#: The order of the constructor's positional arguments.
POSITIONAL = ("z_dim", "c_dim", "w_dim", "img_resolution", "img_channels")
#: Generators in a file, by preference: G_ema has the moving average of the weights.
GENERATORS = ("G_ema", "G")
#: Class of the networks in TensorFlow files.
TENSORFLOW_NETWORK = "dnnlib.tflib.network.Network"
_NEWEST_VERSION = 6
_MAX_TENSORS = 4096
_MODULES, _TENSORS = "_modules", ("_parameters", "_buffers")


def _persistent(meta: Any, *_: Any) -> InstanceRecord:
    """Stand-in for ``torch_utils.persistence._reconstruct_persistent_obj`` that drops the source code."""
    if not isinstance(meta, dict) or meta.get("type") != "class":
        raise Refused("holds an NVIDIA network whose metadata is not a dict of type 'class'")
    version, name = meta.get("version"), meta.get("class_name")
    if isinstance(version, bool) or not isinstance(version, int) or not 0 < version <= _NEWEST_VERSION:
        raise Refused(f"holds an NVIDIA network of version {str(version)[:20]}; up to {_NEWEST_VERSION} are known")
    if not isinstance(name, str):
        raise Refused("holds an NVIDIA network without a class_name")
    return InstanceRecord(shorten(name), meta.get("state"))


def _tensorflow_network(*_: Any) -> InstanceRecord:
    return InstanceRecord(TENSORFLOW_NETWORK)


#: Globals that these files and TensorFlow's reference, besides tensors and arrays.
NAMES: Mapping[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
        ("dnnlib.util", "EasyDict"): attributes,
        ("dnnlib", "EasyDict"): attributes,
        ("dnnlib.tflib.network", "Network"): _tensorflow_network,
    }
)


def select_generator(root: Any) -> Any:
    """Keeps only the generator of a parsed, not yet converted file; the other networks become None."""
    if isinstance(root, dict):
        for name in GENERATORS:
            record = root.get(name)
            if isinstance(record, InstanceRecord) and record.name != TENSORFLOW_NETWORK:
                return {key: value if key == name else None for key, value in root.items()}
    return root


def read_nvlabs(path: str | Path, data: Any) -> Checkpoint:
    """Reads the generator of a parsed NVIDIA pickle.

    Args:
        path: The file, for messages.
        data: A dict with ``G_ema`` or ``G``, or a single network, from
            :func:`latent_editor.checkpoints.unpickling.read_model_file`.

    Raises:
        BadModel: it holds no generator, or is damaged.
    """
    name, notes = Path(path).name, []
    network = data
    if isinstance(data, Mapping):
        key = next((key for key in GENERATORS if isinstance(data.get(key), Instance)), None)
        if key is None:
            raise BadModel(
                f"{name} holds {_first_names(data)} but no network G_ema or G. Is it a generator checkpoint?"
            )
        network = data[key]
        others = sorted(str(other) for other in data if other != key)
        if key != GENERATORS[0]:
            notes.append("G_ema, the moving average of the weights, is missing; G is used")
        if others:
            notes.append(f"left out: {', '.join(shorten(other, 40) for other in others[:8])}")
    if not isinstance(network, Instance):
        raise BadModel(f"{name} holds a {type(network).__name__}, not a network. Is it a generator checkpoint?")
    notes.append("the Python source in the file was neither compiled nor run")
    kind = _kind(name, network)
    return Checkpoint("nvlabs", kind, _arguments(network), _tensors(name, network), notes=tuple(notes))


def _first_names(names: Mapping[Any, Any]) -> str:
    return ", ".join(shorten(str(key), 40) for key in list(names)[:6]) or "nothing"


def _kind(name: str, network: Instance) -> str:
    """The architecture, from the submodules and not the class name."""
    parts = _dict_attribute(network, _MODULES)
    if not {"mapping", "synthesis"} <= set(parts):
        raise BadModel(
            f"{name} holds a network {network.name!r} with the submodules {_first_names(parts)}; a generator has "
            "mapping and synthesis. Is it the discriminator?"
        )
    synthesis = parts["synthesis"]
    layers = set(_dict_attribute(synthesis, _MODULES)) if isinstance(synthesis, Instance) else set()
    if "input" in layers:
        return "stylegan3"
    if "b4" in layers:
        return "stylegan2"
    raise BadModel(
        f"{name} holds a generator whose synthesis has the submodules "
        f"{', '.join(sorted(map(str, layers))[:6]) or 'none'}; "
        "StyleGAN2 has b4, b8, …, StyleGAN3 has input, L0_…. Other networks are not supported."
    )


def _dict_attribute(network: Instance, attribute: str) -> dict[str, Any]:
    """A dict attribute with string keys, or an empty dict."""
    value = network.state.get(attribute)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise BadModel(
            f"{attribute} of the network {network.name!r} is not a dict with string keys. Is the file damaged?"
        )
    return value


def _tensors(name: str, network: Instance) -> dict[str, Tensor]:
    """The tensors of a network and its submodules, by dotted name."""
    found: dict[str, Tensor] = {}
    stack = [("", network)]
    while stack:
        prefix, part = stack.pop()
        for attribute in _TENSORS:
            for key, value in _dict_attribute(part, attribute).items():
                if value is None or key in (part.state.get("_non_persistent_buffers_set") or ()):
                    continue
                if not isinstance(value, Tensor):
                    raise BadModel(f"{name}: {prefix}{shorten(key)} is a {type(value).__name__}, expected a tensor.")
                found[f"{prefix}{key}"] = value
        for key, value in _dict_attribute(part, _MODULES).items():
            if value is None:
                continue
            if not isinstance(value, Instance):
                raise BadModel(f"{name}: {prefix}{shorten(key)} is a {type(value).__name__}, expected a network.")
            stack.append((f"{prefix}{key}.", value))
        if len(found) > _MAX_TENSORS or len(stack) > _MAX_TENSORS:
            raise BadModel(f"{name} has more than {_MAX_TENSORS:,} tensors; a generator has a few hundred.")
    return found


def _arguments(network: Instance) -> dict[str, Any]:
    """The constructor arguments by name; missing ones are taken from the attributes of the same name."""
    given = network.state.get("_init_args") or ()
    keywords = network.state.get("_init_kwargs") or {}
    if not isinstance(given, (tuple, list)) or len(given) > len(POSITIONAL) or not isinstance(keywords, dict):
        raise BadModel(f"The constructor arguments of {network.name!r} cannot be read. Is the file damaged?")
    arguments = dict(zip(POSITIONAL, given, strict=False))
    arguments.update({str(key): value for key, value in keywords.items() if key != "class_name"})
    for key in POSITIONAL:
        if key not in arguments and key in network.state:
            arguments[key] = network.state[key]
    return {key: _plain_value(key, value) for key, value in arguments.items()}


def _plain_value(name: str, value: Any) -> Any:
    """Converts a value to numbers, text, and lists and dicts of these; the depth is limited by the unpickler."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain_value(name, item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain_value(name, item) for key, item in value.items()}
    if isinstance(value, (Tensor, np.ndarray)) and value.ndim <= 2 and max(value.shape, default=0) <= 64:
        return _plain_value(name, value.tolist())
    raise BadModel(f"The constructor argument {shorten(name)!r} is a {type(value).__name__}; expected numbers or text.")
