"""Edits on a latent: pure arithmetic, so that a list of edits can be replayed, reordered and undone."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from latent_editor.errors import BadLatent, BadValue
from latent_editor.generators import Generator
from latent_editor.types import Direction, Edit, Latent

LAYER_GROUPS = ("all", "coarse", "middle", "fine")


def layer_range(model: Generator | int, group: str) -> tuple[int, int]:
    """The half-open range of ws that a named group of layers stands for.

    Coarse is up to 8² (pose, shape), middle up to 32² (features), fine the rest (colour, texture), as in style mixing
    (Karras et al. 2019, fig. 3).

    Args:
        model: A generator, or its ``num_ws``.
        group: "all", "coarse", "middle" or "fine".

    Raises:
        BadValue: another group.
    """
    num_ws = model if isinstance(model, int) else model.num_ws
    coarse, middle = min(4, num_ws), min(8, num_ws)
    ranges = {"all": (0, num_ws), "coarse": (0, coarse), "middle": (coarse, middle), "fine": (middle, num_ws)}
    if group not in ranges:
        raise BadValue(f"Got the layers {group!r}; expected one of {', '.join(LAYER_GROUPS)}.")
    return ranges[group]


def apply(latent: Latent, edits: Sequence[Edit]) -> Tensor:
    """Adds edits to a latent. The order does not matter.

    Args:
        latent: Where to start.
        edits: What to add; muted ones are passed over.

    Returns:
        float32 ws [num_ws, w_dim].

    Raises:
        BadLatent: a direction of another shape than the latent's.
    """
    ws = latent.ws.clone()
    for edit in edits:
        if not edit.muted and edit.strength != 0:
            start, stop = _layers(edit, ws)
            ws[start:stop] += edit.strength * _vector(edit.direction, ws)[start:stop]
    return ws


def _layers(edit: Edit, ws: Tensor) -> tuple[int, int]:
    return edit.layers or edit.direction.layers or (0, len(ws))


def _vector(direction: Direction, ws: Tensor) -> Tensor:
    if direction.vector.shape != ws.shape:
        raise BadLatent(
            f"The direction {direction.name!r} has the shape {list(direction.vector.shape)}, the latent "
            f"{list(ws.shape)}: they belong to different models. Use a direction of the model that made the latent."
        )
    return direction.vector
