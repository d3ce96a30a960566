"""Face detection, and alignment to the model's canonical landmarks."""

from latent_editor.alignment.cropping import align, crop_by_hand
from latent_editor.alignment.faces import Face, find_faces

__all__ = ["Face", "align", "crop_by_hand", "find_faces"]
