"""Where models live: a folder each, and the parts that are built from it.

A model of one's own brings a generator and little else. It borrows from the embedded model what does not depend on the
generator: the discriminator always, the landmark network and the CLIP where it shows faces, since they know nothing
    else.
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

#: Where models are looked for by name; the environment variable adds a folder in front.
FOLDERS_VARIABLE = "LATENT_EDITOR_WEIGHTS"
#: Where what is worked out about a user's own models is kept.
CACHE_VARIABLE = "LATENT_EDITOR_CACHE"
MODEL_FILE = "model.json"
#: The model that lends, and which of its files: to every model, and to those that show faces.
LENDER = "portraits"
LENT_TO_ALL = ("discriminator.safetensors",)
LENT_TO_FACES = ("landmarks.safetensors", "clip.safetensors", "clip.json", "colorizer.safetensors")
#: In ``model.json``: what was found out about the generator, with its fingerprint.
FOUND_OUT = "prepared"


class Bundle:
    """The folder of one model, and the parts that were built from it, each built once.

    A part is whatever belongs to one model and is costly to make: its encoder, its CLIP, its directions
    (:mod:`latent_editor.models.per_model`).

    Attributes:
        name: Short name, for messages and file names.
        folder: Where the part's files are, or None for a generator made in memory.
        about: The content of ``model.json``; where a file's generator has a cache folder, what is kept there.
        extras: Tensors that came in the same file as the generator, by part: such as the encoder of an e4e checkpoint.
        parts: What was built for the model.
        own_parts: What was built for this very generator; other than ``parts`` for a refined one.
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
        self.about = {**_kept_about(folder), **(about or {})}
        self.extras = dict(extras or {})
        self.parts = self.own_parts = Parts()
        self._lock = threading.Lock()

    def __deepcopy__(self, memo: dict[int, Any]) -> Bundle:
        """A copied generator may be changed, so that it does not share the parts that were built for the first."""
        return Bundle(self.name, self.folder, self.about, self.extras)

    def file(self, name: str, purpose: str) -> Path:
        """The path of a part's file: the model's own, or one that the embedded model lends.

        Raises:
            MissingPart: the model has no such file; ``purpose`` completes the sentence "needed for …".
        """
        found = self._own(name) or self._lent(name)
        if found is not None:
            return found
        if name in LENT_TO_FACES and self.about.get("faces") is False:
            raise MissingPart(
                f"The model {self.name!r} comes without {name}, needed for {purpose}; that of {LENDER!r} knows only "
                "faces, and this model shows none. Use its sliders, or put a file of its own into its folder."
            )
        raise MissingPart(
            f"The model {self.name!r} comes without {name}, needed for {purpose}. "
            "Use a model that has it, for example “portraits”."
        )

    def has(self, name: str, *, own: bool = False) -> bool:
        """Whether there is such a file; with ``own``, whether it is not merely lent."""
        return self._own(name) is not None or (not own and self._lent(name) is not None)

    def _own(self, name: str) -> Path | None:
        return self.folder / name if self.folder is not None and (self.folder / name).is_file() else None

    def _lent(self, name: str) -> Path | None:
        faces = bool(self.about.get("faces", self.about.get("canonical_points")))
        if name not in LENT_TO_ALL and not (faces and name in LENT_TO_FACES):
            return None
        return lent_file(name)

    def write(self, name: str, write: Callable[[Path], object]) -> bool:
        """Writes a file of what was worked out into the folder; warns where that cannot be, and goes on without.

        Args:
            name: The file's name.
            write: Writes it, given its path.

        Returns:
            Whether it was written; False also for a model without a folder.
        """
        if self.folder is None:
            return False
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write(self.folder / name)
            return True
        except OSError as e:
            warnings.warn(
                f"{self.folder / name} cannot be written ({e.strerror or e}): it will be worked out again the next "
                f"time. Name another folder in {CACHE_VARIABLE}.",
                stacklevel=2,
            )
            return False

    @property
    def is_cache(self) -> bool:
        """Whether the folder holds only what was worked out, and can be worked out again."""
        return self.folder is not None and self.folder.is_relative_to(cache_folder())

    def kept(self, name: str, purpose: str, read: Callable[[Path], T]) -> T | None:
        """What ``read`` makes of a part's file, or None where there is none.

        Raises:
            BadModel: the file is damaged, and is not one of a cache, which would be made again.
        """
        if not self.has(name):
            return None
        try:
            return read(self.file(name, purpose))
        except BadModel:
            if self.is_cache:
                return None
            raise

    def remember(self, fingerprint: str, facts: Mapping[str, Any]) -> bool:
        """Adds to what is known about the generator of this fingerprint, here and in ``model.json``.

        Returns:
            Whether it was written.
        """
        with self._lock:
            before = self.found_out(fingerprint)
            self.about[FOUND_OUT] = {**before, **facts, "fingerprint": fingerprint}
            kept = {"name": self.name, **_kept_about(self.folder), FOUND_OUT: self.about[FOUND_OUT]}
        text = json.dumps(kept, indent=2) + "\n"
        return self.write(MODEL_FILE, lambda path: tensor_files.write_bytes(path, text.encode()))

    def found_out(self, fingerprint: str) -> dict[str, Any]:
        """What :meth:`remember` was told about the generator of this fingerprint."""
        facts = self.about.get(FOUND_OUT)
        return dict(facts) if isinstance(facts, dict) and facts.get("fingerprint") == fingerprint else {}


def _kept_about(folder: Path | None) -> dict[str, Any]:
    """What a folder's ``model.json`` says, or nothing where it says nothing that can be read."""
    try:
        about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8")) if folder is not None else {}
        return about if isinstance(about, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def lent_file(name: str) -> Path | None:
    """A file of the model that lends, or None where this installation does not have it."""
    return next((folder / LENDER / name for folder in model_folders() if (folder / LENDER / name).is_file()), None)


def model_folders() -> list[Path]:
    """The folders in which models are looked for by name."""
    extra = os.environ.get(FOLDERS_VARIABLE)
    folders = [Path(extra)] if extra else []
    return [*folders, Path(__file__).resolve().parents[2] / "weights"]


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
        if os.path.isfile(folder / MODEL_FILE):  # unlike Path's, no error for a name that is too long
            try:
                about = json.loads((folder / MODEL_FILE).read_text(encoding="utf-8"))
                return Bundle(str(about["name"]), folder.resolve(), about)
            except (OSError, ValueError, KeyError, TypeError) as e:
                raise BadModel(f"{folder / MODEL_FILE} cannot be read ({e!r}). Restore it from the project.") from e
    raise UnknownModel(
        f"No model is called {str(name_or_path)!r}. There are: {', '.join(model_names()) or 'none'}. "
        "A path to a model's folder works too."
    )
