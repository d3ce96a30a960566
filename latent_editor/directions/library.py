"""The set of directions of one model: found once, kept in its folder, and given to every part that asks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.core.errors import BadModel, MissingPart
from latent_editor.core.run import Run
from latent_editor.core.values import Direction, Directions, OnStep
from latent_editor.directions.budget import FULL, Budget, choose_effort
from latent_editor.directions.calibration import picture_change
from latent_editor.directions.candidates import Candidate, Progress, boundary_candidates, choose, find_candidates
from latent_editor.directions.entanglement import Identity, leakage_row
from latent_editor.directions.gradients import gradient_candidates
from latent_editor.directions.io import read_directions, write_directions
from latent_editor.directions.limits import Limits
from latent_editor.directions.measurement import acting, learned_axes, own_clip
from latent_editor.directions.naming import Name, Namer
from latent_editor.directions.sefa import SOURCE as SEFA
from latent_editor.directions.sefa import style_candidates
from latent_editor.directions.slider_pack import add_to_pack, read_pack, remove_from_pack, unique, with_imported
from latent_editor.generators import Generator, random_ws
from latent_editor.models.per_model import per_model
from latent_editor.networks.boundaries import kept_boundaries
from latent_editor.networks.text_statistics import STATISTICS_FILE, TextStatistics

DIRECTIONS_FILE = "directions.safetensors"
#: How far from the mean (truncation) the faces are that candidates are tried on: as far as photographs are.
TRIAL_PSI = 0.7
#: The most pixels of a picture that components are tried layer by layer at.
LAYERED_PX = 256
#: One unit of a direction that is not measured, in standard deviations of w.
UNMEASURED_STEP = 1.5
#: Sliders of a model: so many at least, unsure ones among them, and not more than this.
FEWEST, MOST = 12, 24
#: A name that fits worse is given only to have :data:`FEWEST`.
SURE = 0.5
#: What people ask for first, in this order, where it is sure; the others follow as they do one thing most plainly.
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
    """The model's own directions, best first: read from its folder, or found from its random faces, once.

    After them come those that the user imported for this model (:mod:`latent_editor.directions.imports`).

    Each has a name suggested by the model's CLIP with a score, or "component 3" where the model has no CLIP.

    Args:
        on_step: Told of the progress where they have to be found; a true answer stops.

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


def kept_directions(g: Generator) -> Directions | None:
    """The directions in the model's folder, or None where there are none of this generator.

    Raises:
        BadModel: the file is damaged, and is not one that would be made again.
    """
    kept = g.bundle.kept(DIRECTIONS_FILE, "sliders", read_directions)
    if kept is None:
        return None
    directions, fingerprint = kept
    return directions if fingerprint == g.fingerprint else None


def load_or_build(g: Generator, *, on_step: OnStep | None = None) -> Directions:
    """The directions in the model's folder, or else as many as can be found while a user waits, kept there.

    Raises:
        Stopped: ``on_step`` gave a true answer before they were found.
    """
    kept = kept_directions(g)
    if kept is not None:
        return kept
    preview, budget = choose_effort(g)
    found = build_directions(preview, budget=budget, on_step=on_step)
    if found and (g.bundle.is_cache or not g.bundle.has(DIRECTIONS_FILE)):
        g.bundle.write(DIRECTIONS_FILE, lambda path: write_directions(found, path, fingerprint=g.fingerprint))
    return found


