"""What a prompt is compared with: the neutral text of what it speaks of.

StyleCLIP (Patashnik et al. 2021, §6) leaves the neutral text to the user. A person of whom nothing is said will do
where a prompt adds something. Where it chooses among several (a colour of hair, how much of a beard), the others are
what it changes from: brown hair is no more of anything than a person's hair is, but neither black nor blond nor red.
Of a face that is known, it is the one that this face has: from black to brown is the other way than from blond.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.networks.clip import ClipModel

#: Cosines are divided by this before the softmax that says which of several a picture shows.
SHARPNESS = 0.02


@dataclass(frozen=True)
class Choice:
    """Texts of which a face fits one.

    Attributes:
        asks: What a prompt matches, as a whole, that asks for one of them.
        others: All of them, each with a pattern of the words that mean it; the neutral is the mean of those that are
            not asked for.
        between: The words for what lies between others, so that the way there depends on where a face is.
    """

    asks: str
    others: tuple[tuple[str, str], ...]
    between: str | None = None


_COLOURS = (
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
        _COLOURS,
        r"brown|brunette|chestnut|auburn",
    ),
    Choice(
        r"(?:an?\s+|\w+\s+with\s+)*(?:light\s+)?(?:stubble|stubbly|unshaven)(?:\s+\w+)?",
        (("a clean-shaven man", r"clean|shaven"),),
    ),
)


def neutral_texts(text: str) -> tuple[str, ...]:
    """The texts that a prompt is compared with; none where a person of whom nothing is said will do."""
    words = " ".join(text.lower().split())
    for choice in CHOICES:
        if re.fullmatch(choice.asks, words):
            return tuple(other for other, means in choice.others if not re.search(rf"\b(?:{means})\b", words))
    return ()


def lies_between(text: str) -> bool:
    """Whether a prompt asks for what lies between others: to go on would lead past it."""
    words = " ".join(text.lower().split())
    return any(c.between and re.fullmatch(c.asks, words) and re.search(rf"\b(?:{c.between})\b", words) for c in CHOICES)


@torch.no_grad()
def encode_others(clip: ClipModel, text: str) -> Tensor | None:
    """The texts of :func:`neutral_texts` in the CLIP's space: float32 [K, D], of length 1; None for none."""
    texts = neutral_texts(text)
    return torch.stack([clip.encode_prompt(other) for other in texts]) if texts else None


@torch.no_grad()
def encode_neutral(clip: ClipModel, text: str, seen: Tensor | None = None) -> Tensor:
    """What ``text`` is compared with in the CLIP's space.

    Args:
        clip: The CLIP.
        text: A prompt.
        seen: float32 [D], of length 1: a picture, whose own choice is what it changes from; None for any picture.

    Returns:
        float32 [D], of length 1.
    """
    others = encode_others(clip, text)
    if others is None:
        return clip.encode_neutral()
    weights = torch.ones(len(others)) if seen is None else F.softmax(others @ seen.to(others) / SHARPNESS, dim=0)
    return F.normalize((weights.to(others)[:, None] * others).sum(dim=0), dim=0)
