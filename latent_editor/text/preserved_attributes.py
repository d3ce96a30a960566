"""Attributes that a prompt should preserve: the common ones that it does not mention."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.networks.clip import ClipModel, words_of
from latent_editor.text.prompts import Prompt

#: A prompt whose axis has this cosine with an attribute's is about that attribute, in whatever words. The nearer it is,
#: the lower the attribute's weight: a beard cannot come without anything that distinguishes men from women.
ABOUT = 0.7


@dataclass(frozen=True)
class PreservedAttribute:
    """An attribute between two texts, and a pattern of the words that mention it."""

    first: str
    second: str
    mentions: str


PRESERVED_ATTRIBUTES = (
    PreservedAttribute(
        "a man",
        "a woman",
        r"(wo)?m[ae]n|(fe)?males?|guys?|lad(y|ies|s)?|girl\w*|boy\w*|gentlem[ae]n|grand\w+|grann\w+|feminine|masculine|"
        r"mothers?|fathers?|queens?|kings?|princ\w+|sexy?|gender|he|she|his|her|wife|husband|witch|wizard",
    ),
    PreservedAttribute(
        "an old person",
        "a young person",
        r"old\w*|young\w*|elder\w*|aged?|ageing|aging|senior\w*|ancient|grand\w+|grann\w+|teen\w*|wrinkl\w+|youth\w*|"
        r"boy\w*|girl\w*|mature|adult|kid|child\w*|bab(y|ies)|smooth|years?|crone",
    ),
    PreservedAttribute(
        "pale skin",
        "dark skin",
        r"skin\w*|complexion|tan\w*|pale|dark|black|white|brown|african|asian|sunburnt|elf|alien",
    ),
    PreservedAttribute(
        "blond hair", "black hair", r"hair\w*|blond\w*|brunette|redhead\w*|ginger|auburn|bald|grey|gray|old\w*|grand\w+"
    ),
    PreservedAttribute(
        "long hair", "short hair", r"hair\w*|bald|long|short|haircut|wom[ae]n|m[ae]n|girl|boy|lady|princess"
    ),
)


@torch.no_grad()
def preserved_qualities(clip: ClipModel) -> Tensor:
    """Unit vectors [len(PRESERVED_ATTRIBUTES), D]: each attribute's first text minus its second, in CLIP space."""
    pairs = [(clip.encode_prompt(a.first), clip.encode_prompt(a.second)) for a in PRESERVED_ATTRIBUTES]
    return F.normalize(torch.stack([first - second for first, second in pairs]).cpu(), dim=1)


def preserved_axes(qualities: Tensor, prompt: Prompt, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Those of :func:`preserved_qualities` that a prompt with the direction ``axis`` [D] does not name.

    Returns:
        Axes [K, D] and weights [K], 0..1.
    """
    words = words_of(" ".join(side for side in (prompt.source, prompt.target) if side))
    named = torch.tensor([any(re.fullmatch(g.mentions, word) for word in words) for g in PRESERVED_ATTRIBUTES])
    weight = 1 - ((qualities @ axis) / ABOUT).square().clamp(max=1)
    keep = ~named & (weight > 0)
    return qualities[keep], weight[keep]
