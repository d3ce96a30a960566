"""Shared parts of the command-line parsers."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from latent_editor.core.errors import BadValue

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction["Parser"]


class Parser(argparse.ArgumentParser):
    """A parser that raises BadValue, so that usage errors are reported like other bad input."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        raise BadValue(f"{message[0].upper()}{message[1:].rstrip('.')}. See `{self.prog} --help`.")


@dataclass(frozen=True)
class Result:
    """The output of a command.

    Attributes:
        data: The output of ``--json``.
        text: The human-readable output.
        exit_code: Nonzero if the command ran, but found a problem.
    """

    data: dict[str, Any]
    text: str
    exit_code: int = 0


def add_command(commands: Commands, name: str, run: Callable[[argparse.Namespace], Result], *, about: str) -> Parser:
    """Adds a command with the common options."""
    parser = commands.add_parser(name, help=about, description=about)
    parser.add_argument(
        "--model", default="portraits", metavar="MODEL", help="a name in weights/ or a path (default: portraits)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.set_defaults(run=run)
    return parser


def add_face(parser: Parser) -> None:
    parser.add_argument(
        "--face",
        type=whole_number,
        default=0,
        metavar="N",
        help="which face to use if there are several (default: 0, the largest)",
    )


def number(text: str) -> float:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"got {shorten(text)!r}, expected a number")
    return value


def positive_number(text: str) -> float:
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"got {text}, expected a number above 0")
    return value


def whole_number(text: str) -> int:
    """A nonnegative integer that is a valid seed."""
    if not (text.isascii() and text.isdigit() and int(text[:20]) < 2**63):
        raise argparse.ArgumentTypeError(f"got {shorten(text)!r}, expected an integer from 0")
    return int(text)


def name_and_strength(text: str) -> tuple[str, float]:
    """ "age=-1.5" → ("age", -1.5); the name may contain equal signs."""
    name, equals, strength = text.rpartition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f'got {shorten(text)!r}, expected a name and a number, as in "age=1.5"')
    return name.strip(), number(strength)


def shorten(text: str, length: int = 60) -> str:
    return text if len(text) <= length else f"{text[:length]}…"
