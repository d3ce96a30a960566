"""Quality of random faces: Fréchet distance, precision and recall against held-out portraits.

One command::

    python benchmarks/random_faces.py --train T.tar --validation V.tar [--count 2000]

Two feature spaces: the model's own CLIP, and principal components of the pixels at 64². In each, the Fréchet distance
of two Gaussians (as in FID, Heusel et al. 2017, but without Inception features), and precision and recall with the
third nearest neighbors (Kynkäänniemi et al. 2019). For reference, training portraits (the floor of the distance) and
reconstructions of the validation portraits are measured too. Writes ``benchmarks/results/random_faces.json``;
``docs/make_tables.py`` writes its table into the model card.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from environment import environment
from torch import Tensor

import latent_editor as le
from latent_editor.generators import random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.clip import load_clip
from latent_editor.networks.encoder import load_encoder
from latent_editor.train.pictures import read_pictures

RESULT = Path(__file__).parent / "results" / "random_faces.json"
PIXELS_PX, COMPONENTS, NEAREST = 64, 64, 3
BATCH = 32
#: Names of the samples of real portraits.
TRAINED, HELD_OUT = "portraits trained on", "validation"
PSIS = (1.0, 0.7)


def frechet(a: Tensor, b: Tensor) -> float:
    """Fréchet distance of Gaussians fitted to two samples [N, D]: |µ₁ − µ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)."""
    a, b = a.double(), b.double()
    covariances = torch.cov(a.t()), torch.cov(b.t())
    root = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.clamp_min(0).sqrt().sum()
    traces = sum(torch.trace(c) for c in covariances)
    return float((a.mean(0) - b.mean(0)).square().sum() + traces - 2 * root)


def covered(points: Tensor, by: Tensor) -> float:
    """Share of ``points`` [N, D] within the third-nearest-neighbor radius of any point of ``by`` [M, D]."""
    radius = torch.cdist(by, by).topk(NEAREST + 1, largest=False).values[:, -1]
    return float((torch.cdist(points, by) <= radius).any(dim=1).float().mean())


def compared(found: Tensor, real: Tensor, floor: float) -> dict[str, float]:
    """Metrics of a sample against the validation portraits; ``floor`` is the distance of the training portraits."""
    some = found[: len(real)]  # equal sizes: the neighbor radius depends on the density of the sample
    return {
        "frechet": round(frechet(found, real), 5),
        "times_floor": round(frechet(found, real) / floor, 2),
        "precision": round(covered(some, real), 3),
        "recall": round(covered(real, some), 3),
    }


def embed(g: le.Generator, batches: Iterable[Tensor]) -> dict[str, Tensor]:
    """Features of batches of images [N, 3, S, S], −1..1: CLIP vectors, and the pixels at 64²."""
    clip, dtype = load_clip(g), fastest_dtype(g.device)
    parts: dict[str, list[Tensor]] = {"CLIP": [], "pixels": []}
    with torch.no_grad():
        for images in batches:
            parts["CLIP"].append(clip.encode_image(images, dtype=dtype))
            parts["pixels"].append(F.interpolate(images, size=(PIXELS_PX, PIXELS_PX), mode="area").flatten(1))
    return {space: torch.cat(features) for space, features in parts.items()}


def batched(images: Tensor) -> Iterator[Tensor]:
    """uint8 [N, 3, S, S] → batches in −1..1."""
    return (part.float() / 127.5 - 1 for part in images.split(BATCH))


def render_batches(g: le.Generator, latents: Iterable[Tensor]) -> Iterator[Tensor]:
    """Renders batches of ws [N, num_ws, w_dim]."""
    return (g.synthesize(ws, dtype=fastest_dtype(g.device)).clamp(-1, 1) for ws in latents)


def random_batches(g: le.Generator, count: int, psi: float) -> Iterator[Tensor]:
    """Batches of random ws, about ``count`` in total."""
    seeds = (list(range(i, i + BATCH)) for i in range(0, count, BATCH))
    return (random_ws(g, some, truncation_psi=psi) for some in seeds)


def project_pixels(features: dict[str, dict[str, Tensor]], onto: str) -> None:
    """Replaces the pixels of all samples by the principal components of the sample ``onto``, in place."""
    mean = features[onto]["pixels"].mean(dim=0)
    axes = torch.linalg.svd(features[onto]["pixels"] - mean, full_matrices=False).Vh[:COMPONENTS].t()
    for spaces in features.values():
        spaces["pixels"] = (spaces["pixels"] - mean) @ axes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="training portraits: a folder or tar")
    parser.add_argument("--validation", type=Path, required=True, help="held-out portraits: a folder or tar")
    parser.add_argument("--count", type=int, default=2000, help="number of random faces (default %(default)s)")
    args = parser.parse_args()
    g = le.load_generator("portraits")
    encoder, dtype = load_encoder(g), fastest_dtype(g.device)
    train, held_out = (read_pictures(path, g.size_px).images for path in (args.train, args.validation))
    encoded = (encoder(images, dtype) for images in batched(held_out))
    features = {
        TRAINED: embed(g, batched(train[:: max(1, len(train) // args.count)])),
        "reconstructions of validation": embed(g, render_batches(g, encoded)),
        **{f"random, psi {psi:g}": embed(g, render_batches(g, random_batches(g, args.count, psi))) for psi in PSIS},
        HELD_OUT: embed(g, batched(held_out)),
    }
    project_pixels(features, TRAINED)
    real = features.pop(HELD_OUT)
    results: dict[str, Any] = {}
    for space in real:
        floor = frechet(features[TRAINED][space], real[space])
        results[space] = {name: compared(found[space], real[space], floor) for name, found in features.items()}
    about = {**environment(), "model": g.fingerprint, "random": args.count, "validation": len(held_out)}
    RESULT.write_text(json.dumps({**about, "spaces": results}, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
