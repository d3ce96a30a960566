"""A finished drag as a slider: one entry of the list of edits, that can be moved, named, replayed and undone."""

from __future__ import annotations

from collections.abc import Sequence

from latent_editor.core.errors import BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Latent
from latent_editor.editing.point_drag.points import Handle, check_handles

#: How far the slider of a drag goes: the whole move is 1.
REACH = 1.5


def drag_direction(before: Latent, after: Latent, handles: Sequence[Handle], *, name: str = "drag") -> Direction:
    """The way from one latent to another as a direction, whose unit is the whole way.

    Args:
        before, after: What was given to :func:`~latent_editor.editing.point_drag.drag`, and what came back.
        handles: The handles, told in the direction's ``detail``.
        name: What the slider is called.

    Raises:
        BadValue: latents of different models, or handles that no drag takes.
    """
    if before.fingerprint != after.fingerprint or before.ws.shape != after.ws.shape:
        raise BadValue(
            f"The latents are of the models {before.model!r} and {after.model!r}; expected those before and after one "
            "drag, of the same model."
        )
    points = check_handles(handles).tolist()
    note = "; ".join(f"{x:.3f},{y:.3f} → {u:.3f},{v:.3f}" for (x, y), (u, v) in points)
    return Direction(name, after.ws - before.ws, -REACH, REACH, None, "drag", Provenance(note=note))
