"""Effects and side effects of sliders and prompts, measured by independent classifiers (``attribute_classifiers.py``).

All changes are in standard deviations of portraits::

    python benchmarks/edits.py --train T.tar --train-labels T.jsonl --data V.tar --labels V.jsonl

writes ``benchmarks/results/edits.json`` and the tables of ``docs/edits.md``.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attribute_classifiers import FAMILY, IMPLIED, AttributeClassifiers
from environment import environment
from tables import put
from torch import Tensor

import latent_editor as le
from latent_editor.directions.entanglement import IdentityMeter
from latent_editor.directions.measurement import acting
from latent_editor.generators import random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.encoder import load_encoder
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

ROOT = Path(__file__).resolve().parent.parent
RESULTS, PAGE = ROOT / "benchmarks" / "results" / "edits.json", ROOT / "docs" / "edits.md"
STRENGTHS = (-2.0, -1.0, 1.0, 2.0)
#: Smaller steps back, in standard deviations, still count as monotone: measurement noise.
TOLERANCE = 0.1


#: Sliders with another name than their classifier, and the sign.
MEASURED_BY = {"brown background": ("warm background", 1)}
#: Prompts, their classifiers, and the sign.
PROMPTS: dict[str, tuple[str, int]] = {
    "a beard": ("beard", 1), "a moustache": ("moustache", 1), "stubble": ("stubble", 1), "bald": ("bald", 1),
    "short hair": ("long hair", -1), "long hair": ("long hair", 1), "black hair": ("black hair", 1),
    "brown hair": ("brown hair", 1), "blond hair": ("blond hair", 1), "red hair": ("red hair", 1),
    "grey hair": ("grey hair", 1), "white hair": ("white hair", 1), "blue hair": ("blue hair", 1),
    "an old person": ("age", 1), "a young person": ("age", -1), "a man": ("feminine", -1), "a woman": ("feminine", 1),
    "dark skin": ("dark skin", 1), "pale skin": ("pale skin", 1), "angry": ("angry", 1), "sad": ("sad", 1),
    "a smile": ("smile", 1), "elf ears": ("elf ears", 1), "a crown": ("crown", 1), "make-up": ("make-up", 1),
    "a blue background": ("blue background", 1), "monochrome": ("monochrome", 1),
}  # fmt: skip


@torch.no_grad()
def render(g: le.Generator, ws: Tensor) -> Tensor:
    return torch.cat([g.synthesize(w, dtype=fastest_dtype(g.device)).clamp(-1, 1).float() for w in ws.split(16)])


@torch.no_grad()
def encode(g: le.Generator, pictures: Tensor) -> Tensor:
    encoder = load_encoder(g)
    return torch.cat([encoder(p.float() / 127.5 - 1, fastest_dtype(g.device)) for p in pictures.split(32)])


def moved(g: le.Generator, ws: Tensor, d: le.Direction, strength: float) -> Tensor:
    """ws [N, num_ws, w_dim] with one edit."""
    return torch.stack([le.edited(g.latent(w, method="measured"), [le.Edit(d, strength)]).ws for w in ws])


def measure_slider(
    classifiers: AttributeClassifiers, ws: Tensor, seen: np.ndarray, identity: IdentityMeter, d: le.Direction
) -> dict[str, Any]:
    """The effects of one slider on the faces ``ws`` with the measurements ``seen``."""
    g = classifiers.g
    at = {s: classifiers.read(render(g, moved(g, ws, d, s))) for s in STRENGTHS}
    own, sign = MEASURED_BY.get(d.name, (d.name, 1))
    back = moved(g, moved(g, ws, d, 2.0), d, -2.0)
    row: dict[str, Any] = {
        "source": d.source,
        "low": d.low,
        "high": d.high,
        "identity_kept": round(1 - float(identity.distance(2 * acting(d)) or 0), 2),
        "reversed_to": float((back - ws).abs().max()),
    }
    if own not in classifiers.names:
        return row
    track = sign * np.stack([at[-2.0], at[-1.0], seen, at[1.0], at[2.0]])[:, :, classifiers.names.index(own)]  # [5, N]
    monotone = (np.diff(track, axis=0) > -TOLERANCE).all(axis=0).mean()
    return {**row, **against_leaks(classifiers, at[2.0] - at[-2.0], own, sign), "monotone": round(float(monotone), 3)}


def against_leaks(classifiers: AttributeClassifiers, changes: np.ndarray, own: str, sign: int) -> dict[str, Any]:
    """The intended effect and the largest others; changes: [N, T], of faces and attributes."""
    mean, column = changes.mean(axis=0), classifiers.names.index(own)
    passed = {FAMILY.get(own, own), *IMPLIED.get(own, ())}
    leaks = {n: float(m) for n, m in zip(classifiers.names, mean, strict=True) if FAMILY.get(n, n) not in passed}
    ranked = sorted(leaks, key=lambda n: -abs(leaks[n]))
    worst, effect = leaks[ranked[0]], sign * float(mean[column])
    return {
        "read_by": own,
        "own": round(effect, 2),
        "largest_leak": [ranked[0], round(worst, 2)],
        "ratio": round(effect / max(abs(worst), 1e-6), 2),
        "right_way": round(float((sign * changes[:, column] > 0).mean()), 3),
        "leaks": {n: round(leaks[n], 2) for n in ranked[:6]},
    }


def measure_prompt(
    classifiers: AttributeClassifiers, ws: Tensor, seen: np.ndarray, prompt: str, method: str = "fast"
) -> dict[str, Any]:
    """The effects of a prompt at +2 on the faces ``ws``, with one slider for each face as on the page."""
    g, began = classifiers.g, time.perf_counter()
    latents = [g.latent(w, method="measured") for w in ws]
    each = [le.text_direction(g, prompt, latent=latent, method=method) for latent in latents]
    seconds = (time.perf_counter() - began) / len(ws)
    after = torch.stack([le.edited(x, [le.Edit(d, 2.0)]).ws for x, d in zip(latents, each, strict=True)])
    effects = against_leaks(classifiers, classifiers.read(render(g, after)) - seen, *PROMPTS[prompt])
    return {**effects, "score": each[-1].score, "seconds": round(seconds, 2)}


def tables(found: dict[str, Any]) -> str:
    """The results as Markdown."""
    faces = found["faces"]
    lines = [
        f"{faces['random']} random and {faces['inverted']} inverted faces, −2 to +2, in standard deviations of "
        f"portraits; model {found['model']['fingerprint']}.",
        "",
        "| slider | source | range | own effect | largest leak | ratio | monotone | identity kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, d in found["sliders"].items():
        cells = "not measured | | | "
        if "own" in d:
            leak, value = d["largest_leak"]
            cells = f"{d['own']:.1f} | {leak} {value:+.1f} | {d['ratio']:.1f} | {d['monotone']:.0%}"
        reach = f"{d['low']:+g} … {d['high']:+g}"
        lines.append(f"| {name} | {d['source']} | {reach} | {cells} | {d['identity_kept']:.2f} |")
    lines += ["", "| prompt at +2 | own effect | faces that move the right way |", "|---|---|---|"]
    lines += [f"| {name} | {p['own']:.1f} | {p['right_way']:.0%} |" for name, p in found["prompts"].items()]
    lines += ["", "| classifier | accuracy on held-out portraits | area under the curve |", "|---|---|---|"]
    lines += [f"| {name} | {right:.0%} | {auc:.3f} |" for name, (right, auc) in found["readers"].items()]
    s = found["summary"]
    lines += [
        "",
        f"Ratio of 3 or more: {s['clean_sliders']} of {s['read_sliders']} sliders. Monotone on 95 % of faces: "
        f"{s['monotone_sliders']}. Prompts that move 80 % of faces the right way: {s['right_prompts']} of "
        f"{len(found['prompts'])}. +2 and then −2 gives the same latent within {s['reversed_to']:.0e}.",
    ]
    return "\n".join(lines)


def summary(found: dict[str, Any]) -> dict[str, Any]:
    read = [d for d in found["sliders"].values() if "own" in d]
    return {
        "read_sliders": len(read),
        "clean_sliders": sum(d["ratio"] >= 3 for d in read),
        "monotone_sliders": sum(d["monotone"] >= 0.95 for d in read),
        "right_prompts": sum(p["right_way"] >= 0.8 for p in found["prompts"].values()),
        "reversed_to": max(d["reversed_to"] for d in found["sliders"].values()),
    }


def arguments(description: str, *, random: int, inverted: int) -> argparse.ArgumentParser:
    """The arguments of every benchmark with these classifiers: labeled portraits, and the number of faces to edit."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--train", "--train-labels", "--data", "--labels"):
        parser.add_argument(name, required=True)
    parser.add_argument("--model", default="portraits")
    parser.add_argument("--random", type=int, default=random, help="random faces (default %(default)s)")
    parser.add_argument("--inverted", type=int, default=inverted, help="held-out portraits (default %(default)s)")
    parser.add_argument("--portraits", type=int, help="train the classifiers on the first so many portraits")
    return parser


