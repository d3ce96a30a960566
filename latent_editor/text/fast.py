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


def estimate(
    statistics: TextStatistics, target: TextTarget, *, guards: Tensor | None = None, ridge: float = RIDGE
) -> FastEstimate:
    """Regresses the score of a text, ⟨e, axis⟩, on the latents.

    1. b = (Σxx + λI)⁻¹ Σxe · axis, and the same for each guard.
    2. v is b without its part in the span of the guards' readings: the conditional manipulation of InterFaceGAN
       (Shen et al. 2020, §3.2), so that what the prompt does not name changes little.
    3. One unit of v moves the predicted score by :data:`UNIT` standard deviations, kept within a visible, safe length.

    Args:
        statistics: Of the generator and the CLIP.
        target: Where the prompt points.
        guards: [K, D], unit vectors in the CLIP's space of what shall stay as it is.
        ridge: λ, as a share of the mean variance of x.
    """
    xx, xe = statistics.xx, statistics.xe
    penalised = xx + torch.eye(len(xx)) * (ridge * float(xx.diagonal().mean()))
    axes = target.axis[None] if guards is None else torch.cat([target.axis[None], guards])
    readings = torch.linalg.solve(penalised, xe @ axes.t())  # 1. [w_dim, 1 + K]
    b, v = readings[:, 0], readings[:, 0]
    if axes.shape[0] > 1:  # 2.
        span = torch.linalg.qr(readings[:, 1:]).Q
        v = b - span @ (span.t() @ b)
    spread = float((target.axis @ statistics.ee @ target.axis).clamp_min(1e-12).sqrt())
    along = float((b @ xx @ b).clamp_min(1e-20).sqrt())  # standard deviation of the reading over the data
    fit = min(1.0, float(xe @ target.axis @ b) / (along * spread + 1e-12))
    v = v / v.norm().clamp_min(1e-20)
    sigma = float((v @ xx @ v).clamp_min(1e-20).sqrt())  # of the data in this direction
    step = UNIT * spread / max(float(v @ b), 1e-20)  # the length that moves the reading by UNIT deviations
    length = min(max(step, SHORTEST * sigma), LONGEST * sigma)  # 3.
    return FastEstimate(v * length, max(0.0, fit), spread)
