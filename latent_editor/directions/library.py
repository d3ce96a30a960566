"""The set of directions of one model: found once, kept in its folder, and given to every part that asks."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from latent_editor.directions.calibration import picture_change
from latent_editor.directions.candidates import Candidate, Progress, choose, find_candidates
from latent_editor.directions.naming import Name, Namer
from latent_editor.directions.records import read_directions
from latent_editor.errors import BadModel, MissingPart
from latent_editor.features.clip import Clip, load_clip
from latent_editor.features.text_statistics import STATISTICS_FILE, TextStatistics
from latent_editor.generators import Generator, random_ws
from latent_editor.types import Direction, Directions, OnStep, Step

DIRECTIONS_FILE = "directions.safetensors"
#: Random faces for directions of a model without a file, made while a user waits.
SAMPLES = 1024
#: Faces that candidates are tried on, and how far from the mean (truncation): as far as photographs are.
TRIALS, TRIAL_PSI = 24, 0.7
#: Faces that lengths are measured on, and the most pixels of a picture that components are tried layer by layer at.
CALIBRATED, LAYERED_PX = 8, 256
#: Sliders of a model: so many at least, unsure ones among them, and not more than this.
FEWEST, MOST = 12, 20
#: A name that fits worse is given only to have :data:`FEWEST`.
SURE = 0.5


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

    1. Principal components of what the network makes of ``w``; in small models also limited to some layers.
    2. Each is scaled to one unit, tried on faces, and scored against words and measurements.
    3. Those that plainly do one thing are taken; others follow until there are twelve.

    Args:
        g: The generator.
        w: Samples [N, w_dim] to learn from, such as encoded pictures; None takes random faces.
        on_step: Called with the progress.

    Returns:
        At least twelve directions for a face model, those that do one thing most plainly first.
    """
    began = time.monotonic()

    def report(fraction: float) -> None:
        if on_step is not None:
            on_step(Step(round(fraction * 100), 100, time.monotonic() - began, fraction))

    if w is None:
        w = random_ws(g, list(range(SAMPLES)), truncation_psi=1.0)[:, 0]
    trials = random_ws(g, list(range(TRIALS)), truncation_psi=TRIAL_PSI)
    found = find_candidates(g, w, layered=g.size_px <= LAYERED_PX, progress=lambda f: report(f * 0.4))
    units = []
    for i, candidate in enumerate(found):
        units.append(candidate.calibrated(g, trials[:CALIBRATED]))
        report(0.4 + 0.2 * (i + 1) / len(found))
    namer = Namer(g, _clip(g), trials, vectors=_data_vectors(g))
    return Directions(_named(g, trials, namer, units, lambda f: report(0.6 + 0.4 * f)))


def _clip(g: Generator) -> Clip | None:
    try:
        return load_clip(g)
    except MissingPart:
        return None


def _data_vectors(g: Generator) -> Tensor | None:
    """CLIP vectors of the data that the model was trained on, where its text statistics hold some."""
    try:
        return TextStatistics.load(g.bundle.file(STATISTICS_FILE, "names")).vectors
    except (MissingPart, BadModel):
        return None


def _named(g: Generator, trials: Tensor, namer: Namer, units: list[Candidate], report: Progress) -> list[Direction]:
    """The best of the candidates with their names, and unsure ones where those are few."""
    rows = []
    for i, unit in enumerate(units):
        rows.append(namer.effects(unit.acting))
        report((i + 1) / len(units))
    effects = torch.stack(rows)
    sure = choose(units, effects, namer, least=SURE)[:MOST]
    used = {candidate.origin for candidate, _ in sure}
    rest = [i for i, unit in enumerate(units) if unit.layers is None and unit.origin not in used]
    rest.sort(key=lambda i: -picture_change(g, trials[:CALIBRATED], units[i].acting))
    rest = rest[: max(0, FEWEST - len(sure))]
    names = namer.assign(effects[rest], given=[name.text for _, name in sure]) if rest else []
    unsure = [
        (units[i], name or Name(f"component {k + 1}", 0.0, 1))
        for k, (i, name) in enumerate(zip(rest, names, strict=True), start=len(sure))
    ]
    return [
        Direction(name.text, c.vector * name.sign, layers=c.layers, source=c.source, detail=c.detail, score=name.score)
        for c, name in [*sure, *unsure]
    ]
