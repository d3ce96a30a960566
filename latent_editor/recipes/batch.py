"""A folder of photos, all edited by one recipe: goes on after what fails, and does not do again what is done."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

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
from latent_editor.rendering import render

#: What is taken for a photo, by the ending of its name.
PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".avif")
JOURNAL_FILE, KEPT_FOLDER, SHEET_NAME = "batch.json", "latents", "contact sheet"
#: What became of a photo: edited now, edited before, without a face, not to be edited.
DONE, KEPT, NO_FACE, FAILED = "done", "kept", "no face", "failed"
#: The contact sheet: sides of a tile and of its label, pairs in a row, rows on a sheet.
TILE_PX, LABEL_PX, PAIRS, ROWS = 160, 18, 3, 12


@dataclass(frozen=True)
class AlbumConfig:
    """How photos become latents, and latents pictures.

    Attributes:
        method, seconds: As :func:`latent_editor.inversion.invert` takes them.
        face: Which face, where there are several, counted from the biggest.
        paste: Put the face back into its photo.
    """

    method: str = "auto"
    seconds: float = 20.0
    face: int = 0
    paste: bool = False


@dataclass(frozen=True)
class PhotoResult:
    """What became of one photo.

    Attributes:
        photo: Its path.
        status: :data:`DONE`, :data:`KEPT`, :data:`NO_FACE` or :data:`FAILED`.
        output: The edited picture, or None.
        psnr_db: Likeness of the unedited face, or None.
        message: What went wrong.
    """

    photo: Path
    status: str
    output: Path | None = None
    psnr_db: float | None = None
    message: str = ""


def photos_in(folder: str | Path) -> list[Path]:
    """The photos of a folder, by name; hidden files and those with other endings are passed over.

    Raises:
        BadValue: there is no such folder, or no photo in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise BadValue(f"{str(folder)!r} is no folder; expected one with photos. Check the path.")
    found = [p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES and not p.name.startswith(".")]
    if not found:
        raise BadValue(f"{str(folder)!r} holds no photo; expected files ending in {', '.join(PHOTO_SUFFIXES)}.")
    return sorted(found)


class BatchEditor:
    """Edits photos into a folder, which also keeps their latents and a journal of what is done.

    A photo is done again where it, the recipe, the model or the configuration changed; its latent is found again only
    where the photo, the model or the way to find it changed.

    Args:
        g: The generator.
        recipe: What to do to each face.
        output: The folder; made where it is missing.
        config: How.

    Raises:
        BadRecipe: an edit of the recipe that cannot be made with this model.
    """

    def __init__(self, g: Generator, recipe: Recipe, output: str | Path, config: AlbumConfig | None = None) -> None:
        self.g, self.recipe, self.output = g, recipe, Path(output)
        self.config = config or AlbumConfig()
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
        """Edits photos, one after the other, and makes contact sheets of all that are done.

        Args:
            photos: Their paths.
            on_photo: Told what became of each.
            on_step: Told of the progress over all of them; a true answer stops, and what is finished is kept.

        Returns:
            What became of each photo.

        Raises:
            Stopped: ``on_step`` gave a true answer.
            OSError: the folder cannot be written.
        """
        self.output.mkdir(parents=True, exist_ok=True)
        self._names = _names(photos)
        began, outcomes = time.monotonic(), []
        for i, photo in enumerate(photos):
            outcome = self._edit_one(photo, _within(on_step, photo.name, i, len(photos), began))
            outcomes.append(outcome)
            if on_photo is not None:
                on_photo(outcome)
        self._write_sheets(outcomes)
        return outcomes

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
            return PhotoResult(path, KEPT, output, before.get("psnr_db"))
        try:
            photo = open_photo(path)
            crop = align(photo, self.g, face=self.config.face)
            latent = self._kept_latent(name, before.get("latent_key") == latent_key)
            if latent is None:
                latent = self._find_latent(crop, on_step)
                latent.save(self._kept_file(name, ".latent"))
                tensor_files.write_bytes(self._kept_file(name, ".jpg"), exports.jpeg_bytes(crop.image))
            image = self._drawn(latent, photo, crop)
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
        told = [asdict(p) if isinstance(p, AlbumConfig) else p for p in parts]
        return hashlib.sha256(json.dumps([self.g.fingerprint, *told]).encode()).hexdigest()[:16]

    def _find_latent(self, crop: Crop, on_step: OnStep) -> Latent:
        stopped = False

        def note(step: Step) -> bool:
            nonlocal stopped
            stopped = bool(on_step(step))
            return stopped

        latent = invert(self.g, crop, method=self.config.method, seconds=self.config.seconds, on_step=note)
        if stopped:  # a latent that was cut short would be kept for good
            raise Stopped
        return latent

    def _kept_file(self, name: str, suffix: str) -> Path:
        return self.output / KEPT_FOLDER / f"{name}{suffix}"

    def _kept_latent(self, name: str, fits: bool) -> Latent | None:
        path = self._kept_file(name, ".latent")
        if not fits or not path.is_file():
            return None
        try:
            latent = Latent.load(path)
            self.g.check(latent)
            return latent
        except BadLatent:
            return None

    def _drawn(self, latent: Latent, photo: Photo, crop: Crop) -> Image.Image:
        edits = retarget_edits(self.g, latent, self.edits)
        if self.config.paste:
            return paste_edit(self.g, photo, crop, latent, edits)
        transform = self.recipe.placement.matrix() if self.g.has_transform else None
        return render(self.g, edited(latent, edits), transform=transform)

    def _note(self, name: str, entry: Mapping[str, Any]) -> None:
        self._journal[name] = dict(entry)
        text = json.dumps({"model": self.g.name, "photos": self._journal}, indent=1)
        tensor_files.write_bytes(self.output / JOURNAL_FILE, f"{text}\n".encode())

    def _write_sheets(self, outcomes: Sequence[PhotoResult]) -> None:
        """Before and after of all that are done, as PNG; what is left of longer sheets of an earlier time goes."""
        pairs = [(o.output, self._kept_file(self._names[str(o.photo)], ".jpg"), o.photo) for o in outcomes if o.output]
        pages = [pairs[i : i + PAIRS * ROWS] for i in range(0, len(pairs), PAIRS * ROWS)]
        for old in self.output.glob(f"{SHEET_NAME}*.png"):
            old.unlink()
        for number, page in enumerate(pages, start=1):
            tiles = [
                (photo.stem, before if before.is_file() and not self.config.paste else photo, after)
                for after, before, photo in page
            ]
            name = f"{SHEET_NAME}{f' {number}' if number > 1 else ''}.png"
            sheet = contact_sheet(tiles)
            data = exports.png_bytes(sheet, model=self.g.name, edits=self.edits, photo=Photo(sheet))
            tensor_files.write_bytes(self.output / name, data)


