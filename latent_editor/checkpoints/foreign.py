"""What the readers of foreign StyleGAN2 checkpoints share: tensors taken by name, and the constructor's arguments."""

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
#: Two tensors beside the encoder's own: [num_ws, w_dim] that is added to its output (the mean of w where there is
#: none), and whether the later latents are offsets from the first (e4e) or stand for themselves (pSp). The networks
#: have the same names and shapes.
LATENT_AVG, OFFSETS = "latent_avg", "offsets_from_first"
#: Layers, classes and the like beyond which a file is not believed.
MAX_LAYERS = 64
MAX_NUMBERS = 1 << 28


class Tensors:
    """The tensors of a foreign state, taken out one by one; what is missing, misshapen or left over is an error.

    Args:
        state: Tensors or arrays by the names of the foreign checkpoint.
        format: The checkpoint's format, for messages: "a rosinality generator".
    """

    def __init__(self, state: Mapping[str, Any], format: str) -> None:
        self.state = {str(name): value for name, value in state.items()}
        self.format = format
        self.taken: set[str] = set()
        numbers = sum(math.prod(value.shape) for value in self.state.values() if isinstance(value, Tensor | np.ndarray))
        if numbers > MAX_NUMBERS:  # tensors may share their memory in the file; as float32 they no longer do
            raise BadModel(
                f"The file holds {numbers:,} numbers; {format} has at most {MAX_NUMBERS:,}. Is it of a generator?"
            )

    def __contains__(self, name: str) -> bool:
        return name in self.state

    def shape(self, name: str, axes: int) -> tuple[int, ...]:
        """The shape of a tensor that has to be there, with so many axes."""
        shape = tuple(self._get(name).shape)
        if len(shape) != axes or 0 in shape:
            raise BadModel(
                f"The tensor {name!r} has the shape {list(shape)}; {self.format} has {axes} axes there, none empty. "
                "Is the file damaged, or of another network?"
            )
        return shape

    def take(self, name: str, *shape: int) -> Tensor:
        """The tensor ``name``, of exactly this shape, in the precision that it has.

        Raises:
            BadModel: it is missing, no tensor of numbers, or of another shape.
        """
        value = self._get(name)
        if tuple(value.shape) != shape:
            raise BadModel(
                f"The tensor {name!r} has the shape {list(value.shape)}; {self.format} of this size has "
                f"{list(shape)} there. Is the file damaged, or of another network?"
            )
        self.taken.add(name)
        return value.detach() if value.is_floating_point() else value.float()

    def finish(self, *, ignored: str = r"(?!)") -> None:
        """Raises BadModel where a tensor was not taken; names that match ``ignored`` may be left."""
        left = [name for name in self.state if name not in self.taken and not re.fullmatch(ignored, name)]
        if left:
            raise BadModel(
                f"The file holds tensors that {self.format} does not have: {_some(left)}. "
                "Is it of a variant of the network? Variants are not read."
            )

    def count(self, pattern: str) -> int:
        """How many numbered tensors there are: 1 + the highest number in the only group of ``pattern``.

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
                f"The file has no tensor {name!r}, which {self.format} has; there are {len(self.state)}: "
                f"{_some(self.state)}. Is it whole, and is it of a generator?"
            )
        value = self.state[name]
        if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "fiu":
            with np.errstate(over="ignore"):  # what does not fit becomes infinite, which is refused later
                value = torch.from_numpy(np.array(value, np.float32))  # arrays may be read-only, or of any byte order
        if isinstance(value, int | float):
            value = torch.tensor(float(value))
        if not isinstance(value, Tensor) or value.is_complex() or value.layout != torch.strided:
            raise BadModel(f"What is called {name!r} is {type(value).__name__}; expected a tensor of numbers.")
        return value


def _some(names: Iterable[str]) -> str:
    names = sorted(map(str, names))
    return ", ".join(name[:60] for name in names[:4]) + (", …" if len(names) > 4 else "")


def channel_kwargs(channels: Mapping[int, int]) -> dict[str, Any]:
    """The constructor's arguments for a table of channels by resolution.

    Public networks follow min(base // resolution, max), which two numbers tell; any other table goes as it is.
    """
    widest, finest = max(channels.values()), max(channels)
    base = channels[finest] * finest
    if all(min(base // resolution, widest) == count for resolution, count in channels.items()):
        return {"channel_base": base, "channel_max": widest}
    return {"channels": [channels[resolution] for resolution in sorted(channels)]}


def filter_taps(kernel: Tensor) -> tuple[Any, ...]:
    """The taps of a blur kernel [k, k] of any sum: one row of them where it is separable, otherwise rows.

    The usual kernel gives exactly (1, 3, 3, 1).
    """
    row = kernel.double().sum(dim=0)
    total = float(row.sum())
    if not math.isfinite(total) or total == 0:
        raise BadModel(f"A blur kernel has the sum {total}; expected a positive one. Is the file damaged?")
    if torch.allclose(row.outer(row) / total, kernel.double(), rtol=1e-4, atol=1e-6 * abs(total)):
        return _whole(row)
    return tuple(tuple((taps / total).tolist()) for taps in kernel.double())


def _whole(row: Tensor) -> tuple[float, ...]:
    """Taps in whole numbers where they are multiples of the smallest."""
    smallest = row.abs()[row.abs() > 0].min()
    scaled = row / smallest
    if torch.allclose(scaled, scaled.round(), atol=1e-3):
        return tuple(int(tap) for tap in scaled.round())
    return tuple((row / row.sum()).tolist())
