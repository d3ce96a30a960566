"""Model bundles: a folder of files for each model, and the parts built from them.

A user's model often has a generator only. It borrows the files that do not depend on the generator from the embedded
model: always the discriminator; the landmark network, CLIP and the colorizer only if the model shows faces.
"""

from __future__ import annotations

import json
import os
import threading
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, MissingPart, UnknownModel
from latent_editor.models.per_model import Parts

T = TypeVar("T")

#: Environment variable with an additional folder of models, searched first.
FOLDERS_VARIABLE = "LATENT_EDITOR_WEIGHTS"
#: Environment variable with the folder for data computed for users' models.
CACHE_VARIABLE = "LATENT_EDITOR_CACHE"
MODEL_FILE = "model.json"
#: The model that others borrow files from; its files for all models, and for models that show faces.
FALLBACK_MODEL = "portraits"
SHARED_WITH_ALL = ("discriminator.safetensors",)
SHARED_WITH_FACE_MODELS = (
    "landmarks.safetensors", "clip.safetensors", "clip.json", "colorizer.safetensors", "identity.safetensors",
)  # fmt: skip
#: Key in ``model.json`` of the facts computed about the generator, with its fingerprint.
FACTS_KEY = "prepared"


class Bundle:
    """The folder of one model, and the parts built from it.

    Parts are expensive objects that belong to one model, such as its encoder, CLIP and directions; each is built once
    (:mod:`latent_editor.models.per_model`).

    Attributes:
        name: Short name, for messages and file names.
        folder: The folder of its files, or None for a generator in memory.
        about: The content of ``model.json``, possibly of the cache folder of a single-file model.
        extras: Tensors of other networks in the generator's file, by part, such as the encoder of an e4e checkpoint.
        parts: Objects built for the model.
        own_parts: Objects built for this generator only; differs from ``parts`` for a refined generator.
    """

    def __init__(
        self,
        name: str,
        folder: Path | None = None,
        about: Mapping[str, Any] | None = None,
        extras: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.name = name
        self.folder = folder
        self.about = {**_read_about(folder), **(about or {})}
        self.extras = dict(extras or {})
        self.parts = self.own_parts = Parts()
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle:
        """Copies without the built parts, because the copied generator may be modified."""
        return Bundle(self.name, self.folder, self.about, self.extras)

    def file(self, name: str, purpose: str) -> Path:
        """The path of a file: the model's own, or that of the fallback model.

        Args:
            name: The file name.
            purpose: Completes "needed for …" in the error message.

        Raises:
            MissingPart: there is no such file.
        """
        found = self._own_file(name) or self._shared_file(name)
        if found is not None:
            return found
        if name in SHARED_WITH_FACE_MODELS and self.about.get("faces") is False:
            raise MissingPart(
                f"The model {self.name!r} has no {name}, needed for {purpose}; that of {FALLBACK_MODEL!r} only works "
                "for faces, and this model shows none. Use its sliders, or add such a file to its folder."
            )
        raise MissingPart(
            f"The model {self.name!r} has no {name}, needed for {purpose}. Use a model that has it, such as "
            "“portraits”."
        )

    def has(self, name: str, *, own: bool = False) -> bool:
        """Whether there is such a file; with ``own``, not counting the fallback model's."""
        return self._own_file(name) is not None or (not own and self._shared_file(name) is not None)

    def _own_file(self, name: str) -> Path | None:
        return self.folder / name if self.folder is not None and (self.folder / name).is_file() else None

    def _shared_file(self, name: str) -> Path | None:
        faces = bool(self.about.get("faces", self.about.get("canonical_points")))
        if name not in SHARED_WITH_ALL and not (faces and name in SHARED_WITH_FACE_MODELS):
            return None
        return fallback_file(name)

    def write(self, name: str, write: Callable[[Path], object]) -> bool:
        """Writes a file of computed data into the folder; only warns on failure.

        Args:
            name: The file name.
            write: Writes it, given its path.

        Returns:
            Whether it was written; False for a model without a folder.
        """
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self.folder / name)
            return True
        except OSError as e:
            warnings.warn(
                f"{self.folder / name} cannot be written ({e.strerror or e}): it will be computed again next time. "
                f"Set {CACHE_VARIABLE} to another folder.",
                stacklevel=2,
            )
            return False

    @property
    def is_cache(self) -> bool:
        """Whether the folder holds only data that can be recomputed."""
        return self.folder is not None and self.folder.is_relative_to(cache_folder())

    def read_optional(self, name: str, purpose: str, read: Callable[[Path], T]) -> T | None:
        """Reads a file with ``read``; None if it is missing, or damaged in the cache.

        Raises:
            BadModel: the file is damaged, and not in the cache, where it can be recomputed.
        """
        if not self.has(name):
            return None
        try:
            return read(self.file(name, purpose))
        except BadModel:
            if self.is_cache:
                return None
            raise

    def save_facts(self, fingerprint: str, facts: Mapping[str, Any]) -> bool:
        """Adds facts about the generator with this fingerprint, in memory and in ``model.json``.

        Returns:
            Whether ``model.json`` was written.
        """
        with self._lock:
            before = self.facts(fingerprint)
            self.about[FACTS_KEY] = {**before, **facts, "fingerprint": fingerprint}
            content = {"name": self.name, **_read_about(self.folder), FACTS_KEY: self.about[FACTS_KEY]}
        text = json.dumps(content, indent=2) + "\n"
        return self.write(MODEL_FILE, lambda path: tensor_files.write_bytes(path, text.encode()))

    def facts(self, fingerprint: str) -> dict[str, Any]:
        """The facts saved by :meth:`save_facts` for this fingerprint."""
        facts = self.about.get(FACTS_KEY)
        return dict(facts) if isinstance(facts, dict) and facts.get("fingerprint") == fingerprint else {}


