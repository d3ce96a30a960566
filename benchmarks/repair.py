"""Repairs of held-out portraits compared with classical baselines.

One command::

    python benchmarks/repair.py --validation V.tar [--count 64] [--seconds 4]

8× super-resolution against bicubic, a square hole of a quarter of the image against OpenCV's Telea, and colorization,
without and with three color hints, against grayscale. Writes ``benchmarks/results/repair.json``;
``docs/make_tables.py`` writes its table into ``docs/repair.md``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from environment import environment
from torch import Tensor

import latent_editor as le
from latent_editor.degradations import Degradation, Downsampled, Grayscale, Masked, luminance
from latent_editor.generators.pictures import to_image, to_tensor
from latent_editor.networks.perceptual import load_discriminator, perceptual_distance, psnr_db
from latent_editor.train.pictures import read_pictures
from latent_editor.train.restorer import middle_hole

RESULT = Path(__file__).parent / "results" / "repair.json"
#: The degradation with color hints, and the positions of the hints: a cheek, the hair, the background.
HINTED = "grayscale, 3 hints"
HINT_POSITIONS = ((0.33, 0.65), (0.5, 0.1), (0.05, 0.08))


def color_hints(true: Tensor) -> list[le.ColorHint]:
    """The true colors of an image [1, 3, S, S] at :data:`HINT_POSITIONS`."""
    size, found = true.shape[-1], []
    for x, y in HINT_POSITIONS:
        at_x, at_y, near = round(x * size), round(y * size), size // 50
        rgb = true[0, :, at_y - near : at_y + near, at_x - near : at_x + near].mean(dim=(1, 2))
        red, green, blue = ((rgb + 1) * 127.5).round().int().tolist()
        found.append(le.ColorHint(x, y, f"#{red:02x}{green:02x}{blue:02x}"))
    return found


def chroma_error(a: Tensor, b: Tensor) -> float:
    """Mean absolute difference of the chroma (color minus luminance) of images in −1..1."""
    return float(((a - luminance(a)) - (b - luminance(b))).abs().mean())


def psnr_inside(a: Tensor, b: Tensor, hidden: Tensor) -> float:
    """PSNR over the hidden pixels alone, in dB."""
    mse = ((a.clamp(-1, 1) - b).square() * hidden).sum() / (hidden.sum() * a.shape[1]) / 4
    return float(-10 * mse.log10())


def measured(
    g: le.Generator, true: Tensor, damage: Degradation, hidden: Tensor, hints: list[le.ColorHint], seconds: float
) -> dict[str, Any]:
    """Metrics of one repair and of its baseline against the undamaged image [1, C, S, S]."""
    discriminator = load_discriminator(g)
    assert discriminator is not None
    damaged = damage(true)
    began = time.perf_counter()
    found = le.repair(g, to_image(damaged[0]), damage, color_hints=hints, seconds=seconds)
    spent = time.perf_counter() - began
    with torch.no_grad():
        images = {"plain": damage.guess(damaged), "repaired": to_tensor(found.image, g.size_px)}
        figures = {
            name: {
                "perceptual": float(perceptual_distance(discriminator, picture, true)),
                "psnr_db": float(psnr_db(picture, true)),
                "psnr_in_hole_db": psnr_inside(picture, true, hidden),
                "chroma": chroma_error(picture, true),
            }
            for name, picture in images.items()
        }
    return {**figures, "seconds": spent, "agreement_db": found.agreement_db}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--validation", type=Path, required=True, help="held-out portraits: a folder or tar")
    parser.add_argument("--count", type=int, default=64, help="number of portraits (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=4.0, help="time per repair (default %(default)s)")
    args = parser.parse_args()
    g = le.load_generator("portraits")
    pictures = read_pictures(args.validation, g.size_px)
    step = max(1, len(pictures) // args.count)
    hidden = middle_hole(g.size_px)
    kinds: dict[str, Degradation] = {"8×": Downsampled(8), "hole": Masked(hidden)}
    kinds |= {"grayscale": Grayscale(), HINTED: Grayscale()}
    each: dict[str, list[dict[str, Any]]] = {name: [] for name in kinds}
    for picture in list(pictures.images)[::step][: args.count]:
        true = picture[None].float() / 127.5 - 1
        for name, damage in kinds.items():
            hints = color_hints(true) if name == HINTED else []
            each[name].append(measured(g, true, damage, hidden, hints, args.seconds))
        print(len(each["grayscale"]), flush=True)
    results = {
        name: {
            **{
                way: {key: round(statistics.fmean(found[way][key] for found in all_), 4) for key in all_[0][way]}
                for way in ("plain", "repaired")
            },
            "seconds": round(statistics.fmean(found["seconds"] for found in all_), 2),
        }
        for name, all_ in each.items()
    }
    about = {**environment(), "count": len(each["grayscale"]), "size_px": g.size_px, "seconds": args.seconds}
    RESULT.write_text(json.dumps({**about, "repairs": results}, indent=1, ensure_ascii=False) + "\n")
    print(json.dumps(results, indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
