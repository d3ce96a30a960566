"""What may be typed as a prompt, and what is read from it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from latent_editor.errors import BadPrompt

MAX_LENGTH = 300
_EXAMPLE = "Type a few words such as “red hair”, “an old woman” or “young → old”."
_ARROW = re.compile(r"\s*(?:→|⇒|➔|[-=]+>)\s*")
_ASK = re.compile(
    r"^(?:please\s+)?(?:(?:make|turn|give|change)\b(?:\s+(?:her|him|them|me|it|this|the\s+(?:person|face|man|woman)))?"
    r"(?:\s+(?:look|into|to|be|have))?(?:\s+like)?|add|put\s+on|more)\s+",
    re.IGNORECASE,
)
_DENY = re.compile(
    r"^(?:please\s+)?(?:without|no|not|remove|less|take\s+off)\s+(?:(?:the|any|his|her)\s+)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Prompt:
    """A prompt that was read.

    Attributes:
        text: As typed, with single spaces: the slider's name.
        source, target: From what to what; None stands for a person of whom nothing is said.
    """

    text: str
    source: str | None
    target: str | None


def read_prompt(prompt: str) -> Prompt:
    """Reads "red hair", "young → old" (or ``->``), "make her smile", "without a beard".

    Raises:
        BadPrompt: not text, empty, without a letter, longer than :data:`MAX_LENGTH`, with control characters, or with
            an arrow that lacks a side.
    """
    if not isinstance(prompt, str):
        raise BadPrompt(f"Got a prompt of type {type(prompt).__name__}; expected text. {_EXAMPLE}")
    if len(prompt) > MAX_LENGTH:
        raise BadPrompt(
            f"Got a prompt of {len(prompt):,} characters; expected at most {MAX_LENGTH}. Say it in a few words."
        )
    text = " ".join(prompt.split())
    bad = [c for c in text if unicodedata.category(c) in ("Cc", "Cs")]
    if bad:
        raise BadPrompt(
            f"The prompt holds the control character U+{ord(bad[0]):04X}; expected plain text. Type it again."
        )
    if not text:
        raise BadPrompt(f"Got an empty prompt. {_EXAMPLE}")
    if not any(c.isalpha() for c in text):
        raise BadPrompt(f"The prompt {text!r} holds no letter; expected words. {_EXAMPLE}")
    sides = _ARROW.split(text)
    if len(sides) == 1:
        denied = _DENY.sub("", text)
        if denied and denied != text:
            return Prompt(text, denied, None)
        return Prompt(text, None, _ASK.sub("", text) or text)
    if len(sides) > 2 or not all(any(c.isalpha() for c in s) for s in sides):
        raise BadPrompt(f"The prompt {text!r} holds an arrow without one text on each side. {_EXAMPLE}")
    return Prompt(text, sides[0], sides[1])
