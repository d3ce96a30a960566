"""Edits on a latent: pure arithmetic, so that a list of edits can be replayed, reordered and undone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latent_editor.errors import BadLatent, BadValue
from latent_editor.generators import Generator
from latent_editor.types import Edit, Latent

LAYER_GROUPS = ("all", "coarse", "middle", "fine")
#: How far all edits together may go: so many times what is the safe limit of one.
MOST_EFFORT = 2.0


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

    Edits that go together beyond what the model can show are all held back by the same share, which
    :func:`strength_kept` tells, so that no strength makes a picture white or black.

    Args:
        latent: Where to start.
        edits: What to add; muted ones are passed over.

    Returns:
        float32 ws [num_ws, w_dim].

    Raises:
        BadLatent: a direction of another shape than the latent's.
    """
    ws = latent.ws.clone()
    acting = _acting(edits)
    vectors = [_vector(edit, ws) for edit in acting]
    kept = _kept(acting, vectors)
    for edit, vector in zip(acting, vectors, strict=True):
        ws += kept * edit.strength * vector
    return ws


def strength_kept(edits: Sequence[Edit]) -> float:
    """The share of every strength that :func:`apply` uses: 1, or less where edits go too far together.

    1. An edit at its direction's safe limit, ``low`` or ``high``, has the effort 1, and one twice as strong 2.
    2. The effort of several is the length of their sum, each a vector of its effort along its direction: √(uᵀ·C·u),
       with C the cosines between the directions. Like ones add up, unlike ones hardly do, opposite ones cancel.
    3. Above :data:`MOST_EFFORT` it is brought back to that.

    A limit by the distance of ws from their mean was refused: along some directions a picture is white before that
    distance has grown by a tenth. The safe limits are measured along each.

    Args:
        edits: As for :func:`apply`, all for one latent.
    """
    acting = _acting(edits)
    return _kept(acting, [_limited(e.direction.vector, e) for e in acting])


def _acting(edits: Sequence[Edit]) -> list[Edit]:
    return [edit for edit in edits if not edit.muted and edit.strength != 0]


def _kept(edits: Sequence[Edit], vectors: Sequence[Tensor]) -> float:
    if not edits:
        return 1.0
    units = torch.nn.functional.normalize(torch.stack([v.flatten() for v in vectors]).double(), dim=1)
    efforts = torch.tensor([_effort(edit) for edit in edits], dtype=torch.float64)
    effort = float((efforts @ (units @ units.t()) @ efforts).clamp_min(0).sqrt())
    return min(1.0, MOST_EFFORT / max(effort, 1e-9))


def _effort(edit: Edit) -> float:
    d = edit.direction
    return edit.strength / max(abs(d.high if edit.strength > 0 else d.low), 0.1)


def _limited(vector: Tensor, edit: Edit) -> Tensor:
    """The rows of a vector that an edit uses, the others 0."""
    start, stop = edit.layers or edit.direction.layers or (0, len(vector))
    acting = torch.zeros_like(vector)
    acting[start:stop] = vector[start:stop]
    return acting


def _vector(edit: Edit, ws: Tensor) -> Tensor:
    direction = edit.direction
    if direction.vector.shape != ws.shape:
        raise BadLatent(
            f"The direction {direction.name!r} has the shape {list(direction.vector.shape)}, the latent "
            f"{list(ws.shape)}: they belong to different models. Use a direction of the model that made the latent."
        )
    return _limited(direction.vector, edit)
