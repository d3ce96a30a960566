"""Where models live: a folder each, and the parts that are built from it."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from latent_editor.errors import BadModel, MissingPart, UnknownModel

T = TypeVar("T")

#: Where models are looked for by name; the environment variable adds a folder in front.
FOLDERS_VARIABLE = "LATENT_EDITOR_WEIGHTS"
#: Where what is worked out about a user's own models is kept.
CACHE_VARIABLE = "LATENT_EDITOR_CACHE"
MODEL_FILE = "model.json"


class Bundle:
    """The folder of one model, and the parts that were built from it, each built once.

    A part is whatever belongs to one generator and is costly to make: its encoder, its CLIP, its directions. Threads
    may ask for the same part at the same time; one of them builds it and the others wait.

    Attributes:
        name: Short name, for messages and file names.
        folder: Where the part's files are, or None for a generator made in memory.
        about: The content of ``model.json``.
        extras: Tensors that came in the same file as the generator, by part: such as the encoder of an e4e checkpoint.
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
        self.about = dict(about or {})
        self.extras = dict(extras or {})
        self._parts: dict[str, Any] = {}
        self._lock = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle:
        """A copied generator may be changed, so that it does not share the parts that were built for the first."""
        return Bundle(self.name, self.folder, self.about, self.extras)

    def part(self, name: str, build: Callable[[], T]) -> T:
        """The part called ``name``, built by ``build()`` at the first request."""
        with self._lock:
            lock = self._locks.setdefault(name, threading.RLock())
        with lock:  # one for each part, so that a slow one holds up only those who need it
            if name not in self._parts:
                self._parts[name] = build()
            part: T = self._parts[name]
            return part

    def file(self, name: str, purpose: str) -> Path:
        """The path of a part's file.

        Raises:
            MissingPart: the model has no such file; ``purpose`` completes the sentence "needed for …".
        """
        if self.folder is None or not (self.folder / name).is_file():
            raise MissingPart(
                f"The model {self.name!r} comes without {name}, needed for {purpose}. "
                "Use a model that has it, for example “portraits”."
            )
        return self.folder / name

    def has(self, name: str) -> bool:
        return self.folder is not None and (self.folder / name).is_file()


def model_folders() -> list[Path]:
    """The folders in which models are looked for by name."""
    extra = os.environ.get(FOLDERS_VARIABLE)
    folders = [Path(extra)] if extra else []
    return [*folders, Path(__file__).resolve().parent.parent / "weights"]


def model_names() -> list[str]:
    """Names of the models that come with this installation, sorted."""
    return sorted({f.parent.name for folder in model_folders() for f in folder.glob(f"*/{MODEL_FILE}")})


def cache_folder() -> Path:
    """The folder for what is worked out about a user's own models. It need not exist yet."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen)
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "latent-editor"


def open_bundle(name_or_path: str | Path) -> Bundle:
    """Finds a model by its name in ``weights/`` or by the path of its folder.

    Raises:
        UnknownModel: there is none.
        BadModel: there is one, and its ``model.json`` cannot be read.
    """
    candidates = [Path(name_or_path), *(folder / str(name_or_path) for folder in model_folders())]
    for folder in candidates:
        if (folder / MODEL_FILE).is_file():
            try:
                about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
                return Bundle(str(about["name"]), folder.resolve(), about)
            except (OSError, ValueError, KeyError, TypeError) as e:
                raise BadModel(f"{folder / MODEL_FILE} cannot be read ({e!r}). Restore it from the project.") from e
    raise UnknownModel(
        f"No model is called {str(name_or_path)!r}. There are: {', '.join(model_names()) or 'none'}. "
        "A path to a model's folder works too."
    )
