"""Generators: from a latent to a picture. ``load_generator`` makes one; every other part only calls it."""

from latent_editor.generators.base import Generator, random_latent, random_ws
from latent_editor.generators.loading import load_generator, save_generator
from latent_editor.generators.refined import generator_for, refined

__all__ = [
    "Generator",
    "generator_for",
    "load_generator",
    "random_latent",
    "random_ws",
    "refined",
    "save_generator",
]
