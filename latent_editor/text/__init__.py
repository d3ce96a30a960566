"""Text prompts as directions, and faces generated from text."""

from latent_editor.text.directions import METHODS, text_direction
from latent_editor.text.generation import generate_from_text
from latent_editor.text.mapper import TextMapper, train_mapper
from latent_editor.text.prompts import read_prompt

__all__ = ["METHODS", "TextMapper", "generate_from_text", "read_prompt", "text_direction", "train_mapper"]
