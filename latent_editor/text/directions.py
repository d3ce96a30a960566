"""Text prompts as directions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.core.errors import BadPrompt, BadValue
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Latent, OnStep
from latent_editor.generators import Generator, generator_for
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.models.per_model import per_model
from latent_editor.networks.clip import ClipModel, load_clip
from latent_editor.networks.style_statistics import load_style_statistics
from latent_editor.networks.text_statistics import load_text_statistics
from latent_editor.text.fast import (
    MIN_ALTERNATIVE_UNIT,
    FastEstimate,
    TextTarget,
    calibrate,
    estimate,
    find_negated,
    find_target,
)
from latent_editor.text.neutral_prompts import lies_between
from latent_editor.text.preserved_attributes import preserved_axes, preserved_qualities
from latent_editor.text.prompts import Prompt, read_prompt
from latent_editor.text.refine import refine
from latent_editor.text.styles import THRESHOLD, style_direction

METHODS = ("fast", "global", "optimize")
#: Two texts with at least this cosine mean the same.
SAME = 0.9
#: Directions with a smaller fit are reported as unsure.
UNSURE_FIT = 0.3


def text_direction(
    g: Generator,
    prompt: str,
    *,
    latent: Latent | None = None,
    method: str = "fast",
    without: Sequence[str] = (),
    threshold: float = THRESHOLD,
    seconds: float = 4.0,
    on_step: OnStep | None = None,
) -> Direction:
    """Makes a direction that changes pictures towards a prompt.

    Args:
        g: A generator with a CLIP.
        prompt: "red hair", "an old woman", "young → old", "without a beard", "red hair | not make-up"; at most 300
            characters.
        latent: The picture to fit the direction to; required by "optimize". For a prompt that chooses among
            alternatives, it gives the starting point: brown hair is lighter than black hair, and darker than blond.
        method: "fast" estimates the direction from statistics, in milliseconds once the model is loaded; "global" is
            StyleCLIP's global direction in StyleSpace; "optimize" continues from "fast" with StyleCLIP's optimizer
            around ``latent``.
        without: Attributes to preserve, as if typed after "not".
        threshold: For "global": β, 0..1; higher values move fewer channels, with fewer side effects.
        seconds: Time limit for "optimize".
        on_step: Called while missing statistics are computed and after each optimization step; a true answer stops, and
            the intermediate result is used.

    Returns:
        A direction of the source "text". 1.0 is one visible step and −3..3 is safe. ``score`` is the confidence, 0..1;
        ``provenance.doubts`` says which words are unknown and whether the latents say little about the prompt.

    Raises:
        BadPrompt: the prompt is empty, too long, without a word that the CLIP has seen, has no effect on a face, or
            contradicts itself.
        BadValue: an unknown method, a threshold out of its range, or "optimize" without a latent.
        BadLatent: the latent belongs to another model.
        MissingPart: the model has no CLIP, or for "global" no styles.
        Stopped: for "global", if ``on_step`` stopped the computation of its statistics; the next call resumes it.
    """
    read = read_prompt(prompt, without=without)
    _check(g, method, latent, threshold)
    clip = load_clip(g)
    between = latent is not None and read.source is None and lies_between(read.target or "")
    target = find_target(clip, read, _seen(g, clip, latent) if between and latent is not None else None)
    preserved, weight = find_preserved(g, clip, read, target)
    statistics = load_text_statistics(g, on_step=on_step)
    found = estimate(statistics, target, preserved=preserved, weight=weight)
    note = ""
    if method == "global":
        styles = load_style_statistics(g, on_step=on_step)
        moved = style_direction(g, styles, target.axis, threshold=threshold, preserved=preserved, weight=weight)
        found = replace(found, vector=moved.vector, radius=moved.radius)
        note = f"{moved.channels} of {len(styles.effects)} channels, threshold {threshold:g}"
    unit = _unit(g, clip, statistics.probes, found, target, latent)
    vector = (found.vector * unit).expand(g.num_ws, -1).clone()
    if method == "optimize" and latent is not None:
        with torch.enable_grad():
            drawing = generator_for(g, latent)
            vector = refine(drawing, clip, latent.ws, vector, target.axis, found.goal, seconds=seconds, on_step=on_step)
    return Direction(
        name=read.text,
        vector=vector.float(),
        source="text",
        provenance=Provenance(method, read.text, doubts=_doubts(target.unknown, found.fit), note=note),
        score=round(found.fit * target.known, 3),
    )


def _check(g: Generator, method: str, latent: Latent | None, threshold: float) -> None:
    if method not in METHODS:
        raise BadValue(f"Got the method {method!r}; expected one of {', '.join(METHODS)}. Choose one of them.")
    if method == "optimize" and latent is None:
        raise BadValue(
            "The method 'optimize' fits a direction to one picture and got none. Pass its latent, or use 'fast'."
        )
    if not 0 <= threshold <= 1:
        raise BadValue(f"Got the threshold {threshold}; expected 0 (all channels) to 1 (hardly any).")
    if latent is not None:
        g.check(latent)


def _unit(
    g: Generator, clip: ClipModel, probes: Tensor, found: FastEstimate, target: TextTarget, latent: Latent | None
) -> float:
    """The length of one unit: calibrated on some pictures, or on the given one if the prompt chooses among
    alternatives."""
    if latent is None or target.choices is None:
        return calibrate(small(g, clip.size_px), clip, probes, found, target.axis)
    drawing = small(generator_for(g, latent), clip.size_px)
    return calibrate(drawing, clip, latent.ws[None], found, target.axis, min_unit=MIN_ALTERNATIVE_UNIT)


@torch.no_grad()
def _seen(g: Generator, clip: ClipModel, latent: Latent) -> Tensor:
    """The CLIP vector of a latent's picture: float32 [D], of length 1."""
    drawing, dtype = small(generator_for(g, latent), clip.size_px), fastest_dtype(g.device)
    return clip.encode_image(drawing.synthesize(latent.ws[None].to(g.device), dtype=dtype), dtype=dtype)[0].cpu()


@per_model
def _guard_qualities(g: Generator, *, clip: ClipModel) -> Tensor:
    return preserved_qualities(clip)


def find_preserved(g: Generator, clip: ClipModel, read: Prompt, target: TextTarget) -> tuple[Tensor, Tensor]:
    """The attributes to preserve: common ones that the prompt does not name, with their weights, and its negative
    parts."""
    qualities = _guard_qualities(g, clip=clip)
    preserved, weight = preserved_axes(qualities, read, target.axis)
    negated = find_negated(clip, read)
    if not negated:
        return preserved, weight
    same = [text for text, axis in zip(read.without, negated, strict=True) if abs(float(axis @ target.axis)) > SAME]
    if same:
        raise BadPrompt(f"The prompt {read.text!r} contradicts itself ({same[0]!r}). Leave out one of the two.")
    return torch.cat([preserved, torch.stack(negated)]), torch.cat([weight, torch.ones(len(negated))])


def _doubts(unknown: Sequence[str], fit: float) -> tuple[str, ...]:
    """Reasons to expect little of a direction, for people."""
    words = f"the CLIP has never seen {', '.join(repr(w) for w in unknown)}" if unknown else ""
    weak = "the latents say little about it" if fit < UNSURE_FIT else ""
    return tuple(doubt for doubt in (words, weak) if doubt)
