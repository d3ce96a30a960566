"""The model whose folder a part of the training writes into."""

from __future__ import annotations

from pathlib import Path

from latent_editor.core.errors import MissingPart
from latent_editor.generators import Generator, load_generator


def load_with_folder(name: str) -> tuple[Generator, Path]:
    """A model by its name or path, and its folder.

    Raises:
        MissingPart: the model has no folder.
    """
    g = load_generator(name)
    if g.bundle.folder is None:
        raise MissingPart(f"The model {g.name!r} has no folder to write into. Load it from one.")
    return g, g.bundle.folder
