"""Semantic directions: discovered, calibrated and named, or imported from other projects."""

from latent_editor.directions.imports import import_directions
from latent_editor.directions.io import read_directions, write_directions
from latent_editor.directions.library import DIRECTIONS_FILE, build_directions, named_directions
from latent_editor.directions.stylespace import StyleChannel, channel_direction, stylespace_channels
from latent_editor.directions.supervised import disentangle_direction, fit_direction, fit_direction_from_examples

__all__ = [
    "DIRECTIONS_FILE",
    "StyleChannel",
    "build_directions",
    "channel_direction",
    "disentangle_direction",
    "fit_direction",
    "fit_direction_from_examples",
    "import_directions",
    "named_directions",
    "read_directions",
    "stylespace_channels",
    "write_directions",
]
