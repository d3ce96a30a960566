"""Preparation of a model at first use.

A model that is a single file contains only a generator. The rest is computed from the generator's own samples:

1. whether it shows faces, and their canonical landmarks (:mod:`latent_editor.networks.faces`);
2. for faces, the joint statistics of text and latents (:mod:`latent_editor.networks.text_statistics`);
3. its sliders: principal components and singular vectors of the weights (:mod:`latent_editor.directions`).

The results are stored in the model's folder, or in the user's cache for a single file, by the fingerprint of its
weights.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from latent_editor.core.errors import BadModel, MissingPart, Stopped
from latent_editor.core.values import OnStep, Step
from latent_editor.directions import named_directions
from latent_editor.directions.library import own_directions, stored_directions
from latent_editor.generators import Generator
from latent_editor.networks.faces import faces_known, shows_faces
from latent_editor.networks.text_statistics import load_text_statistics, text_statistics_stored

__all__ = ["Phase", "phases", "prepare", "prepared"]


@dataclass(frozen=True)
class Phase:
    """One part of the preparation.

    Attributes:
        name: "faces", "text" or "sliders".
        label: What it does, for users.
        share: Approximate share of the time.
        done: True if a generator has the result already; fast.
        run: Computes and stores the result; raises Stopped if ``on_step`` says so.
    """

    name: str
    label: str
    share: float
    done: Callable[[Generator], bool]
    run: Callable[[Generator, OnStep], object]


def _has_text(g: Generator) -> bool:
    if load_text_statistics.is_built(g):
        return True
    # Until the faces are known, it is unknown which CLIP the model borrows.
    return faces_known(g) and _is_kept(text_statistics_stored, g)


def _has_sliders(g: Generator) -> bool:
    return own_directions.is_built(g) or _is_kept(lambda g: stored_directions(g) is not None, g)


def _is_kept(look: Callable[[Generator], bool], g: Generator) -> bool:
    try:
        return look(g)
    except (BadModel, MissingPart):
        return True  # damaged or unavailable, and not ours to compute: what needs it will report it


def _learn_text(g: Generator, on_step: OnStep) -> None:
    with contextlib.suppress(MissingPart):  # no faces, or an installation without the embedded model
        load_text_statistics(g, on_step=on_step, whole=True)


#: In this order: the statistics improve the names of sliders.
PHASES = (
    Phase("faces", "Looking for faces", 0.1, faces_known, lambda g, on_step: shows_faces(g, on_step=on_step)),
    Phase("text", "Learning what words change", 0.35, _has_text, _learn_text),
    Phase("sliders", "Finding sliders", 0.55, _has_sliders, lambda g, on_step: named_directions(g, on_step=on_step)),
)


def phases(g: Generator, *parts: str) -> list[Phase]:
    """The remaining phases for a generator, in order; of those named, or of all."""
    return [phase for phase in PHASES if (not parts or phase.name in parts) and not phase.done(g)]


def prepared(g: Generator, *parts: str) -> bool:
    """True if :func:`prepare` has nothing to do; fast, without rendering."""
    return not phases(g, *parts)


def prepare(g: Generator, *parts: str, on_step: OnStep | None = None) -> None:
    """Computes what a generator lacks for alignment, sliders and text, and stores it in the model's folder.

    A prepared model takes no time; one of 1024² takes about a minute on two cores. If the folder is not writable, a
    warning is issued and the results last as long as the process.

    Args:
        g: The generator.
        parts: Which of "faces", "text" and "sliders"; all if none is named.
        on_step: Called with the overall progress and a ``label`` of the phase; a true answer stops. Finished phases
            are kept, and the next call continues after them.
    """
    start = time.monotonic()
    left = phases(g, *parts)
    total = sum(phase.share for phase in left)
    before = 0.0
    try:
        for phase in left:
            _run(phase, g, before / total, phase.share / total, start, on_step)
            before += phase.share
    except Stopped:
        return


def _run(phase: Phase, g: Generator, offset: float, share: float, start: float, on_step: OnStep | None) -> None:
    def report(step: Step) -> bool:
        fraction = min(1.0, offset + share * min(max(step.fraction, 0.0), 1.0))
        seconds = time.monotonic() - start
        return on_step is not None and bool(
            on_step(replace(step, fraction=fraction, seconds=seconds, label=phase.label))
        )

    if report(Step(0, 1, 0.0, 0.0)):
        raise Stopped
    phase.run(g, report)
    if report(Step(1, 1, 0.0, 1.0)):
        raise Stopped
