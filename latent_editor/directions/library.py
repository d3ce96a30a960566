"""The set of directions of one model: found once, kept in its folder, and given to every part that asks."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from latent_editor.directions.calibration import picture_change, unit_vector
from latent_editor.directions.naming import Namer
from latent_editor.directions.pca import View, colour_view, find_components, structure_view
from latent_editor.directions.records import read_directions
from latent_editor.errors import MissingPart
from latent_editor.features.clip import load_clip
from latent_editor.generators import Generator, random_ws
from latent_editor.types import Direction, Directions, OnStep, Step

Progress = Callable[[float], None]

DIRECTIONS_FILE = "directions.safetensors"
#: Random faces for directions of a model without a file, made while a user waits.
SAMPLES = 1024
COMPONENTS = {"structure": 14, "colour": 10}
#: Two directions more alike than this (cosine) are one.
ALIKE = 0.6
TRIALS = 24


def named_directions(g: Generator) -> Directions:
    """The model's own directions, best first: read from its folder, or found from its random faces, once.

    Each has a name suggested by the model's CLIP with a score, or "component 3" where the model has no CLIP.
    """
    return g.bundle.part("directions", lambda: _load_or_build(g))


def _load_or_build(g: Generator) -> Directions:
    if g.bundle.has(DIRECTIONS_FILE):
        directions, fingerprint = read_directions(g.bundle.file(DIRECTIONS_FILE, "sliders"))
        if fingerprint == g.fingerprint:
            return directions
    return build_directions(g)


def build_directions(g: Generator, w: Tensor | None = None, *, on_step: OnStep | None = None) -> Directions:
    """Finds, calibrates and names the directions of a generator.

    Args:
        g: The generator.
        w: Samples [N, w_dim] to learn from, such as encoded pictures; None takes random faces.
        on_step: Called with the progress.

    Returns:
        At least twelve directions for a face model, in the order in which they change the picture, surest names first.
    """
    began = time.monotonic()

    def report(fraction: float) -> None:
        if on_step is not None:
            on_step(Step(round(fraction * 100), 100, time.monotonic() - began, fraction))

    if w is None:
        w = random_ws(g, list(range(SAMPLES)), truncation_psi=1.0)[:, 0]
    trials = w[:: max(1, len(w) // TRIALS)][:TRIALS].unsqueeze(1).repeat(1, g.num_ws, 1)
    offsets, details = _find_offsets(g, w, lambda f: report(f * 0.6))
    units = []
    for i, offset in enumerate(offsets):
        units.append(unit_vector(g, trials, offset))
        report(0.6 + 0.2 * (i + 1) / len(offsets))
    named = _name(g, trials, units, lambda f: report(0.8 + 0.2 * f))
    directions = [
        Direction(name, unit * sign, source="pca", detail=detail, score=score)
        for (name, score, sign), unit, detail in zip(named, units, details, strict=True)
    ]
    return Directions(_ordered(g, trials, directions))


def _find_offsets(g: Generator, w: Tensor, report: Progress) -> tuple[list[Tensor], list[str]]:
    """Components of both views without repetitions: offsets [num_ws, w_dim], and where each comes from."""
    views: dict[str, View] = {"structure": structure_view, "colour": colour_view}
    chosen: list[Tensor] = []
    details: list[str] = []
    for i, (name, view) in enumerate(views.items()):
        count = min(COMPONENTS[name], len(w) // 4, g.w_dim)
        found = find_components(g, w, view, count, progress=partial(_report_part, report, i, len(views)))
        for k, vector in enumerate(found.vectors):
            unit = vector / vector.norm().clamp_min(1e-9)
            if all((unit @ other).abs() < ALIKE for other in chosen):
                chosen.append(unit)
                details.append(f"{name} component {k + 1}, {found.explained[k]:.1%} of the variance")
    return [v.expand(g.num_ws, -1).clone() for v in chosen], details


def _report_part(report: Progress, part: int, parts: int, fraction: float) -> None:
    report((part + fraction) / parts)


def _name(g: Generator, trials: Tensor, units: list[Tensor], report: Progress) -> list[tuple[str, float, int]]:
    """Names by the model's CLIP, or numbers where it has none."""
    try:
        clip = load_clip(g)
    except MissingPart:
        return [(f"component {k + 1}", 0.0, 1) for k in range(len(units))]
    namer = Namer(g, clip, trials)
    effects = []
    for i, unit in enumerate(units):
        effects.append(namer.effects(unit))
        report((i + 1) / len(units))
    return namer.assign(torch.stack(effects))


def _ordered(g: Generator, trials: Tensor, directions: list[Direction]) -> list[Direction]:
    """Surest names first; among equals what changes the picture more."""
    change = {id(d): picture_change(g, trials[:8], d.vector) for d in directions}
    return sorted(directions, key=lambda d: (-round(d.score or 0.0, 1), -change[id(d)]))
