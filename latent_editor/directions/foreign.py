"""Reading directions that other projects have saved, whatever container they chose; nothing in them is run.

=====================  ==========================================================================================
container              known from
=====================  ==========================================================================================
``.npy``, ``.npz``     InterFaceGAN boundaries, STIT; GANSpace's cached components
``.pt``                e4e, PTI: one tensor; principal components (comp, std); rosinality's factors (eigvec)
pickled arrays         GANSpace's saved named directions
JSON                   lists of numbers, by name or not
safetensors            this project's own, and tensors by name
=====================  ==========================================================================================

The container is recognized by its first bytes, its content by names and shapes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_editor.core.errors import BadDirection
from latent_editor.directions.containers import MAX_BYTES, MOST, WANTED, read_container

#: Numbers of ws of the StyleGANs from 8 to 2048 pixels: an array with so many rows is one direction in W+.
W_PLUS_ROWS = frozenset(range(4, 21, 2))
LONGEST_NAME = 60
#: What a leakage row tells apart, at most.
MAX_GROUPS = 40


@dataclass(frozen=True, eq=False)
class Found:
    """One direction as its file has it.

    Attributes:
        vector: float32 [1, w_dim] in W, or [num_ws, w_dim] in W+, of any length.
        name: What the file calls it; "" where it does not.
        kind: What it is, for people.
        layers: Half-open range of ws that it was made for.
        reach: How far its author went, in multiples of ``vector``.
        model: The model that the file says it belongs to; "" where it says none.
        fingerprint: Of that model, in this project's own files.
        low, high: Its range in calibrated units, in this project's own files.
        leakage: What it was measured to change, in this project's own files.
    """

    vector: Tensor
    name: str = ""
    kind: str = "a direction"
    layers: tuple[int, int] | None = None
    reach: float | None = None
    model: str = ""
    fingerprint: str = ""
    low: float = -3.0
    high: float = 3.0
    entanglement: Mapping[str, float] | None = None


def read_foreign(path: str | Path, num_ws: int) -> list[Found]:
    """Reads every direction in a file.

    Args:
        path: The file.
        num_ws: Of the model that they are for, where rows could mean layers as well as directions.

    Returns:
        At least one; vectors are finite and not zero.

    Raises:
        BadDirection: the file is damaged, or holds no directions.
    """
    path = Path(path)
    data, header = read_container(path)
    own = header.get("kind") == "directions"
    found = _own(data, header, path.name) if own else _find(data, path.name, num_ws)
    if not found:
        raise BadDirection(f"{path.name} holds no directions. {WANTED}")
    for i, one in enumerate(found):
        label = one.name or f"number {i + 1}"
        if not torch.isfinite(one.vector).all():
            raise BadDirection(f"The direction {label} in {path.name} holds numbers that are not finite.")
        if not one.vector.any():
            raise BadDirection(f"The direction {label} in {path.name} is zero everywhere: it leads nowhere.")
    return found


def _own(tensors: Mapping[str, Tensor], header: Mapping[str, str], name: str) -> list[Found]:
    """The directions in a file of this project."""
    try:
        rows, vectors = json.loads(header["about"]), tensors["vectors"].float()
        if vectors.ndim != 3 or len(rows) != len(vectors):
            raise ValueError(f"{len(rows)} names for the shape {list(vectors.shape)}")
        return [
            Found(
                vector,
                clean(str(row["name"])),
                "a direction of this program",
                _layers(row["layers"]),
                fingerprint=clean(str(header["fingerprint"])),
                low=float(row["low"]),
                high=float(row["high"]),
                entanglement=_leakage(row.get("leakage")),
            )
            for row, vector in zip(rows, vectors, strict=True)
        ]
    except (KeyError, ValueError, TypeError, IndexError) as e:
        raise BadDirection(f"{name} is a damaged file of directions ({e!r}). Get the file again.") from e


def _find(data: Any, name: str, num_ws: int) -> list[Found]:
    if isinstance(data, Mapping):
        return _find_named(data, name, num_ws)
    if isinstance(data, (list, tuple)) and data and not _numeric(data):
        if len(data) > MOST:
            raise BadDirection(f"{name} holds {len(data):,} things; expected at most {MOST} directions.")
        return [
            one for part in data if isinstance(part, Mapping) or _numeric(part) for one in _find(part, name, num_ws)
        ]
    return _split(_tensor(data, name), num_ws, name)


def _find_named(data: Mapping[Any, Any], name: str, num_ws: int) -> list[Found]:
    """Directions in a dictionary, by the names that the projects above use, or one for each array in it."""
    if "lat_comp" in data and "edit_start" in data:
        return [_ganspace(data, name)]
    for vectors, lengths, kind in (
        ("lat_comp", "lat_stdev", "a principal component, one step a standard deviation"),
        ("comp", "std", "a principal component, one step a standard deviation"),
    ):
        if vectors in data:
            rows = _stacked(_tensor(data[vectors], name), name)
            scale = _tensor(data[lengths], name).flatten() if lengths in data else torch.ones(len(rows))
            if len(scale) != len(rows):
                raise BadDirection(f"{name} holds {len(rows)} components and {len(scale)} lengths. Get the file again.")
            return [Found(v * s, kind=kind) for v, s in zip(rows, scale, strict=True)]
    if "eigvec" in data:  # columns
        columns = _stacked(_tensor(data["eigvec"], name).T, name)
        return [Found(v, kind="a factor of the first layers' weights") for v in columns]
    arrays = {clean(str(key)): value for key, value in data.items() if _numeric(value)}
    found = []
    for key, value in arrays.items():
        tensor = _tensor(value, name)
        if tensor.ndim > 3 or len(arrays) > MOST:
            raise BadDirection(
                f"{name} holds {len(arrays)} arrays, such as {key!r} of the shape {list(tensor.shape)}: "
                "that is no file of directions. A model is named with --model."
            )
        if tensor.numel() > 1:  # single numbers are intercepts and the like
            parts = _split(tensor, num_ws, name)
            found += [replace(part, name=key if len(parts) == 1 else f"{key} {i + 1}") for i, part in enumerate(parts)]
    return found


def _ganspace(data: Mapping[Any, Any], name: str) -> Found:
    """A named direction as GANSpace's viewer saves it: one component, its standard deviation, its layers."""
    space, how = str(data.get("latent_space", "W")), str(data.get("edit_type", "latent"))
    if space != "W" or how != "latent":
        raise BadDirection(
            f"{name} holds a direction in {space} for the edit {how!r}; expected one in W for the edit 'latent'. "
            "Directions of random inputs and of activations cannot be added to a latent."
        )
    vector = _tensor(data["lat_comp"], name)
    try:
        deviation = float(data.get("lat_stdev", 1.0))
        reach = float(data.get("sigma_range", 0.0))
        layers = _layers((data["edit_start"], data["edit_end"]))  # the end is exclusive there, too
    except (TypeError, ValueError, KeyError) as e:
        raise BadDirection(f"{name} is a damaged GANSpace direction ({e!r}). Get the file again.") from e
    # Its pictures run from −sigma_range to +sigma_range: a negative one turns the direction round.
    sign = -1.0 if reach < 0 else 1.0
    return Found(
        _stacked(vector, name)[0] * deviation * sign,
        clean(str(data.get("name", ""))),
        f"a principal component of GANSpace, number {clean(str(data.get('component_index', '?')))}",
        layers,
        abs(reach) if math.isfinite(reach) and reach else None,
        clean(" ".join(str(data[key]) for key in ("model_name", "output_class") if isinstance(data.get(key), str))),
    )


