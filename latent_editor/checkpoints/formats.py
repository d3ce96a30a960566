"""Detects the format of a checkpoint from its content and reads it, with limits on its size."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from latent_editor.checkpoints.checkpoint import KINDS, Checkpoint
from latent_editor.checkpoints.file_signatures import describe_content, identify_header
from latent_editor.checkpoints.nvlabs import NAMES, TENSORFLOW_NETWORK, read_nvlabs, select_generator
from latent_editor.checkpoints.psp import read_psp
from latent_editor.checkpoints.rosinality import read_rosinality
from latent_editor.checkpoints.tensorflow import read_tensorflow
from latent_editor.checkpoints.unpickling import Instance, read_model_file, shorten
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel

#: Prefix of tensor names of other networks in this project's own files.
EXTRAS_PREFIX = "extras/"
_MAX_NOTES = 20
#: Limit for all tensors of a generator and an encoder; those of e4e take 1.1 GB.
_MAX_TENSOR_BYTES = 3 << 29
#: Limit for one generator in float32; FFHQ at 1024 pixels takes 136 MB.
_MAX_NETWORK_BYTES = 1 << 29


def detect_format(path: str | Path) -> str:
    """The format of a checkpoint, from its content and not its name.

    Raises:
        BadModel: it is not a checkpoint; the message says what it looks like instead.
    """
    return _detect_format(Path(path))[0]


def read_checkpoint(path: str | Path, *, copy: bool = True) -> Checkpoint:
    """Reads a checkpoint of any format, without executing anything in it.

    Args:
        path: The file.
        copy: Copy the tensors; otherwise they are views of the mapped file and must not outlive it.

    Raises:
        BadModel: it is not a checkpoint, is damaged, or requires something that no checkpoint needs.
    """
    path = Path(path)
    format_, data = _detect_format(path)
    _check_sizes(path, data)
    checkpoint = _READERS[format_](path, data)
    _check_size(path, sum(4 * tensor.numel() for tensor in checkpoint.state.values()))
    return _copy_tensors(path, checkpoint) if copy else checkpoint


def _check_sizes(path: Path, data: Any) -> None:
    """Refuses networks that would take too much memory, before any tensor is copied or converted.

    A small file can reference one tensor many times, and half-precision tensors grow. The large encoder of e4e, which
    is not converted, is only counted in :func:`_copy_tensors`.
    """
    stack = [] if data is None else [data]
    seen: set[int] = set()
    while stack:
        part = stack.pop()
        if id(part) in seen:
            continue
        seen.add(id(part))
        part = part.state if isinstance(part, Instance) else part
        items = part.items() if isinstance(part, Mapping) else enumerate(part)
        size = 0
        for key, value in items:
            if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], np.ndarray):
                key, value = value  # (name, tensor), as in TensorFlow's files
            if isinstance(value, (Tensor, np.ndarray)):
                size += 0 if str(key).startswith("encoder.") else 4 * math.prod(value.shape)
            elif isinstance(value, (Mapping, list, tuple, Instance)):
                stack.append(value)
        _check_size(path, size)


def _check_size(path: Path, size: int) -> None:
    if size > _MAX_NETWORK_BYTES:
        raise BadModel(
            f"{path.name} has a network of {size:,} bytes; the limit is {_MAX_NETWORK_BYTES:,}, four times the largest "
            "public generator."
        )


def _copy_tensors(path: Path, checkpoint: Checkpoint) -> Checkpoint:
    """Copies the tensors out of the mapped file."""
    parts = [checkpoint.state, *checkpoint.extras.values()]
    size = sum(tensor.nbytes for part in parts for tensor in part.values())
    if size > _MAX_TENSOR_BYTES:
        raise BadModel(f"{path.name} has tensors of {size:,} bytes; the limit is {_MAX_TENSOR_BYTES:,}.")
    state = {name: tensor.detach().clone() for name, tensor in checkpoint.state.items()}
    extras = {p: {n: t.detach().clone() for n, t in part.items()} for p, part in checkpoint.extras.items()}
    return replace(checkpoint, state=state, extras=extras)


def _detect_format(path: Path) -> tuple[str, Any]:
    """The format, and the parsed content if it had to be parsed."""
    head = _head(path)
    if _is_safetensors(head):
        return "latent-editor", None
    other = identify_header(head)
    if other is not None:
        raise BadModel(f"{path.name} {other}. Choose a checkpoint of StyleGAN2 or StyleGAN3.")
    data = read_model_file(path, NAMES, select=select_generator)
    return _format_of(path.name, data), data


def _head(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise BadModel(f"{path.name} is a folder without a model. Choose a model file.")
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as e:
        raise BadModel(f"{path.name} cannot be opened ({e.strerror}). Choose another file.") from e
    if not head:
        raise BadModel(f"{path.name} is empty: its download was probably interrupted. Download it again.")
    return head


def _is_safetensors(head: bytes) -> bool:
    return len(head) > 9 and struct.unpack("<Q", head[:8])[0] < 1 << 40 and head[8:].lstrip()[:1] == b"{"


def _format_of(name: str, data: Any) -> str:
    """The format of a parsed pickle."""
    parts = data.values() if isinstance(data, Mapping) else data if isinstance(data, (list, tuple)) else (data,)
    if any(isinstance(part, Instance) and part.name == TENSORFLOW_NETWORK for part in parts):
        return "tensorflow"
    if isinstance(data, Instance):
        return "nvlabs"
    if isinstance(data, Mapping):
        if isinstance(data.get("G_ema", data.get("G")), Instance):
            return "nvlabs"
        state = data.get("state_dict")
        if isinstance(state, Mapping) and any(str(key).startswith("decoder.") for key in state):
            return "psp"
        for states in (*data.values(), data):
            names = {str(key).removeprefix("module.") for key in states} if isinstance(states, Mapping) else set()
            if {"input.input", "conv1.conv.weight"} <= names:
                return "rosinality"
    raise BadModel(f"{name} {describe_content(data)}. Expected a generator of StyleGAN2 or StyleGAN3.")


def read_native(path: Path, data: Any = None) -> Checkpoint:
    """Reads a file written by :func:`latent_editor.generators.save_generator` or ``latent-editor convert``."""
    tensors, metadata = tensor_files.read_tensors(path, max_bytes=_MAX_TENSOR_BYTES)
    kind = metadata.get("kind")
    if kind not in KINDS:
        names = ", ".join(shorten(name, 40) for name in sorted(tensors)[:4]) or "no tensors"
        raise BadModel(
            f"{path.name} is a safetensors file of kind {kind!r}; expected 'stylegan2' or 'stylegan3'. It has {names}. "
            "Convert the original checkpoint with `latent-editor convert`."
        )
    try:
        init_kwargs = json.loads(metadata["init_kwargs"])
        if not isinstance(init_kwargs, dict):
            raise ValueError("init_kwargs is not a dict")
        notes = tuple(shorten(str(note), 200) for note in list(json.loads(metadata.get("notes", "[]")))[:_MAX_NOTES])
    except (KeyError, ValueError, TypeError, RecursionError) as e:
        raise BadModel(f"{path.name} has damaged metadata ({e!r}). Download it again.") from e
    state: dict[str, Tensor] = {}
    extras: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(EXTRAS_PREFIX):
            part, _, inner = name.removeprefix(EXTRAS_PREFIX).partition("/")
            extras.setdefault(part, {})[inner] = tensor
        else:
            state[name] = tensor
    return Checkpoint("latent-editor", str(kind), init_kwargs, state, extras, notes)


_READERS: dict[str, Callable[[Path, Any], Checkpoint]] = {
    "latent-editor": read_native,
    "nvlabs": read_nvlabs,
    "rosinality": read_rosinality,
    "psp": read_psp,
    "tensorflow": read_tensorflow,
}
