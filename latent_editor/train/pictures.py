"""Reads training data: a folder or tar of images, and their labels as JSON Lines."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from latent_editor.core.errors import BadInput

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images of one size, in memory.

    Attributes:
        images: uint8 [N, 3, size_px, size_px], RGB.
        names: File names without folders, in the order of ``images``.
    """

    images: Tensor
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)


#: One dataset (a folder or tar; a file of labels), or several to read one after another.
Paths = str | Path | Sequence[str | Path]


def several(paths: Paths) -> list[Path]:
    """One path or many as a list."""
    return [Path(paths)] if isinstance(paths, str | Path) else [Path(path) for path in paths]


def read_pictures(paths: Paths, size_px: int, *, limit: int | None = None) -> Pictures:
    """Reads all images in folders (recursively) or tars, each sorted by name.

    Each is rotated upright by its EXIF orientation, cropped to its central square, and resized with Lanczos.

    Args:
        paths: A folder, a tar file (compressed or not), or several of them. One that is listed twice counts twice.
        size_px: Height and width of the result.
        limit: Maximum number of images of each.

    Raises:
        BadInput: a path does not exist, is neither a folder nor a tar, or contains no image or a damaged one.
    """
    each = [_read_dataset(path, size_px, limit) for path in several(paths)]
    return Pictures(torch.cat([e.images for e in each]), [name for e in each for name in e.names])


def _read_dataset(path: Path, size_px: int, limit: int | None) -> Pictures:
    if not path.exists():
        raise BadInput(
            f"{path} does not exist; expected a folder or tar of images ({', '.join(SUFFIXES)}). Check the path."
        )
    arrays, names = [], []
    for name, file in _open_folder(path, limit) if path.is_dir() else _open_tar(path, limit):
        arrays.append(_read(name, file, size_px))
        names.append(Path(name).name)
    if not arrays:
        raise BadInput(f"{path} contains no images; expected files ending in {', '.join(SUFFIXES)}. Check the path.")
    return Pictures(torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous(), names)


def _open_folder(folder: Path, limit: int | None) -> Iterator[tuple[str, IO[bytes]]]:
    found = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    for p in found[:limit]:
        with p.open("rb") as f:
            yield str(p), f


def _open_tar(path: Path, limit: int | None) -> Iterator[tuple[str, IO[bytes]]]:
    try:
        with tarfile.open(path) as archive:
            members = [m for m in archive.getmembers() if m.isfile() and m.name.lower().endswith(SUFFIXES)]
            for member in sorted(members, key=lambda m: m.name)[:limit]:
                f = archive.extractfile(member)
                assert f is not None  # isfile() above
                yield member.name, f
    except tarfile.TarError as e:
        raise BadInput(
            f"{path.name} is not a readable tar ({e}); expected a folder or tar of images. Choose another file."
        ) from e


def _read(name: str, file: IO[bytes], size_px: int) -> np.ndarray:
    try:
        with Image.open(BytesIO(file.read())) as opened:
            image = ImageOps.exif_transpose(opened).convert("RGB")
        image = ImageOps.fit(image, (size_px, size_px), Image.Resampling.LANCZOS)
        return np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as e:
        raise BadInput(f"{name} is not a readable image ({e}). Remove it from the training data, or replace it.") from e


def read_labels(paths: Paths) -> list[dict[str, Any]]:
    """Reads labels from one or several JSON Lines files: objects with at least ``file``, the name of the image.

    Raises:
        BadInput: a file cannot be read, or a line is not such an object.
    """
    return [row for path in several(paths) for row in _read_label_file(path)]


def _read_label_file(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as e:
        raise BadInput(f"{path} cannot be read ({e}); expected a JSON Lines file. Check the path.") from e
    for i, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict) or not isinstance(row.get("file"), str):
                raise ValueError('no "file"')
        except ValueError as e:
            raise BadInput(
                f'{path.name}, line {i}: {e}; expected a JSON object such as {{"file": "1.png", …}}. Fix the line.'
            ) from e
        rows.append(row)
    return rows


def match_labels(pictures: Pictures, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The label of each image, in the order of the images.

    Raises:
        BadInput: an image has no label.
    """
    by_name = {row["file"]: row for row in rows}
    missing = [n for n in pictures.names if n not in by_name]
    if missing:
        raise BadInput(
            f"{len(missing)} of {len(pictures)} images have no label, such as {missing[0]}. Use their own labels."
        )
    return [by_name[n] for n in pictures.names]
