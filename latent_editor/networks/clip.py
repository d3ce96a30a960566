"""CLIP: texts and pictures in one space (Radford et al. 2021), by open-clip-torch.

A model's folder holds its own small CLIP: ``clip.json`` is an open_clip model config, ``clip.safetensors`` the weights.
Another one is named in ``model.json``::

    "clip": {"model": "ViT-B-32", "pretrained": "ViT-B-32.safetensors"}

where ``model`` is any name that open_clip knows (or the stem of a config file in the folder) and ``pretrained`` is a
file in the folder.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import safetensors
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadModel
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb
from latent_editor.models.per_model import per_model
from latent_editor.networks.clip_trunk import register_trunks
from latent_editor.networks.faces import shows_faces
from latent_editor.networks.torchvision_shim import prepare_torchvision

CLIP_NAME = "clip"
CLIP_FILE = "clip.safetensors"
#: Around a prompt; the embeddings are averaged (Radford et al. 2021, §3.1.4).
TEMPLATES = ("{}", "a photo of {}", "a portrait of {}", "a picture of {}")
#: Texts that say nothing, to compare a prompt with.
NEUTRAL = ("a person", "a face", "a human face", "someone")
#: The metadata of a weights file that lists the words it has seen.
WORDS_KEY = "words"

# open_clip's registry of model configs is global: two models may both call theirs "clip".
_registry_lock = threading.Lock()


def import_open_clip() -> Any:
    """The module open_clip, importable beside every torch."""
    prepare_torchvision()
    import open_clip  # slow (seconds), so only when a text is used

    register_trunks()
    return open_clip


def words_of(text: str) -> list[str]:
    """The words of a text, lower-case, as the tokenizer sees them."""
    return re.findall(r"[^\W_]+", text.lower())


class ClipModel:
    """Texts and pictures to vectors whose cosine says how well they fit.

    Args:
        model: An open_clip model.
        tokenizer: Its tokenizer, from a list of texts to int64 [N, L].
        words: The words it was trained on; None where every word counts as known.
        fingerprint: Changes when the weights do.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, words: frozenset[str] | None = None, fingerprint: str = "memory"
    ) -> None:
        self.model = model
        self.fingerprint = fingerprint
        self.tokenizer = tokenizer
        self.words = words
        size = model.visual.image_size
        self.size_px: int = size[0] if isinstance(size, tuple) else int(size)
        device = next(model.parameters()).device
        self._mean = torch.tensor(model.visual.image_mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(model.visual.image_std, device=device).view(1, 3, 1, 1)

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Texts → int64 [N, context_length], cut to that length."""
        tokens: Tensor = self.tokenizer(list(texts))
        return tokens.to(self._mean.device)

    def encode_text(self, texts: Sequence[str], *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Texts → float32 [N, dim], of length 1; ``dtype`` is the precision of the activations."""
        with torch.autocast(self._mean.device.type, dtype, enabled=dtype != torch.float32):
            features: Tensor = self.model.encode_text(self.tokenize(texts))
        return F.normalize(features.float(), dim=-1)

    def encode_prompt(self, prompt: str) -> Tensor:
        """One prompt in all :data:`TEMPLATES`, averaged → float32 [dim], of length 1."""
        return F.normalize(self.encode_text([t.format(prompt) for t in TEMPLATES]).mean(dim=0), dim=0)

    def encode_neutral(self) -> Tensor:
        """What a prompt is compared with → float32 [dim], of length 1."""
        return F.normalize(self.encode_text(NEUTRAL).mean(dim=0), dim=0)

    def encode_image(self, image: Tensor, *, dtype: torch.dtype = torch.float32) -> Tensor:
        """Pictures → float32 [N, dim], of length 1. Differentiable.

        Args:
            image: [N, C, H, W], −1..1, of any number of channels; resized to ``size_px`` where it has another size.
            dtype: Precision of the activations.
        """
        image = as_rgb(image)
        if image.shape[-2:] != (self.size_px, self.size_px):
            image = F.interpolate(image, size=(self.size_px, self.size_px), mode="bilinear", antialias=True)
        x = ((image + 1) / 2 - self._mean) / self._std
        x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, dtype, enabled=dtype != torch.float32):
            features: Tensor = self.model.encode_image(x)
        return F.normalize(features.float(), dim=-1)

    def unknown_words(self, text: str) -> list[str]:
        """The words of ``text`` that the model has never seen, in order, each once."""
        if self.words is None:
            return []
        known = self.words
        return [w for w in dict.fromkeys(words_of(text)) if w not in known]


def make_model(name: str, *, config: Path | None = None, pretrained: Path | None = None) -> tuple[Any, Any]:
    """An open_clip model and its tokenizer, from a name that open_clip knows.

    Args:
        name: The model's name.
        config: A JSON file to register under its stem first, if ``name`` is one of our own.
        pretrained: Weights; None for random ones.

    Returns:
        The model, in float32 and evaluation mode, and the tokenizer.

    Raises:
        BadModel: unknown name, or weights that do not fit.
    """
    open_clip = import_open_clip()
    try:
        with _registry_lock:
            if config is not None:
                open_clip.add_model_config(config)
            source = None if pretrained is None else str(pretrained)
            model, _, _ = open_clip.create_model_and_transforms(name, pretrained=source)
            tokenizer = open_clip.get_tokenizer(name)
    except (RuntimeError, ValueError, KeyError, TypeError, OSError, safetensors.SafetensorError) as e:
        raise BadModel(
            f"The CLIP {name!r} with weights {pretrained} cannot be loaded ({e}). Get its files again."
        ) from e
    return model.eval(), tokenizer


def read_clip(weights: Path, *, name: str | None = None) -> ClipModel:
    """Reads a CLIP from its weights.

    Args:
        weights: The weights; a config called ``name``.json beside them is registered with open_clip first.
        name: The model's name; the stem of the file where not given.

    Raises:
        BadModel: the files are damaged or do not fit each other.
    """
    name = name or weights.stem
    config = weights.with_name(f"{name}.json")
    model, tokenizer = make_model(name, config=config if config.is_file() else None, pretrained=weights)
    model.requires_grad_(False)
    # Convolutions of half-precision activations are several times faster in this layout on CPUs.
    model.visual.to(memory_format=torch.channels_last)
    return ClipModel(model, tokenizer, words=_read_words(weights), fingerprint=_digest(weights))


def _digest(weights: Path) -> str:
    with weights.open("rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()[:12]


def _read_words(weights: Path) -> frozenset[str] | None:
    if weights.suffix != ".safetensors":
        return None
    with safetensors.safe_open(str(weights), "pt") as f:
        words = (f.metadata() or {}).get(WORDS_KEY)
    return None if words is None else frozenset(words.split())


@per_model
def load_clip(g: Generator) -> ClipModel:
    """The CLIP of a generator, built once: its own, or the one that is lent to a model that shows faces.

    Raises:
        MissingPart: the model comes without one, and shows no faces.
        BadModel: its files are damaged.
    """
    about = g.bundle.about.get("clip") or {}
    return read_clip(_weights(g), name=str(about.get("model", CLIP_NAME)))


@per_model
def clip_fingerprint(g: Generator) -> str:
    """The fingerprint of :func:`load_clip`'s answer, without building it. Raises as that does."""
    return _digest(_weights(g))


def _weights(g: Generator) -> Path:
    about = g.bundle.about.get("clip") or {}
    if not g.bundle.has(CLIP_FILE, own=True) and not about:
        shows_faces(g)  # then one is lent
    return g.bundle.file(str(about.get("pretrained", CLIP_FILE)), "text prompts")
