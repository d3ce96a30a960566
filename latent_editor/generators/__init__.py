"""StyleGAN2 and StyleGAN3: from a latent to an image."""

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
