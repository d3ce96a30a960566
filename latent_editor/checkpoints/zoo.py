"""Published third-party models: their addresses and licenses, and downloading them once the license is accepted.

``weights/manifest.json`` lists them. The models themselves are not part of this project.
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
from latent_editor.core.errors import BadModel, FetchFailed, LicenseNotAccepted, UnknownModel
from latent_editor.core.values import OnStep
from latent_editor.models.bundle import cache_folder, model_folders

MANIFEST_FILE = "manifest.json"
FOLDER = "zoo"


@dataclass(frozen=True)
class License:
    """The license of a model.

    Attributes:
        name: The name that its author uses.
        statement: A summary in a sentence or two.
        link: URL of the full text.
    """

    name: str
    statement: str
    link: str


@dataclass(frozen=True)
class Entry:
    """A model that can be downloaded.

    Attributes:
        name: The name to fetch and load it by.
        title: What its images show.
        address: https URL of the file.
        page: URL of the publisher's page.
        license: The license to accept.
        kind: "stylegan2" or "stylegan3".
        size_px: Height and width of its images.
        size_bytes, sha256: Size and hash of the file, or None if unpublished.
        canonical_points: Positions of facial landmarks, [x, y] as fractions of the image; None unless the model shows
            upright faces.
        note: Source of the address, size or hash, if not the page.
    """

    name: str
    title: str
    address: str
    page: str
    license: License
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
        """The content of a ``model.json`` for it."""
        about = {"name": self.name, "title": self.title, "licence": self.license.name, "credit": self.page}
        return about | ({"canonical_points": self.canonical_points} if self.canonical_points else {})


def entries() -> list[Entry]:
    """The models that can be downloaded, from the manifests of this project and of ``LATENT_EDITOR_WEIGHTS``.

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
    """Finds a downloadable model by its name.

    Raises:
        UnknownModel: no such model.
    """
    known = entries()
    for entry in known:
        if entry.name == name.strip().lower():
            return entry
    raise UnknownModel(
        f"No model to fetch is called {name[:80]!r}. Available: {', '.join(entry.name for entry in known) or 'none'}."
    )


def zoo_folder() -> Path:
    """The folder of downloaded models. It need not exist yet."""
    return cache_folder() / FOLDER


def path_of(name: str) -> Path | None:
    """The file of a downloaded model; None if there is no such model or it was not downloaded yet."""
    for entry in entries():
        if entry.name == name and (zoo_folder() / entry.file_name).is_file():
            return zoo_folder() / entry.file_name
    return None


def fetch_hint(name: str) -> str:
    """How to download a missing model, for error messages; "" if it cannot be downloaded."""
    if any(entry.name == name for entry in entries()):
        return f"{name!r} can be downloaded: `latent-editor fetch {name}` shows its license first."
    return ""


def fetch(
    name: str,
    *,
    accept: bool = False,
    folder: str | Path | None = None,
    on_step: OnStep | None = None,
    policy: TransferPolicy | None = None,
) -> Path:
    """Downloads a model unless it is already there.

    Interrupted downloads are resumed. The file is verified against its published size and hash; without a published
    hash, that of the first download is recorded next to the file and used from then on.

    Args:
        name: One of :func:`entries`.
        accept: Whether the user accepts its license.
        folder: Target folder; models in the default folder are found by name.
        on_step: Called during the download, with megabytes as steps; True stops it and keeps the partial file.
        policy: Timeouts, retries and limits; None for the defaults.

    Returns:
        The path of the file.

    Raises:
        UnknownModel: no such model.
        LicenseNotAccepted: ``accept`` is False; the message shows the license.
        FetchFailed: the download failed, or the file is not the expected one.
        Stopped: ``on_step`` returned True.
    """
    entry = find_entry(name)
    target = (zoo_folder() if folder is None else Path(folder)) / entry.file_name
    known = fetch_record(target)
    sizes = (entry.size_bytes, known.get("size_bytes"))
    if target.is_file() and (sizes == (None, None) or target.stat().st_size in sizes):
        return target
    if not accept:
        raise LicenseNotAccepted(
            f"{entry.name} ({entry.title}) comes from {entry.page} under the {entry.license.name}. "
            f"{entry.license.statement} Full text: {entry.license.link} . "
            f"To accept it, run `latent-editor fetch {entry.name} --accept`."
        )
    expected = entry.sha256 or known.get("sha256")
    try:
        digest = download(
            entry.address, target, size_bytes=entry.size_bytes, sha256=expected, on_step=on_step, policy=policy
        )
    except FetchFailed as e:
        if entry.sha256 is None and expected and expected in str(e):
            raise FetchFailed(
                f"{e} The expected hash is that of the first download; to accept the new file, delete "
                f"{_record_path(target)}."
            ) from e
        raise
    record = {"address": entry.address, "sha256": digest, "size_bytes": target.stat().st_size, "fetched": _today()}
    tensor_files.write_bytes(_record_path(target), json.dumps(record, indent=2).encode())
    return target


def fetch_record(target: Path) -> dict[str, Any]:
    """The record of a download: address, sha256, size_bytes, fetched (a date); empty if there is none."""
    try:
        record = json.loads(_record_path(target).read_bytes())
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _record_path(target: Path) -> Path:
    return target.with_name(f"{target.name}.json")


def _today() -> str:
    return time.strftime("%Y-%m-%d")


def _read_manifest(path: Path) -> list[Entry]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        licenses = {key: License(**value) for key, value in manifest["licences"].items()}
        points = {key: _points(value) for key, value in manifest.get("points", {}).items()}
        return [_entry(row, licenses, points) for row in manifest["models"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, FetchFailed) as e:
        raise BadModel(f"{path} cannot be read ({e!r}). Restore it, or write it like weights/{MANIFEST_FILE}.") from e


def _points(value: dict[str, Any]) -> dict[str, list[float]]:
    return {name: [float(x) for x in point] for name, point in value.items() if name != "origin"}


def _entry(row: dict[str, Any], licenses: dict[str, License], points: dict[str, dict[str, list[float]]]) -> Entry:
    rest = {key: value for key, value in row.items() if key not in ("licence", "points")}
    layout = row.get("points")
    entry = Entry(**rest, license=licenses[row["licence"]], canonical_points=None if layout is None else points[layout])
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,63}", entry.name):  # it becomes a file name
        raise ValueError(f"the name {entry.name!r} has other characters than a-z, 0-9, '.', '_' and '-'")
    if entry.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", entry.sha256):
        raise ValueError(f"{entry.name!r} has an invalid sha256")
    if entry.size_bytes is not None and not (isinstance(entry.size_bytes, int) and entry.size_bytes > 0):
        raise ValueError(f"{entry.name!r} has an invalid size_bytes")
    check_address(entry.address)
    return entry