def _split(tensor: Tensor, num_ws: int, name: str) -> list[Found]:
    """One array as one direction in W or W+, or as several: [w], [1, w], [L, w], [N, w], [N, 1, w], [N, L, w]."""
    if tensor.ndim == 2 and (len(tensor) in W_PLUS_ROWS or len(tensor) == num_ws):
        tensor = tensor[None]
    stack = _stacked(tensor, name)
    return [Found(v, kind="a direction in W" if len(v) == 1 else "a direction in W+") for v in stack]


def _stacked(tensor: Tensor, name: str) -> Tensor:
    """[w], [N, w] or [N, L, w] as [N, L, w]."""
    while tensor.ndim > 3 and 1 in tensor.shape[:-1]:
        tensor = tensor.squeeze(tensor.shape.index(1))
    shape = list(tensor.shape)
    if not 1 <= tensor.ndim <= 3 or min(shape) == 0 or shape[-1] < 2:
        raise BadDirection(f"{name} holds an array of the shape {shape}, which is no direction. {WANTED}")
    tensor = tensor[None, None] if tensor.ndim == 1 else tensor[:, None] if tensor.ndim == 2 else tensor
    if len(tensor) > MOST:
        raise BadDirection(f"{name} holds {len(tensor):,} rows: these are latents, not directions.")
    return tensor


def _numeric(value: Any) -> bool:
    """Whether a value is an array, or (in JSON) lists of numbers."""
    if isinstance(value, (list, tuple)):
        first = value
        for _ in range(4):
            if not isinstance(first, (list, tuple)) or not first:
                break
            first = first[0]
        return isinstance(first, (int, float))
    return isinstance(value, (Tensor, np.ndarray, np.number, int, float))


def _tensor(value: Any, name: str) -> Tensor:
    """float32, whatever kind of array it was."""
    try:
        if isinstance(value, Tensor):
            array = value.detach()
        else:
            values = np.asarray(value)
            if values.dtype.kind not in "fiu":
                raise TypeError(f"an array of {values.dtype}")
            with np.errstate(invalid="ignore"):  # strange NaNs are found by whoever asks whether all are finite
                array = torch.from_numpy(np.array(values, np.float64))
        if array.is_complex() or array.numel() > MAX_BYTES // 4:
            raise TypeError(f"{array.dtype} of the shape {list(array.shape)}")
        return array.to("cpu", torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError) as e:
        raise BadDirection(f"{name} holds something that is no array of numbers ({e}). {WANTED}") from e


def clean(text: str) -> str:
    """A name in one line without control characters, however long or strange it was in the file."""
    visible = "".join(c if c.isprintable() else " " for c in text[:1000])
    return " ".join(visible.split())[:LONGEST_NAME].strip()


def _leakage(value: Any) -> dict[str, float] | None:
    if value is None:
        return None
    row = {clean(str(name)): float(effect) for name, effect in dict(value).items()}
    if len(row) > MAX_GROUPS or not all(0 <= effect < 1000 for effect in row.values()):  # NaN is not
        raise ValueError(f"the leakage {row}")
    return row


def _layers(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    start, stop = (int(x) for x in value)
    if not 0 <= start < stop:
        raise ValueError(f"the layers {start} to {stop}")
    return start, stop
