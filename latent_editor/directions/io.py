"""Directions in files: safetensors, with names and ranges in the header."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel
from latent_editor.core.values import Direction, Directions


def write_directions(directions: Directions, path: str | Path, *, fingerprint: str) -> None:
    """Writes directions as safetensors in half precision.

    Args:
        fingerprint: Of the generator they belong to.
    """
    about = [d.facts() for d in directions]
    # Most directions repeat one vector for all layers; then one row is stored.
    same = all((d.vector == d.vector[:1]).all() for d in directions)
    vectors = torch.stack([d.vector[:1] if same else d.vector for d in directions])
    metadata = {
        "kind": "directions",
        "fingerprint": fingerprint,
        "num_ws": str(directions[0].vector.shape[0]),
        "about": json.dumps(about),
    }
    tensor_files.write_tensors(path, {"vectors": vectors.half()}, metadata)


def read_directions(path: str | Path) -> tuple[Directions, str]:
    """Reads what :func:`write_directions` wrote: the directions, and the fingerprint of their generator.

    Raises:
        BadModel: the file is damaged or holds something else.
    """
    tensors, metadata = tensor_files.read_tensors(path)
    try:
        rows = json.loads(metadata["about"])
        vectors = tensors["vectors"].float()
        vectors = vectors.expand(-1, int(metadata["num_ws"]), -1)
        directions = [Direction.from_facts(row, v.clone()) for row, v in zip(rows, vectors, strict=True)]
        return Directions(directions), metadata["fingerprint"]
    except (KeyError, ValueError, TypeError, RuntimeError) as e:
        raise BadModel(f"{Path(path).name} is not a file of directions ({e}). Delete it to find them anew.") from e
