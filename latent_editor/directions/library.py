"""The directions of one model: found once and stored in its folder."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.core.errors import BadModel, BadValue, MissingPart
from latent_editor.core.run import Run
from latent_editor.core.values import Direction, Directions, OnStep
from latent_editor.directions.budget import FULL, Budget, choose_budget
from latent_editor.directions.calibration import picture_change
from latent_editor.directions.candidates import (
    Candidate,
    Progress,
    boundary_candidates,
    find_candidates,
    select_candidates,
)
from latent_editor.directions.entanglement import IdentityMeter, entanglement_row
from latent_editor.directions.gradients import gradient_candidates
from latent_editor.directions.io import read_directions, write_directions
from latent_editor.directions.measurement import acting, learned_axes, own_clip
from latent_editor.directions.namer import Name, Namer
from latent_editor.directions.safe_range import SafeRangeMeter
from latent_editor.directions.sefa import SOURCE as SEFA
from latent_editor.directions.sefa import style_candidates
from latent_editor.directions.slider_pack import add_to_pack, read_pack, remove_from_pack, unique, with_imported
from latent_editor.generators import Generator, random_ws
from latent_editor.models.per_model import per_model
from latent_editor.networks.boundaries import stored_boundaries
from latent_editor.networks.text_statistics import STATISTICS_FILE, TextStatistics

DIRECTIONS_FILE = "directions.safetensors"
#: Truncation of the faces that candidates are tried on: about as far from the mean as photographs.
TRIAL_PSI = 0.7
#: Size of pictures up to which components are also tried on ranges of layers.
MAX_LAYERED_PX = 256
#: One unit of an unmeasured direction, in standard deviations of w.
UNMEASURED_STEP = 1.5
#: Number of sliders of a model.
MIN_SLIDERS, MAX_SLIDERS = 12, 24
#: Names with a lower score are used only to reach :data:`MIN_SLIDERS`.
MIN_SCORE = 0.5
#: The most wanted sliders come first, in this order, if their score is high enough; the others follow, best first.
FIRST = (
    "smile",
    "age",
    "long hair",
    "beard",
    "blond hair",
    "red hair",
    "make-up",
    "feminine",
    "turn to the right",
    "light from the left",
    "grey hair",
    "bald",
    "blue hair",
    "angry",
)


def named_directions(g: Generator, *, on_step: OnStep | None = None) -> Directions:
    """The model's own directions, best first, and after them those that the user added to this model.

    The own directions are read from the model's folder, or found once from its random faces. Each has a name suggested
    by the model's CLIP, with a score, or "component 3" without a CLIP.

    Args:
        on_step: Called with the progress if they have to be found; a true answer stops.

    Raises:
        Stopped: ``on_step`` gave a true answer.
    """
    return with_imported(g, own_directions(g, on_step=on_step))


@per_model
def own_directions(g: Generator, *, on_step: OnStep | None = None) -> Directions:
    """:func:`named_directions` without imported ones."""
    return load_or_build(g, on_step=on_step)


def add_directions(g: Generator, directions: Directions) -> Directions:
    """Adds directions to the imported ones of a model, in the user's cache.

    Returns:
        The same directions under the names that :func:`named_directions` lists them by: a name that one of the model's
        own directions has gets a number.
    """
    add_to_pack(g, directions)
    return Directions(named_directions(g)[len(named_directions(g)) - len(directions) :])


def imported_directions(g: Generator) -> Directions:
    """The imported directions of a model, under the names that :func:`named_directions` lists them by.

    Raises:
        BadModel: their file is damaged.
    """
    return unique(read_pack(g), own_directions(g))


def remove_direction(g: Generator, name: str) -> Direction:
    """Deletes one of :func:`imported_directions`, and returns it.

    Raises:
        UnknownDirection: no imported direction has this name.
    """
    return remove_from_pack(g, name, own_directions(g))


def stored_directions(g: Generator) -> Directions | None:
    """The directions in the model's folder, or None if there are none of this generator.

    Raises:
        BadModel: the file is damaged, and it is not a cache.
    """
    stored = g.bundle.read_optional(DIRECTIONS_FILE, "sliders", read_directions)
    if stored is None:
        return None
    directions, fingerprint = stored
    return directions if fingerprint == g.fingerprint else None


def load_or_build(g: Generator, *, on_step: OnStep | None = None) -> Directions:
    """The directions in the model's folder; if there are none, as many as can be found while a user waits, stored
    there.

    Raises:
        Stopped: ``on_step`` gave a true answer before they were found.
    """
    stored = stored_directions(g)
    if stored is not None:
        return stored
    preview, budget = choose_budget(g)
    found = build_directions(preview, budget=budget, on_step=on_step)
    if found and (g.bundle.is_cache or not g.bundle.has(DIRECTIONS_FILE)):
        g.bundle.write(DIRECTIONS_FILE, lambda path: write_directions(found, path, fingerprint=g.fingerprint))
    return found


def build_directions(
    g: Generator,
    w: Tensor | None = None,
    *,
    faces: Tensor | None = None,
    budget: Budget | None = None,
    on_step: OnStep | None = None,
) -> Directions:
    """Finds, calibrates and names the directions of a generator.

    1. Candidates: principal components of activations and pictures, in small models also on ranges of layers;
       directions from the weights (SeFa), boundaries of labeled pictures, and directions from gradients
       (:mod:`latent_editor.directions.gradients`), as far as the model and the budget allow.
    2. Each is scaled to one unit, tried on faces, and scored against the vocabulary and the measurements.
    3. Keep candidates with a single clear effect; fill up to twelve with the next best. The most wanted come first,
       those from the weights last.
    4. Safe range and entanglement of each are measured.

    Args:
        g: The generator.
        w: Samples [N, w_dim] to learn from, such as encoded pictures; None for random faces.
        faces: ws [M, num_ws, w_dim] to try directions on, such as encoded photographs; None for random faces. The first
            ones measure, the next ones give gradients; M must be at least ``budget.trials + budget.gradients``.
        budget: How much to compute; None for that of the embedded model.
        on_step: Called with the progress; a true answer stops.

    Returns:
        At least twelve directions for a face model, those with the clearest single effect first.

    Raises:
        Stopped: ``on_step`` gave a true answer.
        BadValue: too few ``faces``.
    """
    budget, run = budget or FULL, Run(on_step=on_step)

    def report(fraction: float) -> None:
        run.progress(round(fraction * 100), 100, fraction=fraction, label="Finding sliders")

    if w is None:
        count = min(budget.samples, 16 * g.w_dim)
        w = random_ws(g, list(range(count)), truncation_psi=1.0)[:, 0]
    layered = budget.layered and g.size_px <= MAX_LAYERED_PX
    found = find_candidates(g, w, layered=layered, progress=lambda f: report(f * 0.2), components=budget.components)
    if budget.styles:
        found += style_candidates(g, apart_from=found, count=budget.styles)
    if not budget.trials:
        return _unmeasured(found, w)
    if faces is None:
        faces = random_ws(g, list(range(budget.trials + budget.gradients)), truncation_psi=TRIAL_PSI)
    if len(faces) < budget.trials + budget.gradients:
        raise BadValue(f"Got {len(faces)} faces; expected {budget.trials + budget.gradients} at least. Give more.")
    trials, others = faces[: budget.trials], faces[budget.trials :][: budget.gradients]
    namer = Namer(g, own_clip(g), trials, vectors=_data_vectors(g), axes=learned_axes(g))
    found += boundary_candidates(g, stored_boundaries(g))
    if budget.gradients:
        found += gradient_candidates(namer, others, progress=lambda f: report(0.2 + 0.2 * f))
    units, effects = _tried(g, trials, budget, namer, found, lambda f: report(0.4 + 0.5 * f))
    named = _named(g, trials, namer, units, effects)
    return _measured(g, trials[: budget.range_faces], namer, named, lambda f: report(0.9 + 0.1 * f))


def _tried(
    g: Generator, trials: Tensor, budget: Budget, namer: Namer, found: list[Candidate], report: Progress
) -> tuple[list[Candidate], Tensor]:
    """The calibrated candidates and their effects [K, T]."""
    units, effects = [], []
    for i, candidate in enumerate(found):
        units.append(candidate.calibrated(g, trials[: budget.calibration_faces]))
        effects.append(namer.effects(units[-1].acting))
        report((i + 1) / len(found))
    return units, torch.stack(effects)


def _measured(
    g: Generator, ws: Tensor, namer: Namer, named: list[tuple[Direction, Tensor]], report: Progress
) -> Directions:
    """Directions with their entanglement and, measured on the faces ``ws``, safe ranges; the most wanted come first."""
    limits, identity = (SafeRangeMeter(g, ws), IdentityMeter(g, ws)) if len(ws) else (None, None)
    found = []
    for i, (d, effects) in enumerate(named):
        unit = acting(d)
        own = namer.names.index(d.name) if d.name in namer.names else None
        row = entanglement_row(namer, effects, own, None if identity is None else identity.distance(2 * unit))
        low, high = (d.low, d.high) if limits is None else limits.safe_range(unit)
        found.append(replace(d, low=low, high=high, entanglement=row))
        report((i + 1) / len(named))
    first = {name: i for i, name in enumerate(FIRST)}
    sure = {d.name for d in found if d.score is not None and d.score >= MIN_SCORE}
    found.sort(key=lambda d: (d.source == SEFA, first.get(d.name, len(FIRST)) if d.name in sure else len(FIRST)))
    return Directions(found)


def _unmeasured(found: list[Candidate], w: Tensor) -> Directions:
    """Directions as they were found, with a fixed step of w as their unit: for generators too slow to measure."""
    step = UNMEASURED_STEP * float(w.std(dim=0).mean())
    return Directions(
        Direction(
            f"component {k + 1}",
            c.vector / c.vector.norm(dim=1).max().clamp_min(1e-9) * step,
            layers=c.layers,
            source=c.source,
            provenance=c.provenance.noted("not measured"),
            score=0.0,
        )
        for k, c in enumerate(found)
    )


def _data_vectors(g: Generator) -> Tensor | None:
    """CLIP vectors of the model's training data, if its text statistics have some."""
    try:
        return TextStatistics.load(g.bundle.file(STATISTICS_FILE, "names")).vectors
    except (MissingPart, BadModel):
        return None


