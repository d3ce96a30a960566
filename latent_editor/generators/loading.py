"""Loads generators by name, folder or file, and saves them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from latent_editor.checkpoints import zoo
from latent_editor.checkpoints.checkpoint import Checkpoint
from latent_editor.checkpoints.formats import EXTRAS_PREFIX, read_checkpoint
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, UnknownModel
from latent_editor.generators import construction
from latent_editor.generators.base import Generator, fingerprint_of
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.generators.stylegan3 import StyleGAN3
from latent_editor.models.bundle import Bundle, cache_folder, open_bundle

GENERATOR_FILE = "generator.safetensors"
#: Subfolder of the cache with a folder for each single-file model, named by file name and fingerprint.
MODELS_FOLDER = "models"
#: Smaller tensors stay in float32 in half-precision files: they take little space, and include frequencies, filters and
#: means that need full precision.
MIN_HALF_PRECISION_NUMEL = 4096


def load_generator(model: str | Path = "portraits", *, device: str | torch.device = "cpu") -> Generator:
    """Loads a generator, ready to render.

    Args:
        model: Path of a checkpoint (:mod:`latent_editor.checkpoints.formats`) or of a model folder, a name in
            ``weights/``, or the name of a downloaded model.
        device: The device.

    Raises:
        UnknownModel: no such model.
        BadModel: its files are damaged or unsupported.
    """
    g = _load(model)
    return g.eval().requires_grad_(False).to(device)


def _load(model: str | Path) -> Generator:
    if _is_file(model):
        return _load_file(Path(model))
    try:
        bundle = open_bundle(model)
    except UnknownModel as unknown:
        fetched = zoo.path_of(str(model))
        if fetched is None:
            hint = zoo.fetch_hint(str(model))
            raise UnknownModel(f"{unknown} {hint}" if hint else _unknown(model, unknown)) from None
        return _load_file(fetched, zoo.find_entry(str(model)).about)
    except OSError as e:
        raise UnknownModel(f"No model is called {str(model)[:80]!r} ({e.strerror}). Choose a file or a name.") from e
    g = read_generator(bundle.file(GENERATOR_FILE, "rendering"))
    g.bundle = bundle
    return g


def _is_file(model: str | Path) -> bool:
    try:
        return Path(model).is_file()
    except (OSError, ValueError):  # too long for a path, or with a null character
        return False


def _unknown(model: str | Path, unknown: UnknownModel) -> str:
    is_path_like = os.sep in str(model) or bool(Path(str(model)).suffix)
    return f"There is no file {str(model)[:200]!r}. {unknown}" if is_path_like else str(unknown)


def _load_file(path: Path, about: Mapping[str, object] | None = None) -> Generator:
    checkpoint = read_checkpoint(path)
    g = build_checkpoint(checkpoint, path.name)
    facts = {"name": path.stem, "format": checkpoint.format, "notes": list(checkpoint.notes), **(about or {})}
    name = str(facts["name"])
    folder = cache_folder() / MODELS_FOLDER / f"{path.stem}-{g.fingerprint}"
    fingerprint = g.fingerprint
    g.bundle = Bundle(name, folder, facts, checkpoint.extras)
    fingerprint_of.put(g, fingerprint)
    return g


def read_generator(path: str | Path) -> Generator:
    """Reads the generator of a checkpoint of any format, without a bundle.

    Raises:
        BadModel: the file is damaged, or holds no generator.
    """
    return build_checkpoint(read_checkpoint(path), Path(path).name)


def build_checkpoint(checkpoint: Checkpoint, name: str) -> Generator:
    """Builds the generator of a checkpoint; ``name`` is the file name, for messages.

    Raises:
        BadModel: its tensors do not match its arguments.
    """
    try:
        return construction.build(checkpoint.kind, checkpoint.init_kwargs, checkpoint.state)
    except BadModel as e:
        raise BadModel(f"The tensors of {name} do not match its arguments: {e}") from e


def save_generator(g: Generator, path: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Saves a generator and its bundle's extra tensors as safetensors, by default in half precision.

    Small tensors, and those that overflow half precision, stay in float32.

    Args:
        g: A StyleGAN2 or StyleGAN3.
        path: The file; its folder is created.
        dtype: ``torch.float16`` or ``torch.float32``.
    """
    if not isinstance(g, (StyleGAN2, StyleGAN3)):
        raise BadModel(f"Got a {type(g).__name__}; only a StyleGAN2 or StyleGAN3 can be saved.")
    kind = "stylegan2" if isinstance(g, StyleGAN2) else "stylegan3"
    tensors = dict(g.state_dict())
    for part, extras in g.bundle.extras.items():
        tensors.update({f"{EXTRAS_PREFIX}{part}/{name}": tensor for name, tensor in extras.items()})
    metadata = {
        "kind": kind,
        "init_kwargs": json.dumps(g.config.to_init_kwargs()),
        "notes": json.dumps(g.bundle.about.get("notes", [])),
    }
    tensor_files.write_tensors(
        path, {name: _to_storage_dtype(tensor, dtype) for name, tensor in tensors.items()}, metadata
    )


def _to_storage_dtype(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    if dtype == torch.float32 or tensor.numel() < MIN_HALF_PRECISION_NUMEL:
        return tensor.float()
    rounded = tensor.to(dtype)
    return rounded if bool(torch.isfinite(rounded).all()) else tensor.float()
