"""Directions that a model has by itself, found, calibrated and named; and those that others found, imported."""

from latent_editor.directions.imports import import_directions
from latent_editor.directions.library import (
    DIRECTIONS_FILE,
    build_directions,
    named_directions,
)
from latent_editor.directions.records import read_directions, write_directions

__all__ = [
    "DIRECTIONS_FILE",
    "build_directions",
    "import_directions",
    "named_directions",
    "read_directions",
    "write_directions",
]
