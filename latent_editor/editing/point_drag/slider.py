"""A finished drag as a slider: one edit that can be moved, renamed, replayed and undone."""

from __future__ import annotations

from collections.abc import Sequence

from latent_editor.core.errors import BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Latent
from latent_editor.editing.point_drag.points import Handle, check_handles

#: Range of the slider; 1 is the whole drag.
REACH = 1.5


def drag_direction(before: Latent, after: Latent, handles: Sequence[Handle], *, name: str = "drag") -> Direction:
    """The difference of two latents as a direction, whose unit is the whole drag.

    Args:
        before, after: The argument and the result of :func:`~latent_editor.editing.point_drag.drag`.
        handles: The handles, for the direction's ``detail``.
        name: Name of the slider.

    Raises:
        BadValue: latents of different models, or invalid handles.
    """
    if before.fingerprint != after.fingerprint or before.ws.shape != after.ws.shape:
        raise BadValue(
            f"The latents are of the models {before.model!r} and {after.model!r}; expected those before and after one "
            "drag, of the same model."
        )
    points = check_handles(handles).tolist()
    note = "; ".join(f"{x:.3f},{y:.3f} → {u:.3f},{v:.3f}" for (x, y), (u, v) in points)
    return Direction(name, after.ws - before.ws, -REACH, REACH, None, "drag", Provenance(note=note))
