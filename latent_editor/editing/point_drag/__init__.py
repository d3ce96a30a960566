"""Point drag (DragGAN): move points of the image, and the latent follows."""

from latent_editor.editing.point_drag.moving import drag
from latent_editor.editing.point_drag.points import DragStep, Handle, check_handles, check_mask
from latent_editor.editing.point_drag.slider import drag_direction

__all__ = ["DragStep", "Handle", "check_handles", "check_mask", "drag", "drag_direction"]
