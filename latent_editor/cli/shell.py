"""The entry point of the command line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

from latent_editor.cli.commands import (
    animate,
    batch,
    compare,
    convert,
    directions,
    doctor,
    drag,
    edit,
    fetch,
    generate,
    inspect,
    invert,
    mapper,
    mix,
    ops,
    prepare,
    random,
    repair,
)
from latent_editor.cli.parser import Parser
from latent_editor.core.errors import BadInput, BadValue, LatentEditorError, Stopped
from latent_editor.runtime.malloc import keep_freed_memory
from latent_editor.runtime.openmp import OPENMP_ENV
from latent_editor.version import __version__

#: In the order of the help.
_COMMANDS = (
    invert, repair, compare, edit, drag, batch, mix, animate, directions,
    random, generate, mapper, fetch, inspect, convert, prepare, ops, doctor,
)  # fmt: skip

#: Exit codes: invalid input; an incomplete installation; interrupted (128 + SIGINT).
BAD_INPUT, BROKEN, INTERRUPTED = 2, 1, 130


def build_parser() -> Parser:
    """The parser of the command line. The parsed arguments have ``run``, the function to call with them."""
    parser = Parser(prog="latent-editor", description="Edit portraits in the latent space of a GAN.")
    parser.add_argument("--version", action="version", version=f"latent-editor {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        argv: The arguments without the program name; None for ``sys.argv``.

    Returns:
        The exit code: 0 success, 2 invalid input, 1 incomplete installation, 130 interrupted.
    """
    os.environ.update({**OPENMP_ENV, **os.environ})  # before torch is imported
    keep_freed_memory()
    words = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in words
    try:
        arguments = build_parser().parse_args(words)
        result = arguments.run(arguments)
        print(json.dumps(result.data) if as_json else result.text, flush=True)
        return int(result.exit_code)
    except BrokenPipeError:
        # The reader of the pipe (`| head`) has exited; prevent another error when Python flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN
    except OSError as e:
        if e.filename is None:
            raise
        message = f"{str(e.filename)!r} cannot be used: {e.strerror}. Choose another path."
        return _fail(BadValue(message), BAD_INPUT, as_json)
    except Stopped as e:
        return _fail(e, INTERRUPTED, as_json)
    except LatentEditorError as e:
        return _fail(e, BAD_INPUT if isinstance(e, BadInput) else BROKEN, as_json)
    except ModuleNotFoundError as e:
        if e.name is None or e.name.split(".")[0] == "latent_editor":
            raise
        message = f"The package {e.name!r} is missing. Run `scripts/app` once, or `pip install -r requirements.txt`."
        return _fail(type(e)(message), BROKEN, as_json)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED


def _fail(error: Exception, exit_code: int, as_json: bool) -> int:
    print(f"latent-editor: {error}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": type(error).__name__, "message": str(error)}), flush=True)
    return exit_code
