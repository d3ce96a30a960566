"""Text prompts as directions."""

from latent_editor.text.directions import text_direction
from latent_editor.text.prompts import read_prompt

__all__ = ["read_prompt", "text_direction"]
