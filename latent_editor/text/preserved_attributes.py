"""What a prompt shall leave alone: the qualities that it does not mention."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.networks.clip import ClipModel, words_of
from latent_editor.text.prompts import Prompt

#: A prompt whose axis has this cosine with a guard's is about that quality, in whatever words. The nearer it comes, the
#: less firmly the guard is held: a beard cannot come without any of what tells men from women.
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
def guard_qualities(clip: ClipModel) -> Tensor:
    """Unit vectors [len(GUARDS), D]: each guard's first text minus its second, in the CLIP's space."""
    differences = torch.stack([clip.encode_prompt(g.first) - clip.encode_prompt(g.second) for g in GUARDS]).cpu()
    return F.normalize(differences, dim=1)


def guard_axes(qualities: Tensor, prompt: Prompt, axis: Tensor) -> tuple[Tensor, Tensor]:
    """Those of :func:`guard_qualities` that a prompt, pointing along ``axis`` [D], does not name.

    Returns:
        [K, D], and [K], 0..1, how firmly each is to be held.
    """
    words = words_of(" ".join(side for side in (prompt.source, prompt.target) if side))
    named = torch.tensor([any(re.fullmatch(g.mentions, word) for word in words) for g in GUARDS])
    weight = 1 - ((qualities @ axis) / ABOUT).square().clamp(max=1)
    keep = ~named & (weight > 0)
    return qualities[keep], weight[keep]
