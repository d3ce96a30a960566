"""A checkpoint as plain values, independent of its file format."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

KINDS = ("stylegan2", "stylegan3")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A generator as plain values.

    Attributes:
        format: "latent-editor", "nvlabs", "rosinality", "psp" or "tensorflow".
        kind: "stylegan2" or "stylegan3".
        init_kwargs: Arguments of the public constructors, flat or nested.
        state: Tensors by the names of the public checkpoints (``mapping.…``, ``synthesis.…``).
        extras: Tensors of other networks in the same file, by part name such as "encoder".
        notes: Messages about what was skipped.
    """

    format: str
    kind: str
    init_kwargs: dict[str, Any]
    state: dict[str, Tensor]
    extras: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
