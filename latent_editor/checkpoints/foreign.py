"""Shared code of the readers of third-party StyleGAN2 checkpoints: reading state dicts, and constructor arguments."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from latent_editor.core.errors import BadModel

#: Name in ``Checkpoint.extras`` and ``Bundle.extras``.
ENCODER = "encoder"
#: Two extra tensors of the encoder: [num_ws, w_dim] that is added to its output (w_avg if missing), and whether its
#: later latents are offsets from the first (e4e) or absolute (pSp); the networks are otherwise identical.
LATENT_AVG, OFFSETS = "latent_avg", "offsets_from_first"
#: Limits of plausible files.
MAX_LAYERS = 64
MAX_NUMBERS = 1 << 28


class StateReader:
    """Reads a third-party state dict tensor by tensor; missing, misshapen and unused tensors are errors.

    Args:
        state: Tensors or arrays by their original names.
        format: The format, for messages: "a rosinality generator".
    """

    def __init__(self, state: Mapping[str, Any], format: str) -> None:
        self.state = {str(name): value for name, value in state.items()}
        self.format = format
        self._used: set[str] = set()
        numbers = sum(math.prod(value.shape) for value in self.state.values() if isinstance(value, Tensor | np.ndarray))
        if numbers > MAX_NUMBERS:  # they may share memory in the file, but not as float32
            raise BadModel(
                f"The file holds {numbers:,} numbers; {format} has at most {MAX_NUMBERS:,}. Is it a generator?"
            )

    def __contains__(self, name: str) -> bool:
        return name in self.state

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """The shape of a required tensor with ``axes`` axes."""
        shape = tuple(self._get(name).shape)
        if len(shape) != axes or 0 in shape:
            raise BadModel(
                f"The tensor {name!r} has the shape {list(shape)}; {self.format} has {axes} axes there, none empty. "
                "Is the file damaged, or for another network?"
            )
        return shape

    def read(self, name: str, *shape: int) -> Tensor:
        """Reads the tensor ``name`` of exactly this shape, in its own floating dtype (integers become float32).

        Raises:
            BadModel: it is missing, not numeric, or has another shape.
        """
        value = self._get(name)
        if tuple(value.shape) != shape:
            raise BadModel(
                f"The tensor {name!r} has the shape {list(value.shape)}; {self.format} of this size has "
                f"{list(shape)} there. Is the file damaged, or of another network?"
            )
        self._used.add(name)
        return value.detach() if value.is_floating_point() else value.float()

    def check_all_used(self, *, ignored: str = r"(?!)") -> None:
        """Raises BadModel if a tensor was never read, unless its name matches ``ignored``."""
        left = [name for name in self.state if name not in self._used and not re.fullmatch(ignored, name)]
        if left:
            raise BadModel(
                f"The file holds tensors that {self.format} does not have: {_first_names(left)}. "
                "Is it a variant of the network? Variants are not supported."
            )

    def count_numbered(self, pattern: str) -> int:
        """Counts numbered tensors: 1 + the highest number in the only group of ``pattern``.

        Raises:
            BadModel: more than a generator can have.
        """
        numbers = [int(found[1]) for name in self.state if (found := re.fullmatch(pattern, name))]
        if max(numbers, default=0) > MAX_LAYERS:
            raise BadModel(
                f"The file counts to {max(numbers)} in names like {pattern!r}; {self.format} has at most "
                f"{MAX_LAYERS}. Is the file damaged?"
            )
        return 1 + max(numbers, default=-1)

    def _get(self, name: str) -> Tensor:
        if name not in self.state:
            raise BadModel(
                f"The file has no tensor {name!r}, which {self.format} has; it has {len(self.state)}: "
                f"{_first_names(self.state)}. Is it complete, and is it a generator?"
            )
        value = self.state[name]
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiu":
            with np.errstate(over="ignore"):  # overflow becomes infinite, which is refused later
                value = torch.from_numpy(np.array(value, np.float32))  # may be read-only, or of any byte order
        if isinstance(value, int | float):
            value = torch.tensor(float(value))
        if not isinstance(value, Tensor) or value.is_complex() or value.layout != torch.strided:
            raise BadModel(f"{name!r} is a {type(value).__name__}; expected a numeric tensor.")
        return value


def _first_names(names: Iterable[str]) -> str:
    names = sorted(map(str, names))
    return ", ".join(name[:60] for name in names[:4]) + (", …" if len(names) > 4 else "")


def channel_kwargs(channels: Mapping[int, int]) -> dict[str, Any]:
    """Constructor arguments for a table of channels by resolution.

    Public networks use min(base // resolution, max), which takes two numbers; other tables are passed explicitly.
    """
    widest, finest = max(channels.values()), max(channels)
    base = channels[finest] * finest
    if all(min(base // resolution, widest) == count for resolution, count in channels.items()):
        return {"channel_base": base, "channel_max": widest}
    return {"channels": [channels[resolution] for resolution in sorted(channels)]}


def filter_taps(kernel: Tensor) -> tuple[Any, ...]:
    """The taps of a blur kernel [k, k] with any sum: one row if it is separable, else all rows.

    The usual kernel gives exactly (1, 3, 3, 1).
    """
    row = kernel.double().sum(dim=0)
    total = float(row.sum())
    if not math.isfinite(total) or total == 0:
        raise BadModel(f"A blur kernel has the sum {total}; expected a positive one. Is the file damaged?")
    if torch.allclose(row.outer(row) / total, kernel.double(), rtol=1e-4, atol=1e-6 * abs(total)):
        return _integer_taps(row)
    return tuple(tuple((taps / total).tolist()) for taps in kernel.double())


def _integer_taps(row: Tensor) -> tuple[float, ...]:
    """Integer taps if all are multiples of the smallest one."""
    smallest = row.abs()[row.abs() > 0].min()
    scaled = row / smallest
    if torch.allclose(scaled, scaled.round(), atol=1e-3):
        return tuple(int(tap) for tap in scaled.round())
    return tuple((row / row.sum()).tolist())
