"""How alike are inversions, and how alike are random faces to portraits? The figures of the model card.

Every figure comes from pictures that the model was not trained on::

    python benchmarks/quality.py --validation V.tar [--photos FOLDER] [--count 64] [--seconds 10] [--photo-seconds 20]

Writes ``benchmarks/results/quality.json`` and a sheet of what it looks like beside it.
"""

from __future__ import annotations

import as_the_app  # noqa: F401

# isort: split

import argparse
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

import latent_editor as le
from latent_editor.features.clip import load_clip
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype, to_image, to_tensor
from latent_editor.train.pictures import read_pictures

RESULTS = Path(__file__).parent / "results"


def invert_all(g: Generator, pictures: list[Image.Image], method: str, seconds: float) -> dict[str, Any]:
    """Inverts each picture and sums up; the renders are kept for the sheet."""
    values, steps, times, renders = [], [], [], []
    for i, picture in enumerate(pictures):
        began, counted = time.perf_counter(), [0]

        def count(step: le.Step, counted: list[int] = counted) -> None:
            counted[0] = step.step

        latent = le.invert(g, picture, method=method, seconds=seconds, on_step=count)
        times.append(time.perf_counter() - began)
        values.append(latent.psnr_db)
        steps.append(counted[0])
        renders.append(le.render(g, latent))
        print(f"{method} {i + 1}/{len(pictures)}: {latent.psnr_db:.2f} dB, {counted[0]} steps", flush=True)
    summary = {"mean_db": np.mean(values), "min_db": np.min(values), "steps": np.mean(steps), "seconds": np.mean(times)}
    return {"summary": {k: round(float(v), 2) for k, v in summary.items()}, "db": values, "renders": renders}


def frechet_distance(a: np.ndarray, b: np.ndarray) -> float:
    """Distance of two Gaussians fitted to [N, D] each (Heusel et al. 2017, eq. 6), by eigenvalues of their product."""
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    eigenvalues = np.linalg.eigvals(cov_a @ cov_b)
    root = np.sqrt(np.clip(eigenvalues.real, 0, None)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(cov_a) + np.trace(cov_b) - 2 * root)


@torch.no_grad()
def random_faces(g: Generator, validation: Tensor, psi: float) -> dict[str, float]:
    """Distance of random faces to validation portraits: in the model's CLIP (×1000), and in pixels at 8² (×100)."""
    clip, dtype = load_clip(g), fastest_dtype(g.device)
    seeds = torch.arange(len(validation)).split(32)
    made = torch.cat([g.synthesize(random_ws(g, s.tolist(), truncation_psi=psi), dtype=dtype) for s in seeds])
    made, real = made.clamp(-1, 1), validation.float() / 127.5 - 1
    in_clip = [torch.cat([clip.encode_image(b) for b in x.split(32)]).numpy() for x in (made, real)]
    small = [torch.nn.functional.adaptive_avg_pool2d(x, 8).flatten(1).numpy() for x in (made, real)]
    return {"clip": round(1000 * frechet_distance(*in_clip), 2), "pixels": round(frechet_distance(*small), 3)}


def sheet(columns: list[list[Image.Image]], path: Path) -> None:
    size = columns[0][0].size
    out = Image.new("RGB", (size[0] * len(columns), size[1] * len(columns[0])))
    for x, column in enumerate(columns):
        for y, picture in enumerate(column):
            out.paste(picture, (x * size[0], y * size[1]))
    out.save(path, quality=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="a folder of photographs of one face each")
    parser.add_argument("--model", default="portraits")
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--photo-seconds", type=float, default=20)
    args = parser.parse_args()
    g = le.load_generator(args.model)
    validation = read_pictures(args.validation, g.size_px).images
    results: dict[str, Any] = {
        "model": {"name": g.name, "fingerprint": g.fingerprint, "size_px": g.size_px},
        "machine": {"processor": platform.processor(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "random_faces_frechet": {f"psi {psi}": random_faces(g, validation, psi) for psi in (0.7, 1.0)},
    }
    portraits = [to_image(p.float() / 127.5 - 1) for p in validation[: args.count]]
    encoder = invert_all(g, portraits, "encoder", 0)
    w_plus = invert_all(g, portraits, "w+", args.seconds)
    results["validation"] = {"count": len(portraits), "encoder": encoder["summary"], "w+": w_plus["summary"]}
    rows = [portraits[:8], encoder["renders"][:8], w_plus["renders"][:8]]
    if args.photos:
        results["photos"] = measure_photos(g, args.photos, args.photo_seconds, rows)
    RESULTS.mkdir(exist_ok=True)
    sheet(rows, RESULTS / "quality.jpg")
    (RESULTS / "quality.json").write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results, indent=1))


def measure_photos(g: Generator, folder: Path, seconds: float, rows: list[list[Image.Image]]) -> dict[str, Any]:
    """Aligns and inverts every photo in which a face is found; others are named."""
    crops, names, without = [], [], []
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".jpg", ".png")):
        try:
            crops.append(le.align(le.open_photo(path), g).image)
            names.append(path.name)
        except le.NoFaceFound:
            without.append(path.name)
    encoder, w_plus = invert_all(g, crops, "encoder", 0), invert_all(g, crops, "w+", seconds)
    for row, pictures in zip(rows, (crops, encoder["renders"], w_plus["renders"]), strict=True):
        row[:] = row[:4] + [to_image(to_tensor(p, g.size_px)[0]) for p in pictures[:4]]
    each = {n: [round(a, 2), round(b, 2)] for n, a, b in zip(names, encoder["db"], w_plus["db"], strict=True)}
    return {"encoder": encoder["summary"], "w+": w_plus["summary"], "each_db": each, "no_face": without}


if __name__ == "__main__":
    main()
