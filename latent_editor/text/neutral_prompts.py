"""The neutral text that a prompt is compared with.

StyleCLIP (Patashnik et al. 2021, §6) leaves the neutral text to the user. "A person" is enough if a prompt adds an
attribute. If it chooses among alternatives (a hair color, how much of a beard), the neutral text is the mean of the
other alternatives: brown hair is not more of anything than a person's hair, but neither black nor blond nor red. For a
given face, the alternative that it has counts most: from black to brown is the opposite direction of from blond to
brown.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.networks.clip import ClipModel

#: Temperature of the softmax over the alternatives that a picture may show.
TEMPERATURE = 0.02


@dataclass(frozen=True)
class Choice:
    """Alternatives, one of which fits a face.

    Attributes:
        asks: Pattern of whole prompts that ask for one of them.
        others: The alternatives, each with a pattern of the words for it; the neutral text is the mean of those that a
            prompt does not ask for.
        between: Pattern of the words for what lies between alternatives, so that the direction depends on the face.
    """

    asks: str
    others: tuple[tuple[str, str], ...]
    between: str | None = None


_HAIR_COLORS = (
    ("black hair", r"black|raven|dark"),
    ("brown hair", r"brown|brunette|chestnut|auburn|dark"),
    ("blond hair", r"blond\w*|golden|yellow|light"),
    ("red hair", r"red\w*|ginger|copper|auburn|orange"),
    ("grey hair", r"gr[ae]y|silver|white|old"),
)
_SHADES = (
    r"black|brown|blond\w*|red|gr[ae]y|white|blue|green|pink|purple|ginger|auburn|chestnut|golden|silver|copper|raven|dark|"
    r"light"
)
CHOICES = (
    Choice(
        rf"(?:an?\s+|\w+\s+with\s+)*(?:\w+\s+)?(?:{_SHADES})[\s-]hair(?:ed)?(?:\s+\w+)?",
        _HAIR_COLORS,
        r"brown|brunette|chestnut|auburn",
    ),
    Choice(
        r"(?:an?\s+|\w+\s+with\s+)*(?:light\s+)?(?:stubble|stubbly|unshaven)(?:\s+\w+)?",
        (("a clean-shaven man", r"clean|shaven"),),
    ),
)


def neutral_texts(text: str) -> tuple[str, ...]:
    """The alternatives that a prompt is compared with; none if the neutral person is enough."""
    words = " ".join(text.lower().split())
    for choice in CHOICES:
        if re.fullmatch(choice.asks, words):
            return tuple(other for other, means in choice.others if not re.search(rf"\b(?:{means})\b", words))
    return ()


def lies_between(text: str) -> bool:
    """Whether a prompt asks for something between alternatives, which a direction can overshoot."""
    words = " ".join(text.lower().split())
    return any(c.between and re.fullmatch(c.asks, words) and re.search(rf"\b(?:{c.between})\b", words) for c in CHOICES)


@torch.no_grad()
def encode_others(clip: ClipModel, text: str) -> Tensor | None:
    """The texts of :func:`neutral_texts` in CLIP space: float32 [K, D], of length 1; None for none."""
    texts = neutral_texts(text)
    return torch.stack([clip.encode_prompt(other) for other in texts]) if texts else None


@torch.no_grad()
def encode_neutral(clip: ClipModel, text: str, seen: Tensor | None = None) -> Tensor:
    """The CLIP vector that ``text`` is compared with.

    Args:
        clip: The CLIP.
        text: A prompt.
        seen: float32 [D], of length 1: the CLIP vector of a picture, whose own alternative counts most; None for any
            picture.

    Returns:
        float32 [D], of length 1.
    """
    others = encode_others(clip, text)
    if others is None:
        return clip.encode_neutral()
    weights = torch.ones(len(others)) if seen is None else F.softmax(others @ seen.to(others) / TEMPERATURE, dim=0)
    return F.normalize((weights.to(others)[:, None] * others).sum(dim=0), dim=0)
