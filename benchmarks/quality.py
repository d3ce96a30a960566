"""How alike are the inversions of many portraits that the model was not trained on?

One command::

    python benchmarks/quality.py --validation V.tar [--count 64] [--seconds 20] [--refine 15]

The encoder's, W+ optimized alone for ``--seconds``, and ``features`` for ``--refine``, with what sliders do on it as a
multiple of random faces; the stages of one climb, and the photographs, are measured by ``inversion.py``. Writes
``benchmarks/results/quality.json``; ``docs/make_tables.py`` writes it into the model's card.
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
    """Likeness in dB, seconds and what sliders do over all pictures."""
    likeness, times, edits = [], [], []
    for i, picture in enumerate(pictures):
        began = time.perf_counter()
        latent = le.invert(g, picture, method=method, seconds=seconds)
        times.append(time.perf_counter() - began)
        assert latent.psnr_db is not None
        likeness.append(latent.psnr_db)
        edits.append(editability(g, latent, sliders).ratio)
        print(f"{method} {i + 1}/{len(pictures)}: {likeness[-1]:.2f} dB, sliders {edits[-1]:.2f}", flush=True)
    ordered = sorted(likeness)
    return {
        "mean_db": round(statistics.fmean(likeness), 2),
        "tenth_db": round(ordered[len(ordered) // 10], 2),
        "least_db": round(ordered[0], 2),
        "median_seconds": round(statistics.median(times), 2),
        "sliders": round(statistics.fmean(edits), 3),
    }


def some_of(images: Tensor, count: int) -> list[Image.Image]:
    """So many of uint8 pictures [N, 3, S, S], evenly spread."""
    step = max(1, len(images) // count)
    return [to_image(p.float() / 127.5 - 1) for p in images[::step][:count]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20, help="for W+; 0 leaves it out")
    parser.add_argument("--refine", type=float, default=15, help="seconds for features; 0 leaves them out")
    args = parser.parse_args()
    g = le.load_generator("portraits")
    sliders = le.named_directions(g)
    portraits = some_of(read_pictures(args.validation, g.size_px).images, args.count)
    le.invert(g, portraits[0], method="features", seconds=2)  # what is built at first use is nobody's time
    stages = {"encoder": measured(g, portraits, "encoder", 0, sliders)}
    for method, seconds in (("w+", args.seconds), ("features", args.refine)):
        if seconds > 0:
            stages[method] = measured(g, portraits, method, seconds, sliders)
    about = {**environment(), "model": g.fingerprint, "count": len(portraits)}
    RESULT.write_text(json.dumps({**about, "stages": stages}, indent=1) + "\n")
    print(json.dumps(stages, indent=1))


if __name__ == "__main__":
    main()
