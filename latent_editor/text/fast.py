"""Text directions without optimization: the difference of two texts, regressed on latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.errors import BadPrompt
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.clip import ClipModel, words_of
from latent_editor.networks.text_statistics import TextStatistics
from latent_editor.text.neutral_prompts import encode_neutral, encode_others
from latent_editor.text.prompts import Prompt, read_prompt

#: Ridge penalty relative to the mean variance of x. A small one gives the shortest direction towards the text, which
#: leaves the data; a large one follows the data, including all that is correlated with the text (a beard makes a man).
RIDGE = 1.0
#: At +2 the score reaches this quantile of the data, so that directions end among pictures with the attribute, and rare
#: attributes go further than common ones.
REACH = 0.97
#: The quantile among pictures that fit the requested alternative best, and how many of those there have to be.
ALTERNATIVE_REACH, MIN_ALTERNATIVES = 0.5, 8
#: The smallest goal, in standard deviations of the score, for pictures that already have the attribute.
MIN_GOAL = 0.05
#: Limits of a unit, relative to the data's radius in the space of x.
MIN_UNIT, MAX_UNIT = 0.04, 0.25
#: Lower limit for alternatives, because a picture may already have the attribute and would overshoot.
MIN_ALTERNATIVE_UNIT = 0.01


@dataclass(frozen=True, eq=False)
class TextTarget:
    """The direction of a prompt in CLIP space.

    Attributes:
        axis: float32 [D], target minus source, of length 1.
        contrast: Length of that difference before normalization, 0..2.
        unknown: Words that the CLIP has never seen.
        known: Share of the words that it has seen, 0..1.
        choices: For a prompt that chooses among alternatives, and a given picture: float32 [1 + K, D], the vectors of
            the choice and of the alternatives, of length 1; else None.
        start: Score of that picture along the axis.
    """

    axis: Tensor
    contrast: float
    unknown: tuple[str, ...]
    known: float
    choices: Tensor | None = None
    start: float = 0.0


#: Words without a meaning of their own: knowing them does not help to understand a prompt.
_STOP_WORDS = frozenset(words_of("a an and as at by for from has having her his in like of on the to with"))


@torch.no_grad()
def find_target(clip: ClipModel, prompt: Prompt, seen: Tensor | None = None) -> TextTarget:
    """The difference between the target and the source of a prompt (StyleCLIP, Patashnik et al. 2021, §6).

    A missing side is the neutral text of the other (:mod:`latent_editor.text.neutral_prompts`), for the picture with
    the CLIP vector ``seen``, [D], if given.

    Raises:
        BadPrompt: the CLIP has never seen a word of it, or sees no difference between the two sides.
    """
    words = " ".join(side for side in (prompt.source, prompt.target) if side)
    unknown = tuple(clip.unknown_words(words))
    if not set(words_of(words)) - _STOP_WORDS - set(unknown):
        raise BadPrompt(
            f"The CLIP has never seen a word of {words[:60]!r}; it knows English words for how a face looks. "
            "Use those, such as “red hair”."
        )
    source, target = (
        encode_neutral(clip, other or "", seen) if side is None else clip.encode_prompt(side)
        for side, other in ((prompt.source, prompt.target), (prompt.target, prompt.source))
    )
    difference = (target - source).cpu()
    contrast = float(difference.norm())
    if contrast < 1e-3:
        raise BadPrompt(f"The prompt {prompt.text!r} changes nothing in a face; expected a change, such as “red hair”.")
    known = 1 - len(unknown) / max(1, len(set(words_of(words))))
    axis, choices, start = difference / contrast, None, 0.0
    if seen is not None and prompt.source is None and prompt.target is not None:
        others = encode_others(clip, prompt.target)
        if others is not None:
            choices, start = torch.cat([target[None], others]).cpu(), float(seen @ axis)
    return TextTarget(axis, contrast, unknown, known, choices, start)


def find_negated(clip: ClipModel, prompt: Prompt) -> list[Tensor]:
    """The axes of a prompt's negative parts, [D] each. Raises BadPrompt like :func:`find_target`."""
    return [find_target(clip, read_prompt(text)).axis for text in prompt.without]


@dataclass(frozen=True, eq=False)
class FastEstimate:
    """A direction estimated from statistics.

    Attributes:
        vector: float32 [w_dim] or [num_ws, w_dim], of length 1, or of length 1 in styles.
        fit: Correlation of the text's score with its linear prediction from the latents, 0..1.
        spread: Standard deviation of the text's score over the data.
        goal: Change of the score from the median of the data to pictures with the attribute.
        radius: Root mean square distance of x from its mean, in the units of ``vector``.
    """

    vector: Tensor
    fit: float
    spread: float
    goal: float
    radius: float


