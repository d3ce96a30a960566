"""Point handles: take hold of points of a picture, say where they shall go, and the latent follows (``drag``)."""

from latent_editor.editing.point_drag.moving import drag
from latent_editor.editing.point_drag.points import DragStep, Handle, check_handles, check_mask
from latent_editor.editing.point_drag.slider import drag_direction

__all__ = ["DragStep", "Handle", "check_handles", "check_mask", "drag", "drag_direction"]
