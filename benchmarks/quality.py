"""Reconstruction quality and editability of inversions of held-out portraits.

One command::

    python benchmarks/quality.py --validation V.tar [--count 64] [--seconds 20] [--refine 15]

Compares the encoder, optimization in W+ for ``--seconds``, and ``features`` for ``--refine``, and measures the effect
of sliders relative to random faces. ``inversion.py`` measures the stages of a single run, and photographs. Writes
``benchmarks/results/quality.json``; ``docs/make_tables.py`` writes it into the model card.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from environment import environment
from PIL import Image
from torch import Tensor

import latent_editor as le
from latent_editor.generators.pictures import to_image
from latent_editor.inversion import editability
from latent_editor.train.pictures import read_pictures

RESULT = Path(__file__).parent / "results" / "quality.json"


def measured(
    g: le.Generator, pictures: Sequence[Image.Image], method: str, seconds: float, sliders: le.Directions
) -> dict[str, float]:
    """PSNR in dB, run time in seconds, and the relative effect of sliders, over all images."""
    psnr_db, times, edits = [], [], []
    for i, picture in enumerate(pictures):
        began = time.perf_counter()
        latent = le.invert(g, picture, method=method, seconds=seconds)
        times.append(time.perf_counter() - began)
        assert latent.psnr_db is not None
        psnr_db.append(latent.psnr_db)
        edits.append(editability(g, latent, sliders).ratio)
        print(f"{method} {i + 1}/{len(pictures)}: {psnr_db[-1]:.2f} dB, sliders {edits[-1]:.2f}", flush=True)
    ordered = sorted(psnr_db)
    return {
        "mean_db": round(statistics.fmean(psnr_db), 2),
        "tenth_db": round(ordered[len(ordered) // 10], 2),
        "least_db": round(ordered[0], 2),
        "median_seconds": round(statistics.median(times), 2),
        "sliders": round(statistics.fmean(edits), 3),
    }


def some_of(images: Tensor, count: int) -> list[Image.Image]:
    """``count`` evenly spaced images out of uint8 [N, 3, S, S]."""
    step = max(1, len(images) // count)
    return [to_image(p.float() / 127.5 - 1) for p in images[::step][:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", type=Path, required=True, help="held-out portraits: a folder or tar")
    parser.add_argument("--count", type=int, default=64, help="number of portraits (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=20, help="time for W+; 0 skips it (default %(default)s)")
    parser.add_argument(
        "--refine", type=float, default=15, help="time for features; 0 skips them (default %(default)s)"
    )
    args = parser.parse_args()
    g = le.load_generator("portraits")
    sliders = le.named_directions(g)
    portraits = some_of(read_pictures(args.validation, g.size_px).images, args.count)
    le.invert(g, portraits[0], method="features", seconds=2)  # warm-up: one-time initialization is not measured
    stages = {"encoder": measured(g, portraits, "encoder", 0, sliders)}
    for method, seconds in (("w+", args.seconds), ("features", args.refine)):
        if seconds > 0:
            stages[method] = measured(g, portraits, method, seconds, sliders)
    about = {**environment(), "model": g.fingerprint, "count": len(portraits)}
    RESULT.write_text(json.dumps({**about, "stages": stages}, indent=1) + "\n")
    print(json.dumps(stages, indent=1))


if __name__ == "__main__":
    main()