def build_directions(
    g: Generator, w: Tensor | None = None, *, budget: Budget | None = None, on_step: OnStep | None = None
) -> Directions:
    """Finds, calibrates and names the directions of a generator.

    1. Principal components of what the network makes of ``w``; in small models also limited to some layers.
    2. Each is scaled to one unit, tried on faces, and scored against words and measurements.
    3. So are boundaries of labelled pictures where the model has them, and, where there is time, ways that are solved
       from gradients (:mod:`latent_editor.directions.gradients`).
    4. Those that plainly do one thing are taken; others follow until there are twelve. What people ask for first comes
       first, what was read off the weights last.
    5. Safe range and leakage of each are measured.

    Args:
        g: The generator.
        w: Samples [N, w_dim] to learn from, such as encoded pictures; None takes random faces.
        effort: How much to do; as much as for the embedded model where not given.
        on_step: Called with the progress; a true answer stops.

    Returns:
        At least twelve directions for a face model, those that do one thing most plainly first.

    Raises:
        Stopped: ``on_step`` gave a true answer.
    """
    budget, run = budget or FULL, Run(on_step=on_step)

    def report(fraction: float) -> None:
        run.progress(round(fraction * 100), 100, fraction=fraction, label="Finding sliders")

    if w is None:
        count = min(budget.samples, 16 * g.w_dim)
        w = random_ws(g, list(range(count)), truncation_psi=1.0)[:, 0]
    layered = budget.layered and g.size_px <= LAYERED_PX
    found = find_candidates(g, w, layered=layered, progress=lambda f: report(f * 0.2), components=budget.components)
    if budget.styles:
        found += style_candidates(g, apart_from=found, count=budget.styles)
    if not budget.trials:
        return _unmeasured(found, w)
    trials = random_ws(g, list(range(budget.trials)), truncation_psi=TRIAL_PSI)
    namer = Namer(g, own_clip(g), trials, vectors=_data_vectors(g), axes=learned_axes(g))
    found += boundary_candidates(g, kept_boundaries(g))
    if budget.gradients:
        others = random_ws(g, list(range(budget.trials, budget.trials + budget.gradients)), truncation_psi=TRIAL_PSI)
        found += gradient_candidates(namer, others, progress=lambda f: report(0.2 + 0.2 * f))
    units, effects = _tried(g, trials, budget, namer, found, lambda f: report(0.4 + 0.5 * f))
    named = _named(g, trials, namer, units, effects)
    return _measured(g, trials[: budget.limited], namer, named, lambda f: report(0.9 + 0.1 * f))


def _tried(
    g: Generator, trials: Tensor, budget: Budget, namer: Namer, found: list[Candidate], report: Progress
) -> tuple[list[Candidate], Tensor]:
    """Candidates, calibrated, and what each does: [K, T]."""
    units, effects = [], []
    for i, candidate in enumerate(found):
        units.append(candidate.calibrated(g, trials[: budget.calibrated]))
        effects.append(namer.effects(units[-1].acting))
        report((i + 1) / len(found))
    return units, torch.stack(effects)


def _measured(
    g: Generator, ws: Tensor, namer: Namer, named: list[tuple[Direction, Tensor]], report: Progress
) -> Directions:
    """Directions with leakage rows and, measured on the faces ``ws``, safe ranges; what people ask for comes first."""
    limits, identity = (Limits(g, ws), Identity(g, ws)) if len(ws) else (None, None)
    found = []
    for i, (d, effects) in enumerate(named):
        unit = acting(d)
        own = namer.names.index(d.name) if d.name in namer.names else None
        row = leakage_row(namer, effects, own, None if identity is None else identity.distance(2 * unit))
        low, high = (d.low, d.high) if limits is None else limits.safe_range(unit)
        found.append(replace(d, low=low, high=high, entanglement=row))
        report((i + 1) / len(named))
    first = {name: i for i, name in enumerate(FIRST)}
    sure = {d.name for d in found if d.score is not None and d.score >= SURE}
    found.sort(key=lambda d: (d.source == SEFA, first.get(d.name, len(FIRST)) if d.name in sure else len(FIRST)))
    return Directions(found)


def _unmeasured(found: list[Candidate], w: Tensor) -> Directions:
    """Directions as they were found, a step of w each: for a generator too slow to try them."""
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
    """CLIP vectors of the data that the model was trained on, where its text statistics hold some."""
    try:
        return TextStatistics.load(g.bundle.file(STATISTICS_FILE, "names")).vectors
    except (MissingPart, BadModel):
        return None


def _named(
    g: Generator, trials: Tensor, namer: Namer, units: list[Candidate], effects: Tensor
) -> list[tuple[Direction, Tensor]]:
    """The best of the candidates with their names and effects [T], and unsure ones where those are few."""
    sure = choose(units, effects, namer, least=SURE)
    sure = sorted(sure, key=lambda pair: pair[1].text not in FIRST)[:MOST]
    used = {candidate.origin for candidate, _ in sure}
    rest = [i for i, unit in enumerate(units) if unit.layers is None and unit.origin not in used]
    missing = max(0, FEWEST - len(sure))
    if missing:  # which renders each of them, so only where some are wanted
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