def estimate(
    statistics: TextStatistics,
    target: TextTarget,
    *,
    preserved: Tensor | None = None,
    weight: Tensor | None = None,
    ridge: float = RIDGE,
) -> FastEstimate:
    """Regresses the score of a text, ⟨e, axis⟩, on the latents.

    1. b = (Σxx + λI)⁻¹ Σxe · axis, and likewise for each preserved attribute.
    2. The vector is b without its part in the span of the preserved attributes: conditional manipulation (Shen et al.
       2020, §3.2), so that attributes that the prompt does not name change little.

    Args:
        statistics: Of the generator and the CLIP.
        target: Where the prompt points.
        preserved: [K, D], unit vectors in CLIP space of attributes to preserve.
        weight: [K], 0..1, how much of each is projected out; None for all of it.
        ridge: λ, relative to the mean variance of x.
    """
    xx, xe = statistics.xx, statistics.xe
    penalized = xx + torch.eye(len(xx)) * (ridge * float(xx.diagonal().mean()))
    axes = target.axis[None] if preserved is None else torch.cat([target.axis[None], preserved])
    readings = torch.linalg.solve(penalized, xe @ axes.t())  # 1. [w_dim, 1 + K]
    b, vector = readings[:, 0], readings[:, 0]
    if axes.shape[0] > 1:  # 2.
        others = readings[:, 1:] / readings[:, 1:].norm(dim=0).clamp_min(1e-20)
        shares = torch.linalg.lstsq(others, b).solution
        vector = b - others @ (shares if weight is None else shares * weight)
    spread = float((target.axis @ statistics.ee @ target.axis).clamp_min(1e-12).sqrt())
    along = float((b @ xx @ b).clamp_min(1e-20).sqrt())  # standard deviation of the reading over the data
    fit = min(1.0, float(xe @ target.axis @ b) / (along * spread + 1e-12))
    goal = _goal(statistics, target, spread)
    radius = float(xx.diagonal().sum().sqrt())
    return FastEstimate(vector / vector.norm().clamp_min(1e-20), max(0.0, fit), spread, goal, radius)


def _goal(statistics: TextStatistics, target: TextTarget, spread: float) -> float:
    """The change of the score, with standard deviation ``spread``, that +2 should make.

    For alternatives, the goal is among the pictures that fit the choice best: black hair should become brown, and not
    overshoot to blond in the same direction. Otherwise it is from the median of the data to its :data:`REACH` quantile.
    """
    scores = statistics.vectors @ target.axis
    if target.choices is not None:
        there = scores[(statistics.vectors @ target.choices.t()).argmax(dim=1) == 0]
        if len(there) >= MIN_ALTERNATIVES:
            return max(float(there.quantile(ALTERNATIVE_REACH)) - target.start, MIN_GOAL * spread)
    return max(float(scores.quantile(REACH) - scores.median()), spread)


@torch.no_grad()
def calibrate(
    g: Generator, clip: ClipModel, probes: Tensor, found: FastEstimate, axis: Tensor, *, min_unit: float = MIN_UNIT
) -> float:
    """The length of one unit, from the effect of the direction on a few pictures.

    1. Render the probes unedited, and moved by the smallest length and half the largest length of +2.
    2. The mean gain of the text's score, interpolated linearly, gives the length that reaches the goal.
    3. Half of it is a unit, within the limits.

    A prediction by the regression itself was rejected: the effect of a step of w differs several times between
    generators.

    Args:
        g, clip: The generator and its CLIP.
        probes: [P, num_ws, w_dim].
        found: The estimate.
        axis: [D], the direction of the prompt in CLIP space.
        min_unit: Lower limit of a unit, relative to the data's radius.
    """
    low, high = 2 * min_unit * found.radius, MAX_UNIT * found.radius
    dtype = fastest_dtype(g.device)
    vector = found.vector.to(g.device)
    ws = torch.cat([probes.to(g.device) + length * vector for length in (0.0, low, high)])
    scores = clip.encode_image(g.synthesize(ws, dtype=dtype), dtype=dtype).cpu() @ axis
    zero, first, second = scores.reshape(3, -1).mean(dim=1).tolist()
    gain_low, gain_high = first - zero, second - zero
    slope = (gain_high - gain_low) / (high - low)
    if gain_low >= found.goal:
        length = low
    elif slope > 0:
        length = low + (found.goal - gain_low) / slope
    else:
        length = high  # the score does not respond: a visible step all the same
    return min(max(length / 2, min_unit * found.radius), MAX_UNIT * found.radius)
