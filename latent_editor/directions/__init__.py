"""Directions that a model has by itself: found by PCA, calibrated, named, kept in the model's folder."""

from latent_editor.directions.library import (
    DIRECTIONS_FILE,
    build_directions,
    named_directions,
)
from latent_editor.directions.records import read_directions, write_directions

__all__ = ["DIRECTIONS_FILE", "build_directions", "named_directions", "read_directions", "write_directions"]
