"""What a model of one's own needs before its first edit, worked out once and kept.

A model that comes as one file brings a generator and nothing else. At first use the rest is found from the generator:

1. whether it shows faces, and where their points are (:mod:`latent_editor.networks.faces`);
2. for faces, how words and latents vary together (:mod:`latent_editor.networks.text_statistics`);
3. its sliders: principal components and the weights' own directions (:mod:`latent_editor.directions`).

Everything is kept in the model's folder, in the user's cache for a file, under the fingerprint of its weights.
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
        name: What it makes, in a word: "faces", "text" or "sliders".
        label: What is done, for people.
        share: About how much of the time it takes.
        done: Whether a generator has it already; quick.
        run: Does it and keeps the result; raises Stopped where ``on_step`` says so.
    """

    name: str
    label: str
    share: float
    done: Callable[[Generator], bool]
    run: Callable[[Generator, OnStep], object]


def _has_text(g: Generator) -> bool:
    if load_text_statistics.is_built(g):
        return True
    # Without knowing whether a CLIP is lent, there is nothing to compare with.
    return faces_known(g) and _is_kept(text_statistics_stored, g)


def _has_sliders(g: Generator) -> bool:
    return own_directions.is_built(g) or _is_kept(lambda g: stored_directions(g) is not None, g)


def _is_kept(look: Callable[[Generator], bool], g: Generator) -> bool:
    try:
        return look(g)
    except (BadModel, MissingPart):
        return True  # damaged and not ours to make again, or not to be had: what needs it will say so


def _learn_text(g: Generator, on_step: OnStep) -> None:
    with contextlib.suppress(MissingPart):  # no faces, or an installation without the embedded model
        load_text_statistics(g, on_step=on_step, whole=True)


#: In this order: names of sliders are surer with the statistics.
PHASES = (
    Phase("faces", "Looking for faces", 0.1, faces_known, lambda g, on_step: shows_faces(g, on_step=on_step)),
    Phase("text", "Learning what words change", 0.35, _has_text, _learn_text),
    Phase("sliders", "Finding sliders", 0.55, _has_sliders, lambda g, on_step: named_directions(g, on_step=on_step)),
)


def phases(g: Generator, *parts: str) -> list[Phase]:
    """What is left to do for a generator, in order; of the phases with these names, or of all."""
    return [phase for phase in PHASES if (not parts or phase.name in parts) and not phase.done(g)]


def prepared(g: Generator, *parts: str) -> bool:
    """Whether :func:`prepare` has nothing to do: at once, without rendering anything."""
    return not phases(g, *parts)


def prepare(g: Generator, *parts: str, on_step: OnStep | None = None) -> None:
    """Works out what a generator lacks for alignment, sliders and text, and keeps it in the model's folder.

    A model that has been prepared takes no time; for one of 1024² it takes about a minute on two cores. Where the
    folder cannot be written, a warning is given and the results hold as long as the process.

    Args:
        g: The generator.
        parts: Which of "faces", "text" and "sliders"; all where none is named.
        on_step: Told of the progress over all that is to be done, with a ``label`` of what that is; a true answer
            stops. Whatever phase was finished by then is kept, and the next call goes on after it.
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
