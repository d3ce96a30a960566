"""What a prompt shall leave alone: the qualities that it does not mention."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.features.clip import Clip, words_of
from latent_editor.text.prompts import Prompt

#: A prompt whose axis has at least this cosine with a guard's is about that quality, in whatever words.
ABOUT = 0.7


@dataclass(frozen=True)
class Guard:
    """A quality between two texts, and a pattern of the words that mention it."""

    first: str
    second: str
    mentions: str


GUARDS = (
    Guard(
        "a man",
        "a woman",
        r"(wo)?m[ae]n|(fe)?males?|guys?|lad(y|ies|s)?|girl\w*|boy\w*|gentlem[ae]n|grand\w+|grann\w+|feminine|masculine|"
        r"mothers?|fathers?|queens?|kings?|princ\w+|sexy?|gender|he|she|his|her|wife|husband|witch|wizard",
    ),
    Guard(
        "an old person",
        "a young person",
        r"old\w*|young\w*|elder\w*|aged?|ageing|aging|senior\w*|ancient|grand\w+|grann\w+|teen\w*|wrinkl\w+|youth\w*|"
        r"boy\w*|girl\w*|mature|adult|kid|child\w*|bab(y|ies)|smooth|years?|crone",
    ),
    Guard(
        "pale skin",
        "dark skin",
        r"skin\w*|complexion|tan\w*|pale|dark|black|white|brown|african|asian|sunburnt|elf|alien",
    ),
    Guard(
        "blond hair", "black hair", r"hair\w*|blond\w*|brunette|redhead\w*|ginger|auburn|bald|grey|gray|old\w*|grand\w+"
    ),
    Guard("long hair", "short hair", r"hair\w*|bald|long|short|haircut|wom[ae]n|m[ae]n|girl|boy|lady|princess"),
)


@torch.no_grad()
def guard_axes(clip: Clip, prompt: Prompt, axis: Tensor) -> Tensor:
    """Unit vectors [K, D] in the CLIP's space of the qualities that a prompt, pointing along ``axis``, leaves out."""
    words = words_of(prompt.text)
    axes = []
    for guard in GUARDS:
        if any(re.fullmatch(guard.mentions, word) for word in words):
            continue
        difference = (clip.encode_prompt(guard.first) - clip.encode_prompt(guard.second)).cpu()
        quality = difference / difference.norm().clamp_min(1e-6)
        if abs(float(quality @ axis)) < ABOUT:
            axes.append(quality)
    return torch.stack(axes) if axes else torch.zeros(0, len(axis))
