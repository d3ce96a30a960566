"""What a prompt is compared with: the neutral text of what it speaks of.

StyleCLIP (Patashnik et al. 2021, §6) leaves the neutral text to the user. A person of whom nothing is said will do
where a prompt adds something. Where it chooses among several (a colour of hair, how much of a beard), the others are
what it changes from: brown hair is no more of anything than a person's hair is, but neither black nor blond nor red.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.features.clip import Clip


@dataclass(frozen=True)
class Choice:
    """Texts of which a face fits one.

    Attributes:
        asks: What a prompt matches, as a whole, that asks for one of them.
        others: All of them, each with a pattern of the words that mean it; the neutral is the mean of those that are
            not asked for.
    """

    asks: str
    others: tuple[tuple[str, str], ...]


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
    Choice(rf"(?:an?\s+|\w+\s+with\s+)*(?:\w+\s+)?(?:{_SHADES})[\s-]hair(?:ed)?(?:\s+\w+)?", _COLOURS),
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


@torch.no_grad()
def encode_neutral(clip: Clip, text: str) -> Tensor:
    """What ``text`` is compared with in the CLIP's space: float32 [D], of length 1."""
    texts = neutral_texts(text)
    if not texts:
        return clip.encode_neutral()
    return F.normalize(torch.stack([clip.encode_prompt(other) for other in texts]).mean(dim=0), dim=0)
