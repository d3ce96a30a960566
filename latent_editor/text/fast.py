"""A text direction without optimization: the difference of two texts, regressed on latents."""

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

#: Ridge, as a share of the mean variance of x. Little gives the shortest way to the text, which leaves the data; much
#: gives the way the data goes, which takes along whatever comes with the text (a beard makes a man).
RIDGE = 1.0
#: At +2 a picture gets the score that this share of the data stays under: what is rare has to go further than what is
#: common, and a direction shall end among the pictures that have it.
REACH = 0.97
#: The same share of those that fit the one of several that a prompt asks for, and how many of those there have to be.
WELL_THERE, MIN_THERE = 0.5, 8
#: To a picture that has it already, so much of the score's spread is added all the same.
MIN_GOAL = 0.05
#: Shortest and longest unit, as shares of the data's radius in the space of x.
SHORTEST, LONGEST = 0.04, 0.25
#: The shortest where a picture may have already what is asked for, and would be taken past it.
SHORTEST_CHOSEN = 0.01


@dataclass(frozen=True, eq=False)
class TextTarget:
    """Where in the CLIP's space a prompt points.

    Attributes:
        axis: float32 [D], target minus source, of length 1.
        contrast: Length of that difference before, 0..2.
        unknown: Words that the CLIP has never seen.
        known: Share of the words that it has, 0..1.
        choices: Where a prompt chooses among several for a picture that was seen: float32 [1 + K, D], what it asks for
            and what else there is, of length 1; else None.
        start: Score of that picture along the axis.
    """

    axis: Tensor
    contrast: float
    unknown: tuple[str, ...]
    known: float
    choices: Tensor | None = None
    start: float = 0.0


#: Words that say nothing by themselves: to know them is to know nothing of a prompt.
_SMALL_WORDS = frozenset(words_of("a an and as at by for from has having her his in like of on the to with"))


@torch.no_grad()
def find_target(clip: ClipModel, prompt: Prompt, seen: Tensor | None = None) -> TextTarget:
    """The difference between what a prompt asks for and what it leaves (StyleCLIP, Patashnik et al. 2021, §6).

    A side that says nothing is the neutral text of the other (:mod:`latent_editor.text.neutral_prompts`), of the
    picture ``seen``, [D] in the CLIP's space, where one is given.

    Raises:
        BadPrompt: the CLIP has never seen a word of it, or sees no difference between the two sides.
    """
    words = " ".join(side for side in (prompt.source, prompt.target) if side)
    unknown = tuple(clip.unknown_words(words))
    if not set(words_of(words)) - _SMALL_WORDS - set(unknown):
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


def find_denied(clip: ClipModel, prompt: Prompt) -> list[Tensor]:
    """The axes of what a prompt says shall stay as it is, [D] each. Raises BadPrompt as :func:`find_target`."""
    return [find_target(clip, read_prompt(text)).axis for text in prompt.without]


@dataclass(frozen=True, eq=False)
class FastEstimate:
    """A direction read from statistics.

    Attributes:
        way: float32 [w_dim] or [num_ws, w_dim], of length 1, or of length 1 in styles.
        fit: Correlation of the text's score with its linear reading from the latents, 0..1.
        spread: Standard deviation of the text's score over the data.
        goal: Change of the score from the middle of the data to those that have it.
        radius: Root mean square distance of x from its mean, in the measure of ``way``.
    """

    way: Tensor
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

    1. b = (Σxx + λI)⁻¹ Σxe · axis, and the same for each guard.
    2. The way is b without its part in the span of the guards' readings: the conditional manipulation of InterFaceGAN
       (Shen et al. 2020, §3.2), so that what the prompt does not name changes little.

    Args:
        statistics: Of the generator and the CLIP.
        target: Where the prompt points.
        guards: [K, D], unit vectors in the CLIP's space of what shall stay as it is.
        firmness: [K], 0..1, how firmly; entirely where not given.
        ridge: λ, as a share of the mean variance of x.
    """
    xx, xe = statistics.xx, statistics.xe
    penalised = xx + torch.eye(len(xx)) * (ridge * float(xx.diagonal().mean()))
    axes = target.axis[None] if preserved is None else torch.cat([target.axis[None], preserved])
    readings = torch.linalg.solve(penalised, xe @ axes.t())  # 1. [w_dim, 1 + K]
    b, way = readings[:, 0], readings[:, 0]
    if axes.shape[0] > 1:  # 2.
        others = readings[:, 1:] / readings[:, 1:].norm(dim=0).clamp_min(1e-20)
        shares = torch.linalg.lstsq(others, b).solution
        way = b - others @ (shares if weight is None else shares * weight)
    spread = float((target.axis @ statistics.ee @ target.axis).clamp_min(1e-12).sqrt())
    along = float((b @ xx @ b).clamp_min(1e-20).sqrt())  # standard deviation of the reading over the data
    fit = min(1.0, float(xe @ target.axis @ b) / (along * spread + 1e-12))
    goal = _goal(statistics, target, spread)
    radius = float(xx.diagonal().sum().sqrt())
    return FastEstimate(way / way.norm().clamp_min(1e-20), max(0.0, fit), spread, goal, radius)


def _goal(statistics: TextStatistics, target: TextTarget, spread: float) -> float:
    """How much of the score, which spreads by ``spread``, +2 shall add.

    Black hair that shall be brown shall not become blond, which is the same way: the goal is where those pictures are
    that fit "brown" best. Else it is from the middle of the data to those that have most of it.
    """
    scores = statistics.vectors @ target.axis
    if target.choices is not None:
        there = scores[(statistics.vectors @ target.choices.t()).argmax(dim=1) == 0]
        if len(there) >= MIN_THERE:
            return max(float(there.quantile(WELL_THERE)) - target.start, MIN_GOAL * spread)
    return max(float(scores.quantile(REACH) - scores.median()), spread)


@torch.no_grad()
def calibrate(
    g: Generator, clip: ClipModel, probes: Tensor, found: FastEstimate, axis: Tensor, *, shortest: float = SHORTEST
) -> float:
    """The length of one unit, from what the direction does to a few pictures.

    1. Render the probes as they are, and moved by the least and by half the most that +2 may be.
    2. The mean gain in the text's score, linear between these lengths and beyond, gives the length for the goal.
    3. Half of it is a unit, within the shortest and the longest.

    A prediction by the regression itself was refused: how much of a move a generator shows differs several times
    between generators.

    Args:
        g, clip: The generator and its CLIP.
        probes: [P, num_ws, w_dim].
        found: The estimate.
        axis: [D], where the prompt points.
        shortest: Length of the shortest unit, as a share of the data's radius.
    """
    low, high = 2 * shortest * found.radius, LONGEST * found.radius
    dtype = fastest_dtype(g.device)
    way = found.way.to(g.device)
    ws = torch.cat([probes.to(g.device) + length * way for length in (0.0, low, high)])
    scores = clip.encode_image(g.synthesize(ws, dtype=dtype), dtype=dtype).cpu() @ axis
    zero, first, second = scores.reshape(3, -1).mean(dim=1).tolist()
    gain_low, gain_high = first - zero, second - zero
    slope = (gain_high - gain_low) / (high - low)
    if gain_low >= found.goal:
        length = low
    elif slope > 0:
        length = low + (found.goal - gain_low) / slope
    else:
        length = high  # the score tells nothing: a visible move all the same
    return min(max(length / 2, shortest * found.radius), LONGEST * found.radius)
