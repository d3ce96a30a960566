"""Blends an edited crop back into its photo."""

from latent_editor.compositing.heads import edited_landmarks
from latent_editor.compositing.pasting import paste

__all__ = ["edited_landmarks", "paste"]
