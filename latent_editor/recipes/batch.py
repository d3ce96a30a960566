"""Batch editing: applies a recipe to a folder of photos, continues after failures and skips what is up to date."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from latent_editor.alignment import align
from latent_editor.core import tensor_files
from latent_editor.core.errors import BadLatent, BadValue, LatentEditorError, NoFaceFound, Stopped
from latent_editor.core.values import Crop, Edit, Latent, OnStep, Photo, Step
from latent_editor.editing.edits import edited
from latent_editor.editing.paste_back import paste_edit
from latent_editor.editing.retarget import retarget_edits
from latent_editor.generators import Generator
from latent_editor.inversion import invert
from latent_editor.media import exports
from latent_editor.media.photos import open_photo
from latent_editor.recipes import Recipe
from latent_editor.recipes.contact_sheet import PAIRS, ROWS, contact_sheet
from latent_editor.rendering import render

#: File name extensions of photos.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
JOURNAL_FILE, LATENT_FOLDER, SHEET_NAME = "batch.json", "latents", "contact sheet"
#: Statuses of a photo: edited now, edited before and up to date, without a face, not editable.
DONE, UP_TO_DATE, NO_FACE, FAILED = "done", "kept", "no face", "failed"


@dataclass(frozen=True)
class BatchConfig:
    """How photos are inverted and written.

    Attributes:
        method, seconds: As in :func:`latent_editor.inversion.invert`.
        face: Which face, counted from the largest.
        paste: Paste the face back into its photo.
    """

    method: str = "auto"
    seconds: float = 20.0
    face: int = 0
    paste: bool = False


@dataclass(frozen=True)
class PhotoResult:
    """The result for one photo.

    Attributes:
        photo: Its path.
        status: :data:`DONE`, :data:`UP_TO_DATE`, :data:`NO_FACE` or :data:`FAILED`.
        output: The edited picture, or None.
        psnr_db: Fidelity of the unedited face, or None.
        message: What went wrong.
    """

    photo: Path
    status: str
    output: Path | None = None
    psnr_db: float | None = None
    message: str = ""


def photos_in(folder: str | Path) -> list[Path]:
    """The photos of a folder, by name; hidden files and other extensions are skipped.

    Raises:
        BadValue: no such folder, or no photo in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadValue(f"{str(folder)!r} is not a folder; expected one with photos. Check the path.")
    found = [p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise BadValue(f"{str(folder)!r} contains no photo; expected files ending in {', '.join(PHOTO_SUFFIXES)}.")
    return sorted(found)


class BatchEditor:
    """Applies a recipe to photos and writes them to a folder, with their latents and a journal.

    A photo is edited again if it, the recipe, the model or the configuration has changed; it is inverted again only if
    the photo, the model or the inversion's configuration has changed.

    Args:
        g: The generator.
        recipe: The edits.
        output: The folder, created if missing.
        config: How photos are inverted and written.

    Raises:
        BadRecipe: an edit of the recipe that cannot be made with this model.
    """

    def __init__(self, g: Generator, recipe: Recipe, output: str | Path, config: BatchConfig | None = None) -> None:
        self.g, self.recipe, self.output = g, recipe, Path(output)
        self.config = config or BatchConfig()
        self.edits: list[Edit] = recipe.edits(g)
        self._journal: dict[str, dict[str, Any]] = _read_journal(self.output / JOURNAL_FILE)
        self._names: dict[str, str] = {}

    def edit(
        self,
        photos: Sequence[Path],
        *,
        on_photo: Callable[[PhotoResult], object] | None = None,
        on_step: OnStep | None = None,
    ) -> list[PhotoResult]:
        """Edits photos in order, and writes contact sheets of all that were edited.

        Args:
            photos: Their paths.
            on_photo: Called with the result of each photo.
            on_step: Called with the progress over all photos; a true answer stops, and finished photos are kept.

        Returns:
            One result per photo.

        Raises:
            Stopped: ``on_step`` gave a true answer.
            OSError: the folder cannot be written.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        self._names = _names(photos)
        began, results = time.monotonic(), []
        for i, photo in enumerate(photos):
            result = self._edit_one(photo, _batch_progress(on_step, photo.name, i, len(photos), began))
            results.append(result)
            if on_photo is not None:
                on_photo(result)
        self._write_sheets(results)
        return results

    def _edit_one(self, path: Path, on_step: OnStep) -> PhotoResult:
        name = self._names[str(path)]
        output = self.output / f"{name}.png"
        try:
            stamp = path.stat()
        except OSError as e:
            return PhotoResult(path, FAILED, message=f"{path.name} cannot be read ({e.strerror}).")
        latent_key = self._key(stamp.st_size, stamp.st_mtime_ns, replace(self.config, paste=False))
        key = self._key(latent_key, self.recipe.digest, self.config.paste)
        before = self._journal.get(name, {})
        if before.get("key") == key and before.get("status") == NO_FACE:
            return PhotoResult(path, NO_FACE, message=str(before.get("message", "")))
        if before.get("key") == key and output.is_file():
            return PhotoResult(path, UP_TO_DATE, output, before.get("psnr_db"))
        try:
            photo = open_photo(path)
            crop = align(photo, self.g, face=self.config.face)
            latent = self._stored_latent(name, before.get("latent_key") == latent_key)
            if latent is None:
                latent = self._find_latent(crop, on_step)
                latent.save(self._latent_file(name, ".latent"))
                tensor_files.write_bytes(self._latent_file(name, ".jpg"), exports.jpeg_bytes(crop.image))
            image = self._edited_image(latent, photo, crop)
        except Stopped:
            raise
        except LatentEditorError as e:
            status = NO_FACE if isinstance(e, NoFaceFound) else FAILED
            if status == NO_FACE:
                self._note(name, {"key": key, "status": status, "message": str(e)})
            return PhotoResult(path, status, message=str(e))
        whole = photo if self.config.paste else None
        tensor_files.write_bytes(output, exports.png_bytes(image, model=self.g.name, edits=self.edits, photo=whole))
        self._note(name, {"key": key, "latent_key": latent_key, "status": DONE, "psnr_db": latent.psnr_db})
        return PhotoResult(path, DONE, output, latent.psnr_db)

    def _key(self, *parts: object) -> str:
        values = [asdict(p) if isinstance(p, BatchConfig) else p for p in parts]
        return hashlib.sha256(json.dumps([self.g.fingerprint, *values]).encode()).hexdigest()[:16]

    def _find_latent(self, crop: Crop, on_step: OnStep) -> Latent:
        stopped = False

        def report(step: Step) -> bool:
            nonlocal stopped
            stopped = bool(on_step(step))
            return stopped

        latent = invert(self.g, crop, method=self.config.method, seconds=self.config.seconds, on_step=report)
        if stopped:  # an interrupted latent would be stored for good
            raise Stopped
        return latent

    def _latent_file(self, name: str, suffix: str) -> Path:
        return self.output / LATENT_FOLDER / f"{name}{suffix}"

    def _stored_latent(self, name: str, fits: bool) -> Latent | None:
        path = self._latent_file(name, ".latent")
        if not fits or not path.is_file():
            return None
        try:
            latent = Latent.load(path)
            self.g.check(latent)
            return latent
        except BadLatent:
            return None

    def _edited_image(self, latent: Latent, photo: Photo, crop: Crop) -> Image.Image:
        edits = retarget_edits(self.g, latent, self.edits)
        if self.config.paste:
            return paste_edit(self.g, photo, crop, latent, edits)
        transform = self.recipe.placement.matrix() if self.g.has_transform else None
        return render(self.g, edited(latent, edits), transform=transform)

    def _note(self, name: str, entry: Mapping[str, Any]) -> None:
        self._journal[name] = dict(entry)
        text = json.dumps({"model": self.g.name, "photos": self._journal}, indent=1)
        tensor_files.write_bytes(self.output / JOURNAL_FILE, f"{text}\n".encode())

    def _write_sheets(self, results: Sequence[PhotoResult]) -> None:
        """Writes contact sheets as PNG; sheets of earlier runs are deleted."""
        pairs = [
            (result.output, self._latent_file(self._names[str(result.photo)], ".jpg"), result.photo)
            for result in results
            if result.output
        ]
        pages = [pairs[i : i + PAIRS * ROWS] for i in range(0, len(pairs), PAIRS * ROWS)]
        for old in self.output.glob(f"{SHEET_NAME}*.png"):
            old.unlink()
        for number, page in enumerate(pages, start=1):
            tiles = [
                (photo.stem, before if before.is_file() and not self.config.paste else photo, after)
                for after, before, photo in page
            ]
            name = f"{SHEET_NAME}{f' {number}' if number > 1 else ''}.png"
            sheet = contact_sheet(tiles, columns=PAIRS)
            data = exports.png_bytes(sheet, model=self.g.name, edits=self.edits, photo=Photo(sheet))
            tensor_files.write_bytes(self.output / name, data)


def _names(photos: Sequence[Path]) -> dict[str, str]:
    """By path: a name for each photo's files, unique even on case-insensitive file systems."""
    stems = [exports.file_name(photo.name, ".png")[: -len(".png")] for photo in photos]
    found: dict[str, str] = {}
    used: set[str] = set()
    for photo, stem in zip(photos, stems, strict=True):
        several = sum(s.casefold() == stem.casefold() for s in stems) > 1
        name = f"{stem} {photo.suffix[1:].lower()}" if several or stem.casefold().startswith(SHEET_NAME) else stem
        count = 1
        while name.casefold() in used:
            count += 1
            name = f"{stem} {photo.suffix[1:].lower()} {count}"
        used.add(name.casefold())
        found[str(photo)] = name
    return found


def _read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """The journal's entries; none if it cannot be read, so that everything is done again."""
    try:
        photos = json.loads(path.read_text(encoding="utf-8"))["photos"]
        return {str(name): entry for name, entry in photos.items() if isinstance(entry, dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _batch_progress(on_step: OnStep | None, name: str, index: int, count: int, began: float) -> OnStep:
    """``on_step`` with the progress of the whole batch while one photo is edited; called at its start too.

    Raises:
        Stopped: ``on_step`` gave a true answer.
    """

    def report(step: Step) -> bool:
        fraction = (index + min(max(step.fraction, 0.0), 1.0)) / count
        whole = replace(step, fraction=fraction, seconds=time.monotonic() - began, label=f"{index + 1}/{count} {name}")
        return on_step is not None and bool(on_step(whole))

    if report(Step(0, 1, 0.0, 0.0)):
        raise Stopped
    return report
