"""Lists installed and downloaded models without loading them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from latent_editor.checkpoints import zoo
from latent_editor.core.errors import LatentEditorError
from latent_editor.generators import Generator
from latent_editor.models.bundle import model_names, open_bundle

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelEntry:
    """A model as the model picker shows it.

    Attributes:
        key: Its identifier on the page; unguessable for an uploaded model.
        title: For the visitor.
        source: "here" if installed, "fetched" if downloaded from the zoo, "own" if uploaded.
        size_px: Side of its pictures; None if unknown until it is loaded.
        license, credit: Empty if unknown.
        path: Argument for the loader; None if the model cannot be loaded again.
    """

    key: str
    title: str
    source: str = "here"
    size_px: int | None = None
    license: str = ""
    credit: str = ""
    path: str | Path | None = None

    @staticmethod
    def of_generator(g: Generator, key: str, *, source: str = "here", path: str | Path | None = None) -> ModelEntry:
        """The entry of a loaded model."""
        return _entry(key, {"title": g.name, **g.bundle.about, "size_px": g.size_px}, source, path)


def _entry(key: str, about: Mapping[str, Any], source: str, path: str | Path | None) -> ModelEntry:
    size_px = about.get("size_px")
    return ModelEntry(
        key,
        str(about.get("title") or key),
        source,
        size_px if isinstance(size_px, int) else None,
        str(about.get("licence", "")),
        str(about.get("credit", "")),
        path,
    )


def installed_entries() -> list[ModelEntry]:
    """The models in ``weights/`` and the downloaded ones. A damaged description hides its own model only."""
    installed = []
    for name in model_names():
        try:
            installed.append(_entry(name, open_bundle(name).about, "here", name))
        except LatentEditorError as e:
            log.warning("%s", e)
    try:
        downloaded = [e for e in zoo.entries() if zoo.path_of(e.name) is not None]
    except LatentEditorError as e:
        log.warning("%s", e)
        downloaded = []
    known = {entry.key for entry in installed}
    return installed + [
        _entry(e.name, {**e.about, "size_px": e.size_px}, "fetched", e.name) for e in downloaded if e.name not in known
    ]
