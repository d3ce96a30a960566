"""A text direction without optimization: the difference of two texts, regressed on latents."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.errors import BadPrompt
from latent_editor.features.clip import Clip, words_of
from latent_editor.features.text_statistics import TextStatistics
from latent_editor.text.prompts import Prompt

#: Ridge, as a share of the mean variance of x. Little gives the shortest way to the text, which leaves the data; much
#: gives the way the data goes, which takes along whatever comes with the text (a beard makes a man).
RIDGE = 0.3
#: One unit moves the text's score by so many standard deviations of it over the data, within these lengths, which are
#: in standard deviations of the data along the direction.
UNIT, SHORTEST, LONGEST = 1.0, 0.9, 2.2


@dataclass(frozen=True, eq=False)
class TextTarget:
    """Where in the CLIP's space a prompt points.

    Attributes:
        axis: float32 [D], target minus source, of length 1.
        contrast: Length of that difference before, 0..2.
        unknown: Words that the CLIP has never seen.
        known: Share of the words that it has, 0..1.
    """

    axis: Tensor
    contrast: float
    unknown: tuple[str, ...]
    known: float


@torch.no_grad()
def find_target(clip: Clip, prompt: Prompt) -> TextTarget:
    """The difference between what a prompt asks for and what it leaves (StyleCLIP, Patashnik et al. 2021, §6).

    Raises:
        BadPrompt: the CLIP sees no difference between the two.
    """
    sides = (prompt.source, prompt.target)
    source, target = (clip.encode_neutral() if side is None else clip.encode_prompt(side) for side in sides)
    difference = (target - source).cpu()
    contrast = float(difference.norm())
    if contrast < 1e-3:
        raise BadPrompt(f"The prompt {prompt.text!r} changes nothing in a face; expected a change, such as “red hair”.")
    words = " ".join(side for side in sides if side)
    unknown = tuple(clip.unknown_words(words))
    known = 1 - len(unknown) / max(1, len(set(words_of(words))))
    return TextTarget(difference / contrast, contrast, unknown, known)


@dataclass(frozen=True, eq=False)
class FastEstimate:
    """A direction read from statistics.

    Attributes:
        vector: float32 [w_dim], one unit.
        fit: Correlation of the text's score with its linear reading from the latents, 0..1.
        spread: Standard deviation of the text's score over the data.
    """

    vector: Tensor
    fit: float
    spread: float


def estimate(statistics: TextStatistics, target: TextTarget, *, ridge: float = RIDGE) -> FastEstimate:
    """Regresses the score of a text, ⟨e, axis⟩, on the latents.

    1. b = (Σxx + λI)⁻¹ Σxe · axis.
    2. One unit of b moves the predicted score by :data:`UNIT` standard deviations, kept within a visible, safe length.
    """
    xx, covariance = statistics.xx, statistics.xe @ target.axis
    diagonal = torch.eye(len(xx)) * (ridge * float(xx.diagonal().mean()))
    b = torch.linalg.solve(xx + diagonal, covariance)  # 1.
    spread = float((target.axis @ statistics.ee @ target.axis).clamp_min(1e-12).sqrt())
    along = float((b @ xx @ b).clamp_min(1e-20).sqrt())  # standard deviation of the reading over the data
    fit = min(1.0, float(covariance @ b) / (along * spread + 1e-12))
    # Moving by t·b changes the reading by t·|b|²; along / |b| is the data's standard deviation in that direction.
    norm = float(b.norm().clamp_min(1e-20))
    step = UNIT * spread / norm  # length that moves the reading by UNIT standard deviations
    sigma = along / norm
    length = min(max(step, SHORTEST * sigma), LONGEST * sigma)  # 2.
    return FastEstimate(b / norm * length, max(0.0, fit), spread)
