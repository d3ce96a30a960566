"""The people of ``photographs.py``: photographs of the repository's examples, of a folder, and of a labeled set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import latent_editor as le
from latent_editor.core.face_geometry import FaceAxes
from latent_editor.generators.pictures import to_image
from latent_editor.inversion import picture_tensor
from latent_editor.train.pictures import SUFFIXES, match_labels, read_labels, read_pictures

#: Photographs of one person each that may be shown.
FREE = ("astronaut.png", "lisa1.jpg", "portrait_60cm.jpg")
#: What chosen people should differ in.
SPREAD = ("sex", "age", "skin", "expression", "glasses", "facial_hair", "hair_length")
#: Head and shoulders, in eye distances: half width, and reach above the eyes; for hair that grows, wider.
HEAD, WITH_HAIR = (1.45, 1.75), (1.75, 1.9)
#: From this far below the eyes on there may be shoulders, or hair that falls.
SHOULDERS, FALLING_HAIR = 0.75, -0.3


@dataclass(frozen=True, eq=False)
class Person:
    """A photograph as the page crops it; ``free`` ones may be shown, the others only counted."""

    crop: le.Crop
    free: bool

    def picture(self, g: le.Generator) -> Tensor:
        """float32 [3, S, S], −1..1."""
        return picture_tensor(g, self.crop)[0]

    def background(self, *, hair: bool) -> np.ndarray:
        """Where neither head nor shoulders can be, nor long hair if ``hair``: bool [S, S]."""
        size = self.crop.image.width
        pixels = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
        u, v = FaceAxes.of(self.crop.landmarks).coordinates(pixels)
        width, above = WITH_HAIR if hair else HEAD
        falls = FALLING_HAIR if hair else SHOULDERS
        head = (u / width) ** 2 + np.where(v < 0, v / above, 0) ** 2 < 1
        body = v > falls if not hair else (v > falls) & (np.abs(u) < width) | (v > SHOULDERS)
        return ~(head | body)


def from_folder(g: le.Generator, folder: Path, *, names: Sequence[str] | None = None) -> list[Person]:
    """One person per photo that shows a face, by the page's path. All of ``names`` may be shown, others not."""
    found = []
    for file in sorted(folder.iterdir()) if names is None else [folder / name for name in names]:
        if file.suffix.lower() not in SUFFIXES:
            continue
        try:
            found.append(Person(le.align(le.open_photo(file), g), free=names is not None))
        except le.LatentEditorError as e:
            print(f"skipped {file.name}: {e}", flush=True)
    return found


def labeled(g: le.Generator, data: Path, labels: Path) -> tuple[list[Person], list[dict[str, Any]]]:
    """All people of a set that is aligned already, and their labels."""
    held = read_pictures(data, g.size_px)
    rows = match_labels(held, read_labels(labels))
    people = []
    for picture, row in zip(held.images, rows, strict=True):
        scale = g.size_px / 256
        points = {name: (x * scale, y * scale) for name, (x, y) in row["landmarks"].items()}
        people.append(Person(le.Crop(to_image(picture.float() / 127.5 - 1), np.eye(2, 3), points), free=False))
    return people, rows


def spread(rows: Sequence[dict[str, Any]], count: int) -> list[int]:
    """Indices of people who differ: each next one has the labels that those before him have least."""
    chosen: list[int] = []
    seen: Counter[tuple[str, str]] = Counter()
    while len(chosen) < min(count, len(rows)):
        labels = [[(key, str(row["attributes"].get(key))) for key in SPREAD] for row in rows]
        scores = [sum(1 / (1 + seen[label]) ** 2 for label in each) for each in labels]
        best = max((i for i in range(len(rows)) if i not in chosen), key=lambda i: (scores[i], -i))
        chosen.append(best)
        seen.update(labels[best])
    return chosen


def stacked(g: le.Generator, people: Sequence[Person]) -> Tensor:
    """float32 [N, 3, S, S], −1..1."""
    return torch.stack([person.picture(g) for person in people])
