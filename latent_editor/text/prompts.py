"""Parsing of prompts."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from latent_editor.core.errors import BadPrompt

MAX_LENGTH = 300
_EXAMPLE = "Type a few words such as “red hair”, “an old woman” or “young → old”."
_ARROW = re.compile(r"\s*(?:→|⇒|➔|[-=]+>)\s*")
_ASK = re.compile(
    r"^(?:please\s+)?(?:(?:make|turn|give|change)\b(?:\s+(?:her|him|them|me|it|this|the\s+(?:person|face|man|woman)))?"
    r"(?:\s+(?:look|into|to|be|have))?(?:\s+like)?|add|put\s+on|more)\s+",
    re.IGNORECASE,
)
_WITHOUT = re.compile(
    r"^(?:please\s+)?(?:without|no|not|remove|less|take\s+off)\s+(?:(?:the|any|his|her)\s+)?", re.IGNORECASE
)
#: Begins a negative part: "red hair | not make-up", "old, but not bald".
_NEGATIVE = re.compile(
    r"\s*(?:\||;|,|\bbut\b)(?:\s*(?:and|but)\b)?\s*\b(?:not|no|without)\b(?:\s+(?:the|any|his|her)\b)?\s*",
    re.IGNORECASE,
)
#: Negative parts at most: each restricts the direction.
MAX_NEGATIVE = 8


@dataclass(frozen=True)
class Prompt:
    """A parsed prompt.

    Attributes:
        text: As typed, with single spaces: the slider's name.
        source, target: The two sides; None stands for a neutral person.
        without: The negative parts: attributes to preserve.
    """

    text: str
    source: str | None
    target: str | None
    without: tuple[str, ...] = ()


def read_prompt(prompt: str, *, without: Sequence[str] = ()) -> Prompt:
    """Parses "red hair", "young → old" (or ``->``), "make her smile", "without a beard", "red hair | not make-up".

    Args:
        prompt: What was typed.
        without: More negative parts; they become part of ``text``, as if they had been typed.

    Raises:
        BadPrompt: not text, empty, without a letter, longer than :data:`MAX_LENGTH`, with control characters, with an
            arrow that lacks a side, or with an empty negative part.
    """
    if isinstance(without, str):
        without = (without,)
    whole = " | not ".join([_checked(prompt), *(_checked(part) for part in without)])
    asked, *negative = _NEGATIVE.split(whole)
    if not asked:  # "without a beard" alone is not a negative part
        asked, negative = whole, []
    empty = not all(any(c.isalpha() for c in part) for part in (asked, *negative))
    if empty or len(negative) > MAX_NEGATIVE:
        raise BadPrompt(
            f"Got {len(negative)} parts after “not” in {whole!r}; expected words in each of them, and at most "
            f"{MAX_NEGATIVE}. Type it like “red hair | not make-up”."
        )
    source, target = _sides(asked)
    return Prompt(whole, source, target, tuple(negative))


def _sides(text: str) -> tuple[str | None, str | None]:
    """The source and the target of a text."""
    sides = _ARROW.split(text)
    if len(sides) == 1:
        negated = _WITHOUT.sub("", text)
        if negated and negated != text:
            return negated, None
        return None, _ASK.sub("", text) or text
    if len(sides) > 2 or not all(any(c.isalpha() for c in s) for s in sides):
        raise BadPrompt(f"The prompt {text!r} holds an arrow without one text on each side. {_EXAMPLE}")
    return sides[0], sides[1]


def _checked(prompt: str) -> str:
    """A prompt with single spaces. Raises BadPrompt."""
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
    return text
