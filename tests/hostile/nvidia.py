"""Writes pickles with the structure of NVIDIA's, from generators of this project and without foreign code."""

from __future__ import annotations

import contextlib
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

#: What real files hold 40 kB of. If anybody runs it, it leaves a file behind.
MODULE_SRC = "import os\nopen({canary!r}, 'w').write('executed')\nclass {name}: pass\n" + "# filling\n" * 4000
BUFFERS = ("w_avg", "noise_const", "resample_filter", "magnitude_ema", "transform", "freqs", "phases")
FILTERS = ("up_filter", "down_filter")


class _Network:
    """An object that pickles as a persistent class of NVIDIA's does."""

    def __init__(self, class_name: str, state: dict[str, Any], canary: str) -> None:
        self.class_name, self.state, self.canary = class_name, state, canary

    def __reduce__(self) -> tuple[Any, ...]:
        meta = {
            "type": "class",
            "version": 6,
            "module_src": MODULE_SRC.format(canary=self.canary, name=self.class_name),
            "class_name": self.class_name,
            "state": self.state,
        }
        function = sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj
        return function, (meta,), None, None, None


def network(name: str, tensors: Mapping[str, Tensor], canary: str, **attributes: Any) -> _Network:
    """A network, and the ones in it, of tensors by dotted names."""
    own = {key: value for key, value in tensors.items() if "." not in key}
    inner: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        head, dot, rest = key.partition(".")
        if dot:
            inner.setdefault(head, {})[rest] = value
    is_buffer = {key: key in (*BUFFERS, *FILTERS) for key in own}
    state = {
        "training": False,
        "_parameters": OrderedDict(
            (k, nn.Parameter(v, v.is_floating_point())) for k, v in own.items() if not is_buffer[k]
        ),
        "_buffers": OrderedDict((k, v) for k, v in own.items() if is_buffer[k]),
        "_non_persistent_buffers_set": set(),
        "_backward_hooks": OrderedDict(),
        "_is_full_backward_hook": None,
        "_modules": OrderedDict((k, network(k.capitalize(), v, canary)) for k, v in inner.items()),
        "in_cutoff": np.float64(2.0),
        "in_size": np.broadcast_to(np.asarray(36), [2]).copy(),
        "size": torch.Size([4, 4]),
        **attributes,
    }
    return _Network(name, state, canary)


@contextlib.contextmanager
def foreign_names() -> Iterator[type]:
    """Modules of the names that a pickle has to find while it is written; yields EasyDict."""

    def _reconstruct_persistent_obj(meta: Any) -> Any:
        raise AssertionError("somebody called what a file names")

    easy = type("EasyDict", (dict,), {"__module__": "dnnlib.util", "__qualname__": "EasyDict"})
    tf = type("Network", (), {"__module__": "dnnlib.tflib.network", "__qualname__": "Network"})
    contents = {"torch_utils.persistence": _reconstruct_persistent_obj, "dnnlib.util": easy, "dnnlib.tflib.network": tf}
    names = ("torch_utils", "torch_utils.persistence", "dnnlib", "dnnlib.util", "dnnlib.tflib", "dnnlib.tflib.network")
    before = {name: sys.modules.get(name) for name in names}
    try:
        for name in names:
            sys.modules[name] = types.ModuleType(name)
        for name, thing in contents.items():
            thing.__module__, thing.__qualname__ = name, thing.__name__
            setattr(sys.modules[name], thing.__name__, thing)
        yield easy
    finally:
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


def nvidia_pickle(
    tensors: Mapping[str, Tensor],
    init_kwargs: Mapping[str, Any],
    canary: Path,
    *,
    protocol: int = 4,
    init_args: tuple[Any, ...] = (),
    parts: tuple[str, ...] = ("G", "D", "G_ema", "augment_pipe"),
    bare: bool = False,
    **attributes: Any,
) -> bytes:
    """A file as of stylegan2-ada-pytorch and stylegan3: G_ema has the tensors, the others have something else.

    Args:
        tensors: By the names of the public checkpoints.
        init_kwargs: The constructor's arguments.
        canary: What the module's source writes, if anybody runs it.
        protocol: Of the pickle.
        init_args: Positional arguments.
        parts: The keys of the file's dict.
        bare: The network alone instead of a dict.
        attributes: Of the network.
    """
    with foreign_names() as easy:
        kwargs = easy({k: easy(v) if isinstance(v, dict) else v for k, v in init_kwargs.items()})
        attributes = {"_init_args": init_args, "_init_kwargs": kwargs, **attributes}

        def part(name: str) -> _Network:
            if name == "D":
                return network("Discriminator", {"b4.out.weight": torch.zeros(1, 8)}, str(canary))
            if name == "augment_pipe":
                return network("AugmentPipe", {"p": torch.zeros([])}, str(canary))
            last = name == "G_ema" or "G_ema" not in parts
            values = tensors if last else {k: v + 1 for k, v in tensors.items()}
            return network("Generator", values, str(canary), **attributes)

        if bare:
            return pickle.dumps(part("G_ema"), protocol)
        return pickle.dumps({**{name: part(name) for name in parts}, "training_set_kwargs": easy()}, protocol)
