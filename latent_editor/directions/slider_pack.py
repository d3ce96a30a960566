"""Directions that the user added to a model: stored in the user's cache folder, listed after the model's own."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from latent_editor.core.errors import BadModel, UnknownDirection
from latent_editor.core.values import Direction, Directions
from latent_editor.directions.io import read_directions, write_directions
from latent_editor.generators import Generator
from latent_editor.models.bundle import cache_folder

PACK_FILE = "imported.safetensors"


def pack_file(g: Generator) -> Path:
    """The file of a model's imported directions, by the model's fingerprint. It need not exist."""
    return cache_folder() / "imported" / g.fingerprint / PACK_FILE


def read_pack(g: Generator) -> Directions:
    """The imported directions of a model.

    Raises:
        BadModel: their file is damaged.
    """
    path = pack_file(g)
    if not path.is_file():
        return Directions()
    directions, fingerprint = read_directions(path)
    want = (g.num_ws, g.w_dim)
    if fingerprint != g.fingerprint or any(tuple(d.vector.shape) != want for d in directions):
        raise BadModel(f"{path} belongs to another model. Delete it, and import the directions again.")
    return directions


def with_imported(g: Generator, own: Directions) -> Directions:
    """A model's own directions followed by the imported ones, with unique names.

    A damaged file of imported directions is left out with a warning.
    """
    try:
        imported = read_pack(g)
    except BadModel as e:
        warnings.warn(f"Imported directions are left out: {e}", RuntimeWarning, stacklevel=2)
        return own
    return Directions([*own, *unique(imported, own)]) if imported else own


def add_to_pack(g: Generator, directions: Directions) -> Directions:
    """Stores directions for a model; those of the same name are replaced.

    Returns:
        All imported directions of the model.
    """
    names = {d.name.casefold() for d in directions}
    stored = Directions([*(d for d in read_pack(g) if d.name.casefold() not in names), *directions])
    write_directions(stored, pack_file(g), fingerprint=g.fingerprint)
    return stored


def remove_from_pack(g: Generator, name: str, own: Directions) -> Direction:
    """Deletes an imported direction.

    Args:
        g: The model.
        name: The direction's name as :func:`with_imported` lists it.
        own: The model's own directions.

    Returns:
        The deleted direction, under that name.

    Raises:
        UnknownDirection: no imported direction has this name.
    """
    imported = read_pack(g)
    if not imported:
        raise UnknownDirection(f"No direction was imported for the model {g.name!r}, so none can be removed.")
    listed = unique(imported, own)
    deleted = listed[name]
    left = Directions(d for d, shown in zip(imported, listed, strict=True) if shown is not deleted)
    if left:
        write_directions(left, pack_file(g), fingerprint=g.fingerprint)
    else:
        pack_file(g).unlink()
    return deleted


def unique(directions: Directions, others: Directions) -> Directions:
    """Directions with names that differ from each other and from those of ``others``; a number is appended if
    needed."""
    used = {d.name.casefold() for d in others}
    named = []
    for d in directions:
        name, count = d.name, 1
        while name.casefold() in used:
            count += 1
            name = f"{d.name} ({count})"
        used.add(name.casefold())
        named.append(d if name == d.name else replace(d, name=name))
    return Directions(named)
