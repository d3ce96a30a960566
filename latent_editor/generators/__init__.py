"""Generators: from a latent to a picture. ``load_generator`` makes one; every other part only calls it."""

from latent_editor.generators.base import Generator, random_latent, random_ws
from latent_editor.generators.loading import load_generator, save_generator

__all__ = ["Generator", "load_generator", "random_latent", "random_ws", "save_generator"]
