"""From a name or a path to a generator."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from latent_editor import files
from latent_editor.errors import BadModel
from latent_editor.generators.base import Generator
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.weights import open_bundle

GENERATOR_FILE = "generator.safetensors"


def load_generator(model: str | Path = "portraits", *, device: str | torch.device = "cpu") -> Generator:
    """Loads a generator, ready to render.

    Args:
        model: A name in ``weights/``, or the path of a model's folder.
        device: Where to put it.

    Raises:
        UnknownModel: there is no such model.
        BadModel: its files are damaged or of another kind.
    """
    bundle = open_bundle(model)
    g = read_generator(bundle.file(GENERATOR_FILE, "rendering"))
    g.bundle = bundle
    return g.eval().requires_grad_(False).to(device)


def read_generator(path: str | Path) -> StyleGAN2:
    """Reads what :func:`save_generator` wrote.

    Raises:
        BadModel: the file is damaged, or not a generator of this project.
    """
    path = Path(path)
    tensors, metadata = files.read_tensors(path)
    if metadata.get("kind") != "stylegan2":
        raise BadModel(f"{path.name} is of kind {metadata.get('kind')!r}; expected 'stylegan2'. Is it a generator?")
    try:
        g = StyleGAN2(StyleGAN2Config.from_init_kwargs(json.loads(metadata["init_kwargs"])))
        g.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (AttributeError, KeyError, ValueError, TypeError, RuntimeError) as e:
        raise BadModel(f"{path.name} does not fit its own description ({e}). Get the file again.") from e
    return g


def save_generator(g: StyleGAN2, path: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Writes the tensors of a generator as safetensors, by default in half precision."""
    metadata = {"kind": "stylegan2", "init_kwargs": json.dumps(g.config.to_init_kwargs())}
    files.write_tensors(path, {k: v.to(dtype) for k, v in g.state_dict().items()}, metadata)
