"""From a prompt to a slider."""

from __future__ import annotations

import torch

from latent_editor.errors import BadValue
from latent_editor.features.clip import load_clip
from latent_editor.features.text_statistics import load_text_statistics
from latent_editor.generators import Generator, generator_for
from latent_editor.generators.preview import small
from latent_editor.text.fast import calibrate, estimate, find_target
from latent_editor.text.guards import guard_axes, guard_qualities
from latent_editor.text.prompts import read_prompt
from latent_editor.text.refine import refine
from latent_editor.types import Direction, Latent, OnStep

METHODS = ("fast", "optimize")
#: Under this fit a direction is called unsure.
UNSURE_FIT = 0.3


def text_direction(
    g: Generator,
    prompt: str,
    *,
    latent: Latent | None = None,
    method: str = "fast",
    seconds: float = 4.0,
    on_step: OnStep | None = None,
) -> Direction:
    """Makes a direction that changes a picture towards a prompt.

    Args:
        g: A generator that comes with a CLIP.
        prompt: "red hair", "an old woman", "young → old", "without a beard"; 300 characters at most.
        latent: The picture to fit the direction to; needed by "optimize".
        method: "fast" reads the direction from statistics, the same for every picture, in milliseconds once the
            model's parts are loaded; "optimize" goes on from there with StyleCLIP's optimizer around ``latent``.
        seconds: How long "optimize" may take.
        on_step: Told about the making of statistics (where the model has none) and about each optimization step; a
            truthy answer stops, and what there is by then is used.

    Returns:
        A direction of the source "text". 1.0 is one visible step and −3..3 is safe. ``score`` says how sure it is,
        0..1, and ``detail`` begins with "unsure" where words are unknown or the latents tell little of the prompt.

    Raises:
        BadPrompt: the prompt is empty, too long, without words, or says nothing about a face.
        BadValue: an unknown method, or "optimize" without a latent.
        BadLatent: the latent belongs to another model.
        MissingPart: the model comes without a CLIP.
    """
    read = read_prompt(prompt)
    if method not in METHODS:
        raise BadValue(f"Got the method {method!r}; expected one of {', '.join(METHODS)}. Choose one of them.")
    if method == "optimize" and latent is None:
        raise BadValue(
            "The method 'optimize' fits a direction to one picture and got none. Pass its latent, or use 'fast'."
        )
    if latent is not None:
        g.check(latent)
    clip = load_clip(g)
    target = find_target(clip, read)
    qualities = g.bundle.part("text guards", lambda: guard_qualities(clip))
    guards, firmness = guard_axes(qualities, read, target.axis)
    statistics = load_text_statistics(g, on_step=on_step)
    found = estimate(statistics, target, guards=guards, firmness=firmness)
    unit = calibrate(small(g, clip.size_px), clip, statistics.probes, found, target.axis)
    vector = (found.way * unit).repeat(g.num_ws, 1)
    if method == "optimize" and latent is not None:
        with torch.enable_grad():
            drawing = generator_for(g, latent)
            vector = refine(drawing, clip, latent.ws, vector, target.axis, found.goal, seconds=seconds, on_step=on_step)
    return Direction(
        name=read.text,
        vector=vector.float(),
        source="text",
        detail=_detail(read.text, method, target.unknown, found.fit),
        score=round(found.fit * target.known, 3),
    )


def _detail(prompt: str, method: str, unknown: tuple[str, ...], fit: float) -> str:
    doubts = []
    if unknown:
        doubts.append(f"the CLIP has never seen {', '.join(repr(w) for w in unknown)}")
    if fit < UNSURE_FIT:
        doubts.append("the latents tell little of it")
    start = f"unsure: {'; '.join(doubts)}. " if doubts else ""
    return f"{start}prompt {prompt!r}, {method}"
