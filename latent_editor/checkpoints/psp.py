"""Reads pSp and e4e checkpoints: a rosinality generator as ``decoder.*``, and an image encoder.

The encoder's tensors are kept with the generator, so that ``latent_editor.networks.psp_encoder`` can build it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.checkpoints import rosinality
from latent_editor.checkpoints.checkpoint import Checkpoint
from latent_editor.checkpoints.foreign import ENCODER, LATENT_AVG, OFFSETS
from latent_editor.core.errors import BadModel

_TYPES = {"Encoder4Editing": True, "GradualStyleEncoder": False}
#: Training options that only e4e has.
_E4E_OPTIONS = ("progressive_steps", "progressive_start", "delta_norm", "use_w_pool", "w_discriminator_lambda")
_INPUT_CHANNELS = 3


def read_psp(path: str | Path, data: Any) -> Checkpoint:
    """Reads the generator and the encoder of a parsed pSp or e4e checkpoint.

    Args:
        path: The file, for messages.
        data: The object passed to ``torch.save``: a dict with ``state_dict``, ``latent_avg`` and ``opts``.

    Returns:
        The checkpoint; ``extras["encoder"]`` holds the encoder if its type is supported, otherwise ``notes`` give the
        reason.

    Raises:
        BadModel: it holds no such generator, or is damaged.
    """
    name = Path(path).name
    state = data.get("state_dict") if isinstance(data, Mapping) else None
    if not isinstance(state, Mapping):
        raise BadModel(f"{name} has no dict 'state_dict', which every pSp and e4e checkpoint has.")
    state = rosinality.unwrap(state)
    average = data.get("latent_avg", state.get("latent_avg"))
    kwargs, ours = rosinality.translate(_part(state, "decoder."), average if isinstance(average, Tensor) else None)
    options = _options(data.get("opts"))
    encoder, notes = _encoder(_part(state, "encoder."), options)
    num_ws, w_dim = 2 * (kwargs["img_resolution"].bit_length() - 2), kwargs["w_dim"]
    if encoder and options.get("start_from_latent_avg") is False:
        encoder[LATENT_AVG] = torch.zeros(num_ws, w_dim)
    elif encoder and isinstance(average, Tensor):
        encoder[LATENT_AVG] = _rows(average, num_ws, w_dim)
    others = sorted({k.split(".")[0] for k in state} - {"decoder", "encoder", "latent_avg", "face_pool"})
    others += sorted(str(k) for k in data if k not in ("state_dict", "latent_avg", "opts"))
    if others:
        notes.append(f"left out: {', '.join(others[:8])}")
    return Checkpoint("psp", "stylegan2", kwargs, ours, {ENCODER: encoder} if encoder else {}, tuple(notes))


def _part(state: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name[len(prefix) :]: value for name, value in state.items() if name.startswith(prefix)}


def _options(options: Any) -> dict[str, Any]:
    """``opts`` as a dict; some forks store the ``argparse.Namespace`` itself."""
    if isinstance(options, Mapping):
        return dict(options)
    return dict(getattr(options, "__dict__", {}))


def _rows(average: Tensor, num_ws: int, w_dim: int) -> Tensor:
    """Expands the mean latent to all layers: [num_ws, w_dim]."""
    rows = average.detach().float().reshape(-1, w_dim)
    if len(rows) not in (1, num_ws):
        raise BadModel(f"The tensor 'latent_avg' has {len(rows)} rows; expected 1 or {num_ws}.")
    return rows.expand(num_ws, -1).clone()


def _encoder(tensors: dict[str, Any], options: Mapping[str, Any]) -> tuple[dict[str, Tensor], list[str]]:
    """The encoder's tensors, or none and the reason why it is skipped."""
    if not tensors:
        return {}, ["the file has no encoder"]
    kind = options.get("encoder_type")
    styled = any(name.startswith("styles.") for name in tensors)
    if (isinstance(kind, str) and kind not in _TYPES) or not styled:
        known = " and ".join(_TYPES)
        return {}, [f"left out: an encoder of type {str(kind or 'unknown')[:60]!r}; {known} are supported"]
    strange = [name for name, value in tensors.items() if not isinstance(value, Tensor)]
    if strange:
        raise BadModel(f"'encoder.{strange[0][:60]}' is not a tensor. Is the file damaged?")
    first = tensors.get("input_layer.0.weight")
    if first is not None and first.ndim == 4 and first.shape[1] != _INPUT_CHANNELS:
        return {}, [f"left out: an encoder for images with {first.shape[1]} channels; only RGB is supported"]
    offsets = _TYPES[kind] if isinstance(kind, str) else _is_e4e(options)
    return {**tensors, OFFSETS: torch.tensor(offsets)}, []


def _is_e4e(options: Mapping[str, Any]) -> bool:
    """Guesses the type from the options if it is not stated; e4e, the more common one, without options."""
    return not options or any(name in options for name in _E4E_OPTIONS)
