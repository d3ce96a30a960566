"""Accuracy, robustness and speed of face detection: the figures of docs/alignment.md.

Uses photographs with manually annotated landmarks (``alignment_points.json``), as they are and in many warped copies;
held-out portraits; and images without a face::

    python benchmarks/alignment.py --photos FOLDER [--validation V.tar --labels V.jsonl] [--copies 60] [--sheet S.jpg]

Writes ``benchmarks/results/alignment.json``.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from environment import environment
from PIL import Image

import latent_editor as le
from latent_editor.core.face_geometry import LANDMARKS, to_pupils
from latent_editor.generators import Generator
from latent_editor.ops import affine
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

RESULTS = Path(__file__).parent / "results"
READINGS = Path(__file__).parent / "alignment_points.json"
#: A face counts as found if both eyes are within this fraction of the distance between them.
FOUND = 0.25


@dataclass(frozen=True, eq=False)
class Case:
    """An image, and the landmarks [5, 2] of its only face, in pixels."""

    name: str
    image: Image.Image
    points: np.ndarray


def read_points() -> dict[str, np.ndarray]:
    """The landmarks of each photograph, float64 [5, 2]: the means of several annotations."""
    rows = json.loads(READINGS.read_text(encoding="utf-8"))["readings"]
    return {name: np.array([np.mean(row[point], axis=0) for point in LANDMARKS]) for name, row in rows.items()}


def eye_distance(points: np.ndarray) -> float:
    """Distance between the eyes, in pixels."""
    return float(np.linalg.norm(points[1] - points[0]))


def warped(case: Case, random: np.random.Generator) -> Case:
    """A randomly augmented copy: rotated by up to 45°, with 24 px or more between the eyes, off-center or cut off at
    the edge, mirrored, relit, grayscale, blurred, noisy, compressed."""
    picture, points = np.asarray(case.image), case.points
    eyes_px = math.exp(random.uniform(math.log(24), math.log(max(60, min(400, 1.3 * eye_distance(points))))))
    scale = eye_distance(points) / eyes_px
    angle = math.radians(random.uniform(-45, 45) if random.random() < 0.6 else random.uniform(-10, 10))
    size = (int(eyes_px * random.uniform(3.2, 8)), int(eyes_px * random.uniform(3.6, 9)))
    middle = np.array(size) * [random.uniform(0.3, 0.7), random.uniform(0.3, 0.7)]
    linear = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    center = points[:4].mean(0)
    to_picture = np.column_stack([linear, center - linear @ middle])
    out = affine.warp(picture, to_picture, size, border=cv2.BORDER_REPLICATE if random.random() < 0.5 else 0)
    points = affine.transformed(affine.inverted(to_picture), points)
    if random.random() < 0.5:
        out = out[:, ::-1]
        points = (np.array([size[0], 0]) + points * [-1, 1])[[1, 0, 2, 3, 4]]
    return Case(case.name, _photographed(np.ascontiguousarray(out), random, eyes_px), points)


def _photographed(picture: np.ndarray, random: np.random.Generator, eyes_px: float) -> Image.Image:
    x = picture.astype(np.float32) / 255
    x = x ** math.exp(random.uniform(-0.6, 0.6)) * random.uniform(0.55, 1.15)
    x = x * np.exp(random.uniform(-0.15, 0.15, 3)).astype(np.float32)
    if random.random() < 0.3:
        along = np.linspace(-1, 1, x.shape[1], dtype=np.float32)[None, :, None]
        x = x * np.exp(along * random.uniform(-0.8, 0.8)).astype(np.float32)
    if random.random() < 0.2:
        x = np.repeat(x.mean(2, keepdims=True), 3, axis=2)
    if random.random() < 0.3:
        x = cv2.GaussianBlur(x, (0, 0), random.uniform(0.3, 0.05 * eyes_px))
    if random.random() < 0.4:
        x = x + random.normal(0, random.uniform(0.01, 0.06), x.shape).astype(np.float32)
    image = Image.fromarray((np.clip(x, 0, 1) * 255).round().astype(np.uint8))
    if random.random() < 0.6:
        data = io.BytesIO()
        image.save(data, "JPEG", quality=int(random.integers(35, 92)))
        image = Image.open(data).convert("RGB")
    return image


def measure(cases: list[Case], g: Generator) -> dict[str, Any]:
    """Detection rates, run times, and errors of eyes and all landmarks in percent of the distance between the eyes."""
    eyes, every, offsets, missed, extra, seconds = [], [], [], [], 0, []
    for i, case in enumerate(cases):
        began = time.perf_counter()
        faces = le.find_faces(case.image, g)
        seconds.append(time.perf_counter() - began)
        unit = eye_distance(case.points)
        away = [np.linalg.norm(face.points - case.points, axis=1) / unit for face in faces]
        near = [a for a in away if a[:2].max() < FOUND]
        extra += len(away) - len(near)
        if not near:
            missed.append(i)
            continue
        best = min(near, key=lambda a: float(a[:2].mean()))
        eyes.append(best[:2] * 100)
        every.append(best * 100)
        face = faces[[a is best for a in away].index(True)]
        axis = (case.points[1] - case.points[0]) / unit
        moved = (face.points - case.points) / unit * 100
        offsets.append(np.stack([moved @ axis, moved @ np.array([-axis[1], axis[0]])], 1))
    out: dict[str, Any] = {"pictures": len(cases), "found": round(1 - len(missed) / len(cases), 4), "false": extra}
    if eyes:
        both = np.concatenate(eyes)
        out["eyes_median"], out["eyes_95"] = (round(float(np.percentile(both, q)), 2) for q in (50, 95))
        out["eyes_worst"] = round(float(both.max()), 2)
        for i, name in enumerate(LANDMARKS):
            row = np.stack(every)[:, i]
            out[name] = [round(float(np.percentile(row, q)), 2) for q in (50, 95)]
        out["bias_along_and_below"] = np.median(np.stack(offsets), axis=0).round(2).tolist()
    out["seconds_median"], out["seconds_most"] = round(float(np.median(seconds)), 3), round(max(seconds), 3)
    print(json.dumps(out, ensure_ascii=False), flush=True)
    out["missed"] = [f"{i} {cases[i].name}" for i in missed][:40]
    return out


def without_faces(photos: Path, random: np.random.Generator, count: int) -> list[Image.Image]:
    """Images without a face: a rotated and scaled photo of a cat, noise, clouds, stripes and checkerboards."""
    pictures = []
    cat = Image.open(photos / "chelsea.png").convert("RGB")
    for i in range(count):
        kind = i % 5
        shape = (int(random.integers(160, 700)), int(random.integers(160, 700)))
        if kind == 0:
            turned = cat.rotate(float(random.uniform(-45, 45)), Image.Resampling.BICUBIC)
            scale = float(random.uniform(0.5, 2.5))
            pictures.append(turned.resize((int(451 * scale), int(300 * scale))))
        elif kind == 1:
            pictures.append(Image.fromarray(random.integers(0, 255, (*shape, 3)).astype(np.uint8)))
        elif kind in (2, 3):
            total = np.zeros((*shape, 3), np.float32)
            for cells in (3, 6, 12, 25, 50):
                coarse = random.normal(size=(cells, cells, 3)).astype(np.float32) * cells**-0.5
                total += cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
            if kind == 3:
                total = np.sin(total * random.uniform(4, 20))
            pictures.append(Image.fromarray(np.clip(total * 70 + 128, 0, 255).astype(np.uint8)))
        else:
            cells = random.integers(0, 255, (int(random.integers(4, 20)), int(random.integers(4, 20)), 3))
            pictures.append(Image.fromarray(cells.astype(np.uint8)).resize(shape[::-1], Image.Resampling.NEAREST))
    return pictures


def portrait_cases(data: Path, labels: Path) -> list[Case]:
    """Labeled portraits at 256 px, with the eyes moved from the middle of their corners to the pupils."""
    pictures = read_pictures(data, 256)
    rows = match_labels(pictures, read_labels(labels))
    found = []
    for image, name, row in zip(pictures.images, pictures.names, rows, strict=True):
        points = np.array([row["landmarks"][point] for point in LANDMARKS])
        found.append(Case(name, Image.fromarray(image.permute(1, 2, 0).numpy()), to_pupils(points)))
    return found


def with_border(case: Case, random: np.random.Generator) -> Case:
    """A portrait with a wide random border, since its own edges are too close for strong warps."""
    picture = np.asarray(case.image)
    side, pad = picture.shape[0], picture.shape[0] // 2
    canvas = cv2.resize(random.integers(0, 255, (6, 6, 3)).astype(np.uint8), (side + 2 * pad,) * 2)
    canvas[pad : pad + side, pad : pad + side] = picture
    return Case(case.name, Image.fromarray(canvas), case.points + pad)


def draw_sheet(cases: list[Case], g: Generator, path: Path, side: int = 256) -> None:
    """Writes a contact sheet of photos with their landmarks, each next to its crop."""
    tiles = []
    for case in cases:
        picture = np.array(case.image)
        for face in le.find_faces(case.image, g):
            for (x, y), color in zip(face.points, ((0, 255, 0), (0, 255, 0), *[(255, 80, 0)] * 3), strict=True):
                thick = max(1, picture.shape[0] // 400)
                cv2.drawMarker(picture, (round(x), round(y)), color, 0, thick * 10, thick)
        small = Image.fromarray(picture)
        small.thumbnail((side, side))
        tile = Image.new("RGB", (2 * side, side))
        tile.paste(small, (0, 0))
        with contextlib.suppress(le.NoFaceFound):
            tile.paste(le.align(case.image, g).image.resize((side, side), Image.Resampling.BICUBIC), (side, 0))
        tiles.append(tile)
    across = 4
    out = Image.new("RGB", (2 * side * across, side * math.ceil(len(tiles) / across)))
    for i, tile in enumerate(tiles):
        out.paste(tile, (i % across * 2 * side, i // across * side))
    out.save(path, quality=90)


def timed(g: Generator, photos: Path) -> dict[str, list[float]]:
    """Wall and CPU seconds to find the face in a 12-megapixel photo: the best of five runs."""
    large = Image.open(photos / "portrait_60cm.jpg").convert("RGB").resize((3000, 4000), Image.Resampling.BICUBIC)
    found = {}
    for name, picture in (("upright", large), ("turned by 40°", large.rotate(40, Image.Resampling.BICUBIC))):
        times = []
        for _ in range(5):
            began, spent = time.perf_counter(), time.process_time()
            le.find_faces(picture, g)
            times.append((time.perf_counter() - began, time.process_time() - spent))
        found[name] = [round(least, 3) for least in np.min(times, axis=0).tolist()]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the annotated photographs")
    parser.add_argument("--validation", type=Path, help="held-out portraits: a folder or tar")
    parser.add_argument("--labels", type=Path, help="their labels")
    parser.add_argument("--model", default="portraits", help="name or folder of the model (default %(default)s)")
    parser.add_argument("--copies", type=int, default=60, help="warped copies of each photograph (default %(default)s)")
    parser.add_argument(
        "--faceless", type=int, default=100, help="number of images without a face (default %(default)s)"
    )
    parser.add_argument("--every", type=int, default=1, help="use every N-th portrait (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")
    parser.add_argument("--sheet", type=Path, help="output file for a contact sheet of landmarks and crops")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(args.threads)
    g = le.load_generator(args.model)
    random = np.random.default_rng(7)
    cases = [Case(n, le.open_photo(args.photos / n).image, points) for n, points in read_points().items()]
    warps = [warped(case, random) for case in cases for _ in range(args.copies)]
    results: dict[str, Any] = {"setting": environment(), "photos": measure(cases, g)}
    results["photos warped"] = measure(warps, g)
    bare = without_faces(args.photos, random, args.faceless)
    results["without faces"] = {"pictures": len(bare), "false": sum(len(le.find_faces(p, g)) for p in bare)}
    if args.validation:
        plain = portrait_cases(args.validation, args.labels)[:: args.every]
        results["portraits"] = measure(plain, g)
        results["portraits warped"] = measure([warped(with_border(case, random), random) for case in plain], g)
    results["12 megapixels, seconds"] = timed(g, args.photos)
    if args.sheet:
        draw_sheet(cases + warps[:: max(1, len(warps) // 20)][:20], g, args.sheet)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "alignment.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
