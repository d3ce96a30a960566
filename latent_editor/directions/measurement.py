"""Measures a direction on random faces: its unit, its safe range, the score of its name, its entanglement."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from latent_editor.core.errors import MissingPart
from latent_editor.core.values import Direction
from latent_editor.directions.calibration import MAX_STEP, unit_vector, within
from latent_editor.directions.entanglement import IdentityMeter, entanglement_row
from latent_editor.directions.namer import Namer, agreed
from latent_editor.directions.safe_range import SafeRangeMeter
from latent_editor.directions.vocabulary import MEASURED_NAMES
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.preview import small
from latent_editor.models.per_model import per_model
from latent_editor.networks.boundaries import stored_boundaries
from latent_editor.networks.clip import ClipModel, load_clip

#: Number of faces, their truncation, and the size of their pictures.
TRIALS, TRIAL_PSI, TRIAL_PX = 16, 0.7, 128


@dataclass(frozen=True, eq=False)
class Meter:
    """The instruments that measure directions of a generator.

    Attributes:
        g: The generator, or a small preview of it.
        ws: Faces, [N, num_ws, w_dim].
        namer, limits, identity: See their modules.
    """

    g: Generator
    ws: Tensor
    namer: Namer
    limits: SafeRangeMeter
    identity: IdentityMeter


def make_meter(g: Generator, ws: Tensor, *, namer: Namer) -> Meter:
    """A meter for a generator or a preview of it, on the faces ``ws`` [N, num_ws, w_dim]."""
    return Meter(g, ws, namer, SafeRangeMeter(g, ws[:8]), IdentityMeter(g, ws[:8]))


@per_model
def load_meter(g: Generator) -> Meter:
    """The meter of a generator, built once."""
    preview = small(g, TRIAL_PX)
    ws = random_ws(g, list(range(TRIALS)), truncation_psi=TRIAL_PSI)
    return make_meter(preview, ws, namer=Namer(preview, own_clip(g), ws, axes=learned_axes(g)))


def measured(
    g: Generator,
    direction: Direction,
    axis: Tensor | None = None,
    *,
    meter: Meter | None = None,
    longest: float = MAX_STEP,
) -> Direction:
    """A direction with the unit, safe range and entanglement that are measured on random faces.

    Args:
        g: The generator.
        direction: Its vector may have any length.
        axis: [D], the meaning of its name in CLIP space if it is not in the vocabulary.
        meter: The instruments; None for :func:`load_meter`.
        longest: As for :func:`~latent_editor.directions.calibration.unit_vector`.
    """
    meter = meter or load_meter(g)
    before = acting(direction)
    unit = unit_vector(meter.g, meter.ws[:8], before, longest=longest)
    gain = float(unit.norm() / before.norm().clamp_min(1e-9))
    namer = meter.namer
    if axis is not None:
        namer = Namer(meter.g, namer.clip, meter.ws, axes={direction.name: axis})
    effects = agreed(namer.changes(unit))
    own = namer.names.index(direction.name) if direction.name in namer.names else None
    low, high = meter.limits.safe_range(unit)
    row = entanglement_row(namer, effects, own, meter.identity.distance(2 * unit))
    score = direction.score
    if own is not None and score is not None:
        score = round(float(namer.scores(effects[None])[0, own]) * float(effects[own] > 0), 3)
    return replace(direction, vector=direction.vector * gain, low=low, high=high, entanglement=row, score=score)


def acting(direction: Direction) -> Tensor:
    """The vector of a direction, [num_ws, w_dim], 0 outside of its layers."""
    return within(direction.vector, direction.layers)


def own_clip(g: Generator) -> ClipModel | None:
    """The CLIP of a generator, or None if it has none."""
    try:
        return load_clip(g)
    except MissingPart:
        return None


def learned_axes(g: Generator) -> dict[str, Tensor]:
    """CLIP probes learned from labeled pictures, [D] each, by attribute; empty for most models."""
    return {
        b.name: b.clip_probe for b in stored_boundaries(g) if b.clip_probe is not None and b.name not in MEASURED_NAMES
    }
