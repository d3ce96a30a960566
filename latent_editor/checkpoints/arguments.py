"""Validation of constructor arguments from untrusted files, before anything is built from them."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Mapping
from typing import Any

from latent_editor.core.errors import BadModel


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Checks an integer from ``low`` to ``high``.

    Raises:
        BadModel: anything else.
    """
    number = _number(value)
    if number is None or not low <= number <= high or number != int(number):
        raise BadModel(
            f"The model's file gives {name} = {_short_repr(value)}; expected an integer from {low} to {high}. "
            "Is the file damaged?"
        )
    return int(number)


def real(name: str, value: Any, low: float, high: float) -> float:
    """Checks a number from ``low`` to ``high``; an int stays an int.

    Raises:
        BadModel: anything else, such as text or NaN.
    """
    number = _number(value)
    if number is None or not low <= number <= high:
        raise BadModel(
            f"The model's file gives {name} = {_short_repr(value)}; expected a number from {low:g} to {high:g}. "
            "Is the file damaged?"
        )
    return number


def choice(name: str, value: Any, allowed: Collection[str]) -> str:
    """Checks one of the names in ``allowed``.

    Raises:
        BadModel: anything else.
    """
    if not isinstance(value, str) or value not in allowed:
        raise BadModel(
            f"The model's file gives {name} = {_short_repr(value)}; expected one of {', '.join(allowed)}. "
            "Other variants are not supported."
        )
    return value


def boolean(name: str, value: Any) -> bool:
    """Checks a boolean.

    Raises:
        BadModel: anything else.
    """
    number = _number(value) if not isinstance(value, bool) else int(value)
    if number not in (0, 1):
        raise BadModel(
            f"The model's file gives {name} = {_short_repr(value)}; expected true or false. Is the file damaged?"
        )
    return bool(number)


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Checks a mapping with string keys; None is an empty one.

    Raises:
        BadModel: anything else.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise BadModel(
            f"The model's file gives {name} = {_short_repr(value)}; expected arguments by name. Is the file damaged?"
        )
    return dict(value)


def refuse_unknown(kind: str, arguments: Mapping[str, Any], known: Collection[str], harmless: Collection[str]) -> None:
    """Refuses unknown arguments, which could change the images; those set to None are ignored.

    Raises:
        BadModel: names the first unknown argument.
    """
    for name, value in arguments.items():
        if name not in known and name not in harmless and value is not None:
            raise BadModel(
                f"The model's file gives {kind} the argument {_short_repr(name)} = {_short_repr(value)}, which its "
                "public versions do not have. Convert the file with the software that made it."
            )


def _number(value: Any) -> int | float | None:
    """``value`` as a Python number (from NumPy too), or None."""
    if isinstance(value, (bool, str, bytes)) or value is None:
        return None
    try:
        return operator.index(value)
    except TypeError:
        pass
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if math.isfinite(number) else None


def _short_repr(value: Any) -> str:
    """A short repr of anything, for error messages."""
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"
    text = repr(value) if isinstance(value, (str, int, float, bool, type(None), tuple, list)) else type(value).__name__
    return text if len(text) <= 60 else text[:57] + "…"
