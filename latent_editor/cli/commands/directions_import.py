"""``directions import FILE``: imports directions of other projects as sliders of a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import check_output
from latent_editor.cli.parser import Result, whole_number
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Direction, Step
    from latent_editor.generators import Generator


def add(commands: Commands) -> None:
    """Declares the command below ``directions``."""
    about = "Import directions of other projects (InterFaceGAN, GANSpace, e4e, PTI, STIT, …) as sliders."
    below = commands.add_parser("import", help=about, description=about)
    below.add_argument("file", nargs="?", metavar="FILE", help=".npy, .npz, .pt, .pkl, .safetensors or JSON")
    below.add_argument("--name", help="name of the slider (default: the name in the file, or the file name)")
    below.add_argument(
        "--count", type=whole_number, metavar="N", help="how many to import from a file of several (default: 12)"
    )
    below.add_argument(
        "-o",
        "--output",
        metavar="OUT.safetensors",
        help="write them to this file instead of adding them to the sliders",
    )
    below.add_argument("--list", action="store_true", help="list the imported directions of the model")
    below.add_argument("--remove", metavar="NAME", help="remove an imported direction")
    # No defaults: they would overwrite options given before the subcommand.
    below.add_argument("--model", default=argparse.SUPPRESS, metavar="MODEL", help="a name, or a path")
    below.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object, last")
    below.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Result:
    actions = [arguments.file is not None, arguments.list, arguments.remove is not None]
    if sum(actions) != 1:
        raise le.BadValue("Expected one of a FILE, --list or --remove NAME. `latent-editor directions import --help`.")
    if arguments.output is not None:
        check_output(arguments.output, ".safetensors")
    g = le.load_generator(arguments.model)
    if arguments.list:
        return _list(g)
    if arguments.remove is not None:
        return _remove(g, arguments.remove)
    return _import(g, arguments)


def _list(g: Generator) -> Result:
    from latent_editor.directions.library import imported_directions
    from latent_editor.directions.slider_pack import pack_file

    imported = imported_directions(g)
    lines = [f"{d.name}: {d.detail}" for d in imported] or [f"{g.name!r} has no imported directions."]
    data = {"model": g.name, "file": str(pack_file(g)), "directions": [_row(d) for d in imported]}
    return Result(data, "\n".join(lines))


def _remove(g: Generator, name: str) -> Result:
    from latent_editor.directions.library import remove_direction

    removed = remove_direction(g, name)
    return Result(
        {"model": g.name, "removed": removed.name}, f"{removed.name}: removed from the sliders of {g.name!r}."
    )


def _import(g: Generator, arguments: argparse.Namespace) -> Result:
    from latent_editor.directions.imports import import_file
    from latent_editor.directions.io import write_directions
    from latent_editor.directions.library import add_directions
    from latent_editor.directions.slider_pack import pack_file

    with ProgressBar("Importing") as bar, stop_on_interrupt() as stopped:

        def show(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        found = import_file(arguments.file, g, name=arguments.name, count=arguments.count, on_step=show)
    if arguments.output is None:
        output, directions = pack_file(g), add_directions(g, found.directions)
        use = f'Added to the sliders of {g.name!r}; for example: edit --set "{directions[0].name}=1"'
    else:
        output, directions = check_output(arguments.output, ".safetensors"), found.directions
        write_directions(found.directions, output, fingerprint=g.fingerprint)
        use = f"Written to {output}. Add them as sliders with `latent-editor directions import {output}`."
    lines = [f"{d.name}: {d.low:+.1f} to {d.high:+.1f}, {d.detail}" for d in directions]
    if len(directions) < found.in_file:
        lines.append(f"The first {len(directions)} of {found.in_file}; --count {found.in_file} imports all.")
    lines += [f"Note: {found.caution}"] if found.caution else []
    data = {
        "model": g.name,
        "directions": [_row(d) for d in directions],
        "in_file": found.in_file,
        "caution": found.caution,
        "output": str(output),
    }
    return Result(data, "\n".join([*lines, use]))


def _row(d: Direction) -> dict[str, object]:
    return {"name": d.name, "low": d.low, "high": d.high, "layers": d.layers, "detail": d.detail}
