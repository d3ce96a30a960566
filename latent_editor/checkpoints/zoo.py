"""Models that others have published: where they are, under which licence, and fetching them once it is accepted.

``weights/manifest.json`` lists them; of the models themselves, nothing is part of this project.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from latent_editor.checkpoints.downloads import TransferPolicy, check_address, download
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadModel, FetchFailed, LicenceNotAccepted, UnknownModel
from latent_editor.core.values import OnStep
from latent_editor.models.bundle import cache_folder, model_folders

MANIFEST_FILE = "manifest.json"
FOLDER = "zoo"


@dataclass(frozen=True)
class Licence:
    """What a model may be used for.

    Attributes:
        name: As its author calls it.
        statement: What it means, in a sentence or two.
        link: The whole text.
    """

    name: str
    statement: str
    link: str


@dataclass(frozen=True)
class Entry:
    """A model that can be fetched.

    Attributes:
        name: To fetch it and to load it by.
        title: What it shows.
        address: Of the file: https.
        page: Of whoever published it.
        licence: What one has to accept.
        kind: "stylegan2" or "stylegan3".
        size_px: Height and width of its pictures.
        size_bytes, sha256: Of the file, or None where nobody has stated them.
        canonical_points: Where a face's landmarks lie, [x, y] as fractions of the picture, or None where it shows no
            upright faces.
        note: Where the address, the size or the hash comes from, where that is not the page.
    """

    name: str
    title: str
    address: str
    page: str
    licence: Licence
    kind: str
    size_px: int
    size_bytes: int | None = None
    sha256: str | None = None
    canonical_points: dict[str, list[float]] | None = None
    note: str = ""

    @property
    def file_name(self) -> str:
        suffix = Path(urlsplit(self.address).path).suffix.lower()
        return self.name + (suffix if re.fullmatch(r"\.[a-z0-9]{1,11}", suffix) else "")

    @property
    def about(self) -> dict[str, Any]:
        """What ``model.json`` would say of it."""
        said = {"name": self.name, "title": self.title, "licence": self.licence.name, "credit": self.page}
        return said | ({"canonical_points": self.canonical_points} if self.canonical_points else {})


def entries() -> list[Entry]:
    """The models that can be fetched: those of this project's manifest, and of one in ``LATENT_EDITOR_WEIGHTS``.

    Raises:
        BadModel: a manifest is damaged.
    """
    found: dict[str, Entry] = {}
    for folder in model_folders():
        if (folder / MANIFEST_FILE).is_file():
            for entry in _read_manifest(folder / MANIFEST_FILE):
                found.setdefault(entry.name, entry)
    return list(found.values())


def find_entry(name: str) -> Entry:
    """The model of this name.

    Raises:
        UnknownModel: none can be fetched by it.
    """
    known = entries()
    for entry in known:
        if entry.name == name.strip().lower():
            return entry
    raise UnknownModel(
        f"Nothing to fetch is called {name[:80]!r}. There are: {', '.join(entry.name for entry in known) or 'none'}."
    )


def zoo_folder() -> Path:
    """The folder of what was fetched. It need not exist yet."""
    return cache_folder() / FOLDER


def path_of(name: str) -> Path | None:
    """The file of a fetched model, or None where there is no such model, or it was not fetched yet."""
    for entry in entries():
        if entry.name == name and (zoo_folder() / entry.file_name).is_file():
            return zoo_folder() / entry.file_name
    return None


def advice(name: str) -> str:
    """For whoever asks for a model that is not there: how to get it, or "" where it cannot be fetched."""
    if any(entry.name == name for entry in entries()):
        return f"{name!r} can be fetched: `latent-editor fetch {name}` shows its licence first."
    return ""


def fetch(
    name: str,
    *,
    accept: bool = False,
    folder: str | Path | None = None,
    on_step: OnStep | None = None,
    manners: TransferPolicy | None = None,
) -> Path:
    """Downloads a model, or finds that it is there already.

    What was received before an interruption is continued. The file is checked against its known size and hash; where
    no hash is known, the one of the first download is remembered beside the file and holds from then on.

    Args:
        name: As :func:`entries` lists it.
        accept: Whether its licence is accepted.
        folder: Where to put it; models in the usual folder are found by name.
        on_step: Called while it runs, with megabytes as steps; a true answer stops it and keeps what there is.
        manners: How patient to be.

    Returns:
        The path of the file.

    Raises:
        UnknownModel: no such model.
        LicenceNotAccepted: ``accept`` is not given; the message shows the licence.
        FetchFailed: it cannot be downloaded, or it is not the expected file.
        Stopped: ``on_step`` said so.
    """
    entry = find_entry(name)
    target = (zoo_folder() if folder is None else Path(folder)) / entry.file_name
    known = remembered(target)
    sizes = (entry.size_bytes, known.get("size_bytes"))
    if target.is_file() and (sizes == (None, None) or target.stat().st_size in sizes):
        return target
    if not accept:
        raise LicenceNotAccepted(
            f"{entry.name} ({entry.title}) comes from {entry.page} under the {entry.licence.name}. "
            f"{entry.licence.statement} The whole text: {entry.licence.link} . "
            f"Read it; `latent-editor fetch {entry.name} --accept` accepts it."
        )
    expected = entry.sha256 or known.get("sha256")
    try:
        digest = download(
            entry.address, target, size_bytes=entry.size_bytes, sha256=expected, on_step=on_step, manners=manners
        )
    except FetchFailed as e:
        if entry.sha256 is None and expected and expected in str(e):
            told = f"The expected hash is that of the first download; to take the new file, delete {_record(target)}."
            raise FetchFailed(f"{e} {told}") from e
        raise
    record = {"address": entry.address, "sha256": digest, "size_bytes": target.stat().st_size, "fetched": _today()}
    tensor_files.write_bytes(_record(target), json.dumps(record, indent=2).encode())
    return target


def remembered(target: Path) -> dict[str, Any]:
    """What was noted when ``target`` was fetched: address, sha256, size_bytes, fetched; empty where nothing was."""
    try:
        record = json.loads(_record(target).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _read_manifest(path: Path) -> list[Entry]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        licences = {key: Licence(**value) for key, value in manifest["licences"].items()}
        points = {key: _points(value) for key, value in manifest.get("points", {}).items()}
        return [_entry(row, licences, points) for row in manifest["models"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FetchFailed) as e:
        raise BadModel(f"{path} cannot be read ({e!r}). Restore it, or write it like weights/{MANIFEST_FILE}.") from e


def _points(value: dict[str, Any]) -> dict[str, list[float]]:
    return {name: [float(x) for x in point] for name, point in value.items() if name != "origin"}


def _entry(row: dict[str, Any], licences: dict[str, Licence], points: dict[str, dict[str, list[float]]]) -> Entry:
    rest = {key: value for key, value in row.items() if key not in ("licence", "points")}
    shown = row.get("points")
    entry = Entry(**rest, licence=licences[row["licence"]], canonical_points=None if shown is None else points[shown])
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", entry.name):  # it becomes a file's name
        raise ValueError(f"the name {entry.name!r} has other characters than a-z, 0-9, '.', '_' and '-'")
    if entry.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        raise ValueError(f"the sha256 of {entry.name!r} is not one")
    if entry.size_bytes is not None and not (isinstance(entry.size_bytes, int) and entry.size_bytes > 0):
        raise ValueError(f"the size of {entry.name!r} is not one")
    check_address(entry.address)
    return entry
