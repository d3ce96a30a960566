"""Files of the small networks that look at pictures: safetensors, with their constructor's arguments inside."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel

N = TypeVar("N", bound=nn.Module)


def save_network(net: Any, path: str | Path, *, kind: str, dtype: torch.dtype = torch.float16, **about: str) -> None:
    """Writes a network as safetensors, by default in half precision.

    Args:
        net: A module with a ``config``.
        kind: What it is, in a word; the reader insists on it.
        about: More metadata.
    """
    tensors = {k: v.to(dtype) for k, v in net.state_dict().items() if v.is_floating_point()}
    tensor_files.write_tensors(path, tensors, {"kind": kind, "config": json.dumps(net.config), **about})


def read_network(path: str | Path, make: Callable[..., N], *, kind: str) -> N:
    """Reads what :func:`save_network` wrote, ready for use.

    Args:
        make: The network's class.
        kind: What it has to be.

    Raises:
        BadModel: the file is damaged, of another kind, or of another version.
    """
    tensors, metadata = tensor_files.read_tensors(path)
    try:
        if metadata.get("kind") != kind:
            raise ValueError(f"its kind is {metadata.get('kind')!r}")
        net = make(**json.loads(metadata["config"]))
        missing, unexpected = net.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False)
        # Counters of batch normalization are integers, which are not stored.
        wrong = [k for k in missing if not k.endswith("num_batches_tracked")] + list(unexpected)
        if wrong:
            raise ValueError(f"missing or unexpected: {', '.join(wrong[:4])}")
    except (KeyError, ValueError, TypeError, RuntimeError) as e:
        name = Path(path).name
        raise BadModel(
            f"{name} is not a file of kind {kind!r} of this version ({e}). Get the model's files again."
        ) from e
    return net.eval().requires_grad_(False)