def contact_sheet(tiles: Sequence[tuple[str, Path, Path]]) -> Image.Image:
    """Pictures before and after, side by side under their names: (name, before, after)."""
    columns = min(PAIRS, len(tiles))
    rows = -(-len(tiles) // columns)
    sheet = Image.new("RGB", (columns * (2 * TILE_PX + 12) - 12, rows * (TILE_PX + LABEL_PX)), "#f5f5f3")
    pen = ImageDraw.Draw(sheet)
    for i, (name, *pictures) in enumerate(tiles):
        x, y = i % columns * (2 * TILE_PX + 12), i // columns * (TILE_PX + LABEL_PX)
        pen.text((x + 4, y + 3), name.encode("latin-1", "replace").decode("latin-1")[:48], fill="#171718")
        for k, path in enumerate(pictures):
            with contextlib.suppress(LatentEditorError):  # a picture that somebody deleted leaves its place empty
                picture = open_photo(path, working_pixels=1_000_000).image
                picture.thumbnail((TILE_PX, TILE_PX), Image.Resampling.LANCZOS)
                left, top = (TILE_PX - picture.width) // 2, (TILE_PX - picture.height) // 2
                sheet.paste(picture, (x + k * TILE_PX + left, y + LABEL_PX + top))
    return sheet


def _names(photos: Sequence[Path]) -> dict[str, str]:
    """By path: a name for what is made of each photo, which no other has, also where case does not count."""
    stems = [exports.file_name(photo.name, ".png")[: -len(".png")] for photo in photos]
    found: dict[str, str] = {}
    interpolates: set[str] = set()
    for photo, stem in zip(photos, stems, strict=True):
        several = sum(s.casefold() == stem.casefold() for s in stems) > 1
        name = f"{stem} {photo.suffix[1:].lower()}" if several or stem.casefold().startswith(SHEET_NAME) else stem
        count = 1
        while name.casefold() in interpolates:
            count += 1
            name = f"{stem} {photo.suffix[1:].lower()} {count}"
        interpolates.add(name.casefold())
        found[str(photo)] = name
    return found


def _read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """What was noted; nothing where it cannot be read: then all is done anew."""
    try:
        photos = json.loads(path.read_text(encoding="utf-8"))["photos"]
        return {str(name): entry for name, entry in photos.items() if isinstance(entry, dict)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _within(on_step: OnStep | None, name: str, index: int, count: int, began: float) -> OnStep:
    """``on_step`` told of the whole album while one photo is worked on; first that it begins.

    Raises:
        Stopped: that gave a true answer.
    """

    def report(step: Step) -> bool:
        fraction = (index + min(max(step.fraction, 0.0), 1.0)) / count
        whole = replace(step, fraction=fraction, seconds=time.monotonic() - began, label=f"{index + 1}/{count} {name}")
        return on_step is not None and bool(on_step(whole))

    if report(Step(0, 1, 0.0, 0.0)):
        raise Stopped
    return report
