"""Likeness against seconds, and sliders against likeness, stage by stage; beside Adam on the plain operations.

One command::

    python benchmarks/inversion.py --validation V.tar [--photos FOLDER] [--count 8] [--seconds 60] [--baselines 4]

Every stage of an inversion gives a point: seconds, PSNR, perceptual distance, and what the model's sliders do, as
a multiple of what they do on random faces. "w+ alone" is method "w+" with 20 seconds of its own. "Plain Adam" has a
minute, against five seconds of "features": it starts from the mean latent, without an encoder, over the reference
operations: float32, NCHW, and the grouped convolution of the public code. Writes
``benchmarks/results/inversion.json`` and ``docs/pictures/inversion.png``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from environment import environment
from PIL import Image, ImageDraw
from torch import Tensor

import latent_editor as le
from latent_editor.generators import generator_for, modulation
from latent_editor.generators.pictures import to_image
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.inversion import LABELS, editability, picture_tensor
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.optimization import OptimizationConfig, optimize
from latent_editor.inversion.run import InversionRun, StoppingCriteria
from latent_editor.networks.perceptual import load_discriminator, perceptual_distance, psnr_db
from latent_editor.ops import upfirdn2d
from latent_editor.train.pictures import read_pictures

RESULTS = Path(__file__).parent / "results"
PLOT = Path(__file__).parent.parent / "docs" / "pictures" / "inversion.png"
#: Seconds at which the likeness so far is noted.
MARKS = (0.3, 1, 2, 5, 10, 20, 40, 60)
ALONE, ALONE_S, BASELINE_S, AGAINST_S = "w+ alone", 20.0, 60.0, 5.0


class Reference:
    """A StyleGAN2 as the public code renders it on a CPU: each sample's weights scaled, one grouped convolution."""

    @staticmethod
    def forward(layer: modulation.ModulatedConv, x: Tensor, w: Tensor, f: Tensor, noise: str) -> Tensor:
        n, _, height, width = x.shape
        weight = layer.affine(w)[:, None, :, None, None] * layer.weight  # [N, O, I, k, k]
        weight = weight * (weight.square().sum(dim=[2, 3, 4], keepdim=True) + 1e-8).rsqrt()
        x = x.reshape(1, -1, height, width).contiguous()
        if layer.up == 2:
            kernel = weight.transpose(1, 2).flatten(0, 1)  # [N·I, O, k, k]
            x = F.conv_transpose2d(x, kernel, stride=2, groups=n)
            x = upfirdn2d(x, f, padding=(f.shape[-1] + 1) // 2 - 1, gain=4.0)
        else:
            x = F.conv2d(x, weight.flatten(0, 1), padding=layer.weight.shape[-1] // 2, groups=n)
        x = x.view(n, -1, *x.shape[2:])[:, :, : layer.resolution, : layer.resolution]
        if layer.use_noise and noise == "const":
            x = x + layer.noise_const * layer.noise_strength
        x = F.leaky_relu(x + layer.bias[:, None, None], 0.2) * layer.gain
        return x if layer.clamp is None else x.clamp(-layer.clamp, layer.clamp)


@contextmanager
def reference_path() -> Iterator[None]:
    """Inside, every StyleGAN2 renders by :class:`Reference`."""
    fast = modulation.ModulatedConv.forward
    modulation.ModulatedConv.forward = Reference.forward  # type: ignore[assignment]
    try:
        yield
    finally:
        modulation.ModulatedConv.forward = fast  # type: ignore[method-assign]


class PlainObjective(Objective):
    """The same distance, in float32."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32


def curve(steps: list[le.Step]) -> dict[str, float]:
    """The likeness by the marked seconds."""
    reached = {}
    for mark in MARKS:
        before = [s.psnr_db for s in steps if s.seconds <= mark and s.psnr_db is not None]
        if before and mark <= 1.2 * steps[-1].seconds:
            reached[f"{mark:g}"] = round(before[-1], 2)
    return reached


def plain_adam(g: StyleGAN2, target: Tensor, seconds: float) -> dict[str, Any]:
    """W+ by Adam from the mean latent, over the reference path."""
    steps: list[le.Step] = []
    climb = InversionRun(seconds, lambda s: bool(steps.append(s)))
    start = g.w_avg.expand(1, g.num_ws, -1)
    with reference_path():
        objective = PlainObjective(target, load_discriminator(g))
        config = OptimizationConfig(pull=0.0)
        optimize(
            g, objective, climb, start, config, criteria=StoppingCriteria(seconds, patience=10**9, max_steps=10**9)
        )
    return {"curve": curve(steps), "steps": len(steps), "psnr_db": round(steps[-1].psnr_db or 0.0, 2)}


def ladder(g: le.Generator, crop: Any, seconds: float, sliders: le.Directions) -> dict[str, Any]:
    """One climb to the top, with the best latent of each stage measured."""
    steps: list[le.Step] = []
    latent = le.invert(g, crop, method="pivotal", seconds=seconds, on_step=lambda s: bool(steps.append(s)))
    target, stages = picture_tensor(g, crop), []
    for method, label in LABELS.items():
        last = [s for s in steps if s.label == label]
        if not last:
            continue
        step = last[-1]
        assert step.ws is not None
        found = latent
        if method != "pivotal":
            found = g.latent(step.ws, method=method, psnr_db=step.psnr_db, refinement=step.refinement)
        stages.append({"stage": method, "seconds": round(step.seconds, 2), **measured(g, found, target, sliders)})
    return {"curve": curve(steps), "steps": len(steps), "stages": stages, "latent": latent}


@torch.no_grad()
def measured(g: le.Generator, latent: le.Latent, target: Tensor, sliders: le.Directions) -> dict[str, Any]:
    picture = generator_for(g, latent).synthesize(latent.ws[None].to(g.device))
    discriminator, edits = load_discriminator(g), editability(g, latent, sliders)
    refinement = latent.refinement
    return {
        "psnr_db": round(float(psnr_db(picture, target)), 2),
        "perceptual": None
        if discriminator is None
        else round(float(perceptual_distance(discriminator, picture, target)), 4),
        "sliders": round(edits.ratio, 3),
        "sliders_pixels": round(edits.pixels, 3),
        "gain": 1.0 if refinement is None else round(refinement.gain, 2),
        "bytes": 0 if refinement is None else refinement.nbytes,
    }


def means(pictures: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Each stage's numbers over all pictures."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for picture in pictures:
        for row in picture["stages"]:
            rows.setdefault(row["stage"], []).append(row)
    numbers = ("seconds", "psnr_db", "perceptual", "sliders", "sliders_pixels", "gain", "bytes")
    return [
        {"stage": stage, **{n: round(float(np.mean([row[n] for row in found])), 4) for n in numbers}}
        for stage, found in rows.items()
    ]


def plot(groups: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Sliders (upwards) against likeness (to the right): a dot for each stage of the climb."""
    groups = {name: [row for row in rows if row["stage"] != ALONE] for name, rows in groups.items()}
    width, height, left, bottom = 860, 520, 70, 60
    out = Image.new("RGB", (width, height), "#f5f5f3")
    draw = ImageDraw.Draw(out)
    points = [row for rows in groups.values() for row in rows]
    low, high = math.floor(min(r["psnr_db"] for r in points)) - 1, math.ceil(max(r["psnr_db"] for r in points)) + 4
    top = max(1.3, max(r["sliders"] for r in points) + 0.1)

    def at(db: float, ratio: float) -> tuple[float, float]:
        x = left + (db - low) / (high - low) * (width - left - 30)
        return x, height - bottom - ratio / top * (height - bottom - 30)

    draw.rectangle([*at(low, 1.2), *at(high, 0.8)], fill="#e3ecdf")
    for db in range(low, high + 1, 2):
        draw.text((at(db, 0)[0] - 8, height - bottom + 8), f"{db}", fill="#55554f")
    for tenth in range(0, int(top * 10) + 1, 2):
        draw.text((left - 34, at(low, tenth / 10)[1] - 6), f"{tenth / 10:.1f}", fill="#55554f")
        draw.line([at(low, tenth / 10), at(high, tenth / 10)], fill="#dcdcd6")
    draw.text((width / 2 - 60, height - 26), "likeness, PSNR in dB", fill="#171718")
    draw.text((8, 8), "what sliders do, as a multiple of random faces", fill="#171718")
    for (name, rows), colour in zip(groups.items(), ("#2f5d8a", "#b3552e"), strict=False):
        spots = [at(r["psnr_db"], r["sliders"]) for r in rows]
        draw.line(spots, fill=colour, width=2)
        for (x, y), row in zip(spots, rows, strict=True):
            draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill=colour)
            draw.text((x + 8, y - 14), row["stage"], fill=colour)
        draw.text((spots[-1][0] + 8, spots[-1][1]), f"({name})", fill=colour)
    path.parent.mkdir(exist_ok=True)
    out.save(path)


def crops(g: le.Generator, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """The pictures to invert, by group and name."""
    images = read_pictures(args.validation, g.size_px).images[: args.count]
    found: dict[str, dict[str, Any]] = {
        "portraits": {f"portrait {i}": to_image(x.float() / 127.5 - 1) for i, x in enumerate(images)}
    }
    for path in sorted(args.photos.glob("*.[jp][pn]g")) if args.photos else ():
        try:
            found.setdefault("photos", {})[path.stem] = le.align(le.open_photo(path), g)
        except le.NoFaceFound:
            print(f"{path.name}: no face")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--validation", type=Path, required=True)
    parser.add_argument("--photos", type=Path, help="a folder of photographs of one face each")
    parser.add_argument("--model", default="portraits")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--baselines", type=int, default=4, help="how many portraits plain Adam is given too")
    parser.add_argument("--keep", type=Path, help="a folder for the latents")
    args = parser.parse_args()
    g = le.load_generator(args.model)
    sliders = le.named_directions(g)
    model = {"name": g.name, "fingerprint": g.fingerprint, "px": g.size_px}
    results: dict[str, Any] = {**environment(), "model": model}
    groups: dict[str, list[dict[str, Any]]] = {}
    le.invert(g, to_image(g.synthesize(g.w_avg.expand(1, g.num_ws, -1))[0]), seconds=8)  # kernels are loaded meanwhile
    for group, pictures in crops(g, args).items():
        found = []
        for name, crop in pictures.items():
            row = {"name": name, **ladder(g, crop, args.seconds, sliders)}
            latent = row.pop("latent")
            if args.keep:
                latent.save(args.keep / f"{name}.latent")
            target = picture_tensor(g, crop)
            alone = le.invert(g, crop, method="w+", seconds=ALONE_S)
            at = 1 + [stage["stage"] for stage in row["stages"]].index("w+")
            row["stages"].insert(at, {"stage": ALONE, "seconds": ALONE_S, **measured(g, alone, target, sliders)})
            if isinstance(g, StyleGAN2) and group == "portraits" and len(found) < args.baselines:
                row["plain_adam"] = plain_adam(g, target, BASELINE_S)
                row["five_seconds"] = {"psnr_db": le.invert(g, crop, method="features", seconds=AGAINST_S).psnr_db}
            found.append(row)
            print(json.dumps(row), flush=True)
        groups[group] = means(found)
        results[group] = {"stages": groups[group], "each": found}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "inversion.json").write_text(json.dumps(results, indent=1) + "\n")
    plot(groups, PLOT)
    for group, rows in groups.items():
        print(f"\n| {group} | seconds | PSNR, dB | perceptual | sliders |\n|---|---|---|---|---|")
        for r in rows:
            cells = f"{r['seconds']:.1f} | {r['psnr_db']:.1f} | {r['perceptual']:.3f} | {r['sliders']:.2f}"
            print(f"| {r['stage']} | {cells} |")


if __name__ == "__main__":
    main()
