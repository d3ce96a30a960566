"""What a checkpoint is, whatever file it came in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

KINDS = ("stylegan2", "stylegan3")


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A generator as plain values, read from any file.

    Attributes:
        format: "latent-editor", "nvlabs", "rosinality", "psp" or "tensorflow".
        kind: "stylegan2" or "stylegan3".
        init_kwargs: Arguments of the public constructors, flat or nested.
        state: The tensors, by the names of the public checkpoints (``mapping.…``, ``synthesis.…``).
        extras: Tensors of other parts in the same file, by part: such as "encoder".
        notes: What was left out or refused, in words.
    """

    format: str
    kind: str
    init_kwargs: dict[str, Any]
    state: dict[str, Tensor]
    extras: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
