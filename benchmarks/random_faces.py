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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", type=Path, required=True, help="training portraits: a folder or tar")
    parser.add_argument("--validation", type=Path, required=True, help="held-out portraits: a folder or tar")
    parser.add_argument("--count", type=int, default=2000, help="number of random faces (default %(default)s)")
    args = parser.parse_args()
    g = le.load_generator("portraits")
    clip, encoder, dtype = load_clip(g), load_encoder(g), fastest_dtype(g.device)
    train, held = (read_pictures(path, g.size_px).images for path in (args.train, args.validation))

    @torch.no_grad()
    def seen(pictures: Tensor) -> tuple[Tensor, Tensor]:
        """CLIP vectors and downsampled pixels of images [N, 3, S, S], −1..1."""
        small = F.interpolate(pictures, size=(PIXELS_PX, PIXELS_PX), mode="area").flatten(1)
        return clip.encode_image(pictures, dtype=dtype), small

    @torch.no_grad()
    def drawn(ws: Tensor) -> Tensor:
        return g.synthesize(ws, dtype=dtype).clamp(-1, 1)

    def all_of(batches: Any) -> tuple[Tensor, Tensor]:
        vectors, pixels = zip(*(seen(batch) for batch in batches), strict=True)
        return torch.cat(vectors), torch.cat(pixels)

    def real_ones(images: Tensor) -> Any:
        return (part.float() / 127.5 - 1 for part in images.split(32))

    portraits, known = all_of(real_ones(held)), all_of(real_ones(train[:: max(1, len(train) // args.count)]))
    samples = {"reconstructions of validation": all_of(drawn(encoder(x, dtype).detach()) for x in real_ones(held))}
    for psi in PSIS:
        seeds = [list(range(i, i + 32)) for i in range(0, args.count, 32)]
        samples[f"random, psi {psi:g}"] = all_of(drawn(random_ws(g, some, truncation_psi=psi)) for some in seeds)
    mean = known[1].mean(dim=0)
    axes = torch.linalg.svd(known[1] - mean, full_matrices=False).Vh[:COMPONENTS].t()
    results: dict[str, Any] = {}
    for space, number, bring in (("CLIP", 0, None), ("pixels", 1, axes)):
        spread = [x[number] if bring is None else (x[number] - mean) @ bring for x in (portraits, known)]
        floor = frechet(spread[1], spread[0])
        results[space] = {"portraits trained on": compared(spread[1], spread[0], floor)}
        for name, pair in samples.items():
            x = pair[number] if bring is None else (pair[number] - mean) @ bring
            results[space][name] = compared(x, spread[0], floor)
    about = {**environment(), "model": g.fingerprint, "random": args.count, "validation": len(held)}
    RESULT.write_text(json.dumps({**about, "spaces": results}, indent=1) + "\n")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
