"""What there is to choose from: installed and fetched models, told without reading them."""

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
class Entry:
    """A model as the picker shows it.

    Attributes:
        key: What the page calls it; unguessable for an uploaded one.
        title: For people.
        source: "here" for an installed one, "fetched" from the zoo, "own" for an uploaded one.
        size_px: Side of its pictures, or None where nobody knows before it is read.
        licence, credit: Empty where unknown.
        path: What the loader takes for it; None where it cannot be read again.
    """

    key: str
    title: str
    source: str = "here"
    size_px: int | None = None
    licence: str = ""
    credit: str = ""
    path: str | Path | None = None

    @staticmethod
    def of(g: Generator, key: str, *, source: str = "here", path: str | Path | None = None) -> Entry:
        """The entry of a loaded model."""
        return _entry(key, {"title": g.name, **g.bundle.about, "size_px": g.size_px}, source, path)


def _entry(key: str, about: Mapping[str, Any], source: str, path: str | Path | None) -> Entry:
    size_px = about.get("size_px")
    return Entry(
        key,
        str(about.get("title") or key),
        source,
        size_px if isinstance(size_px, int) else None,
        str(about.get("licence", "")),
        str(about.get("credit", "")),
        path,
    )


def installed_entries() -> list[Entry]:
    """The models in ``weights/`` and the fetched ones; a damaged description hides its own model only."""
    found = []
    for name in model_names():
        try:
            found.append(_entry(name, open_bundle(name).about, "here", name))
        except LatentEditorError as e:
            log.warning("%s", e)
    try:
        fetched = [e for e in zoo.entries() if zoo.path_of(e.name) is not None]
    except LatentEditorError as e:
        log.warning("%s", e)
        fetched = []
    known = {entry.key for entry in found}
    found += [
        _entry(e.name, {**e.about, "size_px": e.size_px}, "fetched", e.name) for e in fetched if e.name not in known
    ]
    return found