def _read_about(folder: Path | None) -> dict[str, Any]:
    """The content of a folder's ``model.json``; empty if missing or unreadable."""
    try:
        about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")) if folder is not None else {}
        return about if isinstance(about, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def fallback_file(name: str) -> Path | None:
    """A file of the fallback model, or None if it is not installed."""
    paths = (folder / FALLBACK_MODEL / name for folder in model_folders())
    return next((path for path in paths if path.is_file()), None)


def model_folders() -> list[Path]:
    """The folders that are searched for models by name."""
    extra = os.environ.get(FOLDERS_VARIABLE)
    folders = [Path(extra)] if extra else []
    return [*folders, Path(__file__).resolve().parents[2] / "weights"]


def model_names() -> list[str]:
    """Names of the models that come with this installation, sorted."""
    return sorted({f.parent.name for folder in model_folders() for f in folder.glob(f"*/{MODEL_FILE}")})


def cache_folder() -> Path:
    """The folder for data computed for users' models. It need not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "latent-editor"


def open_bundle(name_or_path: str | Path) -> Bundle:
    """Finds a model by its name, or by the path of its folder.

    Raises:
        UnknownModel: no such model.
        BadModel: its ``model.json`` cannot be read.
    """
    candidates = [Path(name_or_path), *(folder / str(name_or_path) for folder in model_folders())]
    for folder in candidates:
        if os.path.isfile(folder / MODEL_FILE):  # unlike Path.is_file, no error for overlong names
            try:
                about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
                return Bundle(str(about["name"]), folder.resolve(), about)
            except (OSError, ValueError, KeyError, TypeError) as e:
                raise BadModel(f"{folder / MODEL_FILE} cannot be read ({e!r}). Restore it from the project.") from e
    raise UnknownModel(
        f"No model is called {str(name_or_path)!r}. Available: {', '.join(model_names()) or 'none'}. "
        "A path to a model's folder works too."
    )
