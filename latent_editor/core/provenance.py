"""Where a direction comes from, as data: read by programs, written to files, and described in a line for people."""

from __future__ import annotations

import ast
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from latent_editor.core.errors import BadValue

#: Limits of what files may hold.
MAX_TEXT, MAX_TEXTS, MAX_NUMBER = 1200, 100, 1e9


@dataclass(frozen=True)
class Provenance:
    """How a direction was made. Fields that do not apply keep their defaults.

    Attributes:
        method: Algorithm within the direction's source: "fast", "global", "optimize" or "mapper" for text.
        prompt: The text that the direction was made from, as typed, with its negative parts.
        opposite: The text at the other end; None for a neutral person.
        doubts: Reasons to expect little of it, for people.
        component: Number of a component, from 1 (largest).
        decomposed: What that is a component of: "structure", "color", "the weights of all layers".
        share: Share of the variance that the component explains, 0..1.
        channel: (layer, channel) in StyleSpace.
        examples: Numbers of examples that have it and that lack it.
        accuracy: Share of held-out examples that are classified correctly, 0..1.
        file: Name of the file that it was imported from.
        disentangled_from: What it was made independent of, in the user's words.
        note: Anything else for people; programs do not read it.
    """

    method: str = ""
    prompt: str | None = None
    opposite: str | None = None
    doubts: tuple[str, ...] = ()
    component: int | None = None
    decomposed: str = ""
    share: float | None = None
    channel: tuple[int, int] | None = None
    examples: tuple[int, int] | None = None
    accuracy: float | None = None
    file: str = ""
    disentangled_from: tuple[str, ...] = ()
    note: str = ""

    def disentangled(self, texts: tuple[str, ...]) -> Provenance:
        """The provenance of the same direction after it was made independent of ``texts`` as well."""
        return replace(self, disentangled_from=tuple(dict.fromkeys((*self.disentangled_from, *texts))))

    def noted(self, note: str) -> Provenance:
        """The same with one more note."""
        return replace(self, note=", ".join(filter(None, (self.note, note))))

    def describe(self) -> str:
        """One line for people, such as "prompt 'red hair', fast, without 'age'"."""
        doubts = f"unsure: {'; '.join(self.doubts)}. " if self.doubts else ""
        return doubts + ", ".join(part for part in self._parts() if part)

    def _parts(self) -> tuple[str, ...]:
        without = ", ".join(repr(text) for text in self.disentangled_from)
        return (
            f"from {self.file}" if self.file else "",
            "" if self.component is None else f"component {self.component} of {self.decomposed}",
            "" if self.share is None else f"{self.share:.1%} of the variance",
            "" if self.channel is None else f"channel {self.channel[1]} of the style layer {self.channel[0]}",
            "" if self.examples is None else f"{self.examples[0]} and {self.examples[1]} examples",
            self.note,
            self._texts(),
            self.method,
            "" if self.accuracy is None else f"{self.accuracy:.0%} of held-out examples classified correctly",
            f"without {without}" if without else "",
        )

    def _texts(self) -> str:
        if self.prompt is None:
            return ""
        return f"prompt {self.prompt!r}" if self.opposite is None else f"{self.prompt!r} / {self.opposite!r}"

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults, as JSON; {} where nothing is known."""
        given = {f.name: getattr(self, f.name) for f in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
            if value != getattr(UNKNOWN, name)
        }

    @staticmethod
    def from_json(data: Any) -> Provenance:
        """Reads what :meth:`to_json` wrote, from a file that may come from anywhere.

        Raises:
            BadValue: no object, an unknown field, or a value of the wrong type or size.
        """
        if not isinstance(data, Mapping):
            raise BadValue(f"The provenance is {str(data)[:40]!r}; expected a JSON object.")
        unknown = sorted(str(key) for key in data if key not in _READERS)
        if unknown:
            raise BadValue(
                f"The provenance has the unknown field {unknown[0][:40]!r}; expected {', '.join(sorted(_READERS))}."
            )
        return Provenance(**{name: _READERS[name](value, name) for name, value in data.items()})

    @staticmethod
    def from_detail(source: str, detail: str) -> Provenance:
        """Recovers the provenance from the line that files of earlier versions hold in its place.

        Args:
            source: The direction's source; only that of "text" has a prompt.
            detail: The line, kept as it is: :meth:`describe` gives it back.
        """
        texts, rest = _disentangled_from(detail)
        read = _TEXT_DETAIL.fullmatch(rest) if source == "text" else None
        prompt = None if read is None else _literal(read["prompt"])
        if read is None or prompt is None:
            return Provenance(note=rest, disentangled_from=texts)
        doubts = () if read["doubts"] is None else (read["doubts"],)
        return Provenance(read["method"], prompt, doubts=doubts, note=read["note"] or "", disentangled_from=texts)


#: Nothing is known.
UNKNOWN = Provenance()


# Files of earlier versions.

#: A string as Python writes it.
_LITERAL = r"""(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
_TEXT_DETAIL = re.compile(
    rf"(?:unsure: (?P<doubts>.+?)\. )?(?:(?P<note>.+), )?prompt (?P<prompt>{_LITERAL}), (?P<method>\w+)", re.DOTALL
)
_WITHOUT = re.compile(rf", without (?P<texts>{_LITERAL}(?:, {_LITERAL})*)$", re.DOTALL)


def _disentangled_from(detail: str) -> tuple[tuple[str, ...], str]:
    """What a line says at its end that the direction was disentangled from, once or repeatedly, and the rest of it."""
    found: tuple[str, ...] = ()
    while (match := _WITHOUT.search(detail)) is not None:
        texts = [_literal(text) for text in re.findall(_LITERAL, match["texts"], re.DOTALL)]
        found, detail = (*(text for text in texts if text is not None), *found), detail[: match.start()]
    return tuple(dict.fromkeys(found)), detail


def _literal(text: str) -> str | None:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, str) else None


# Values in files.


def _text(value: Any, name: str) -> str:
    if (
        not isinstance(value, str)
        or len(value) > MAX_TEXT
        or any(unicodedata.category(c) in ("Cc", "Cs") for c in value)
    ):
        raise BadValue(f"The provenance's {name} is {str(value)[:40]!r}; expected at most {MAX_TEXT} characters.")
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_TEXTS:
        raise BadValue(f"The provenance's {name} is {str(value)[:40]}; expected a list of at most {MAX_TEXTS} texts.")
    return tuple(_text(item, name) for item in value)


def _whole(value: Any, name: str) -> int:
    if type(value) is not int or not 0 <= value < MAX_NUMBER:
        raise BadValue(f"The provenance's {name} is {str(value)[:40]!r}; expected a whole number from 0.")
    return value


def _pair(value: Any, name: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise BadValue(f"The provenance's {name} is {str(value)[:40]!r}; expected two whole numbers.")
    return _whole(value[0], name), _whole(value[1], name)


def _share(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise BadValue(f"The provenance's {name} is {str(value)[:40]!r}; expected a number from 0 to 1.")
    return float(value)


_READERS: Mapping[str, Callable[[Any, str], Any]] = {
    "method": _text,
    "prompt": _text,
    "opposite": _text,
    "doubts": _texts,
    "component": _whole,
    "decomposed": _text,
    "share": _share,
    "channel": _pair,
    "examples": _pair,
    "accuracy": _share,
    "file": _text,
    "disentangled_from": _texts,
    "note": _text,
}