def prepare(args: argparse.Namespace) -> tuple[AttributeClassifiers, Tensor, dict[str, Any]]:
    """The classifiers, the faces to edit [N, num_ws, w_dim], and the head of the results."""
    g = le.load_generator(args.model)
    train, held = (read_pictures(p, g.size_px, limit=n) for p, n in ((args.train, args.portraits), (args.data, None)))
    classifiers, latents = AttributeClassifiers(g), encode(g, held.images)
    classifiers.fit(
        render(g, encode(g, train.images)), match_labels(train, read_labels(args.train_labels)),
        render(g, latents), match_labels(held, read_labels(args.labels)),
    )  # fmt: skip
    ws = torch.cat([random_ws(g, list(range(2000, 2000 + args.random))), latents[:: len(latents) // args.inverted]])
    head = {
        "setting": environment(),
        "model": {"name": g.name, "fingerprint": g.fingerprint, "size_px": g.size_px},
        "faces": {"random": args.random, "inverted": args.inverted},
        "readers": classifiers.accuracy_,
    }
    return classifiers, ws[: args.random + args.inverted], head


def main() -> None:
    began = time.monotonic()
    classifiers, ws, head = prepare(arguments(__doc__ or "", random=64, inverted=16).parse_args())
    g = classifiers.g
    print(f"readers after {time.monotonic() - began:.0f} s: {classifiers.accuracy_}", flush=True)
    seen, identity = classifiers.read(render(g, ws)), IdentityMeter(g, ws[:16])
    found: dict[str, Any] = {**head, "sliders": {}, "prompts": {}}
    for prompt in PROMPTS:
        found["prompts"][prompt] = measure_prompt(classifiers, ws, seen, prompt)
        print(f"{time.monotonic() - began:.0f} s, {prompt}: {found['prompts'][prompt]}", flush=True)
    for d in le.named_directions(g):
        found["sliders"][d.name] = measure_slider(classifiers, ws, seen, identity, d)
        print(f"{time.monotonic() - began:.0f} s, {d.name}: {found['sliders'][d.name]}", flush=True)
    found["summary"] = summary(found)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    put(PAGE, "edits", tables(found))
    print(tables(found))


if __name__ == "__main__":
    main()