def _named(
    g: Generator, trials: Tensor, namer: Namer, units: list[Candidate], effects: Tensor
) -> list[tuple[Direction, Tensor]]:
    """The best candidates with their names and effects [T]; uncertain ones fill up the minimum."""
    sure = select_candidates(units, effects, namer, min_score=MIN_SCORE)
    sure = sorted(sure, key=lambda pair: pair[1].text not in FIRST)[:MAX_SLIDERS]
    used = {candidate.origin for candidate, _ in sure}
    rest = [i for i, unit in enumerate(units) if unit.layers is None and unit.origin not in used]
    missing = max(0, MIN_SLIDERS - len(sure))
    if missing:  # which renders each of them
        rest.sort(key=lambda i: -picture_change(g, trials[:8], units[i].acting))
    rest = rest[:missing]
    names = namer.assign(effects[rest], given=[name.text for _, name in sure]) if rest else []
    unsure = [
        (units[i], name or Name(f"component {k + 1}", 0.0, 1))
        for k, (i, name) in enumerate(zip(rest, names, strict=True), start=len(sure))
    ]
    found = []
    for c, name in [*sure, *unsure]:
        d = Direction(
            name.text,
            c.vector * name.sign,
            layers=c.layers,
            source=c.source,
            provenance=c.provenance,
            score=name.score,
        )
        found.append((d, effects[units.index(c)]))
    return found
