"""``directions``: lists the sliders of a model; ``directions import FILE`` adds some."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.commands import directions_import
from latent_editor.cli.parser import Result, add_command
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.generators import Generator
    from latent_editor.types import Directions


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "directions", run, about="List the sliders of a model: name, safe range, source, score."
    )
    parser.add_argument("--rebuild", action="store_true", help="find them anew and keep them in the model's folder")
    directions_import.add(parser)


def _rebuild(g: Generator) -> Directions:
    from latent_editor.directions import DIRECTIONS_FILE, build_directions, write_directions

    if g.bundle.folder is None:
        raise le.MissingPart(f"The model {g.name!r} has no folder to keep its directions in. Load it from one.")
    with ProgressBar("Finding directions") as bar:
        directions = build_directions(g, on_step=bar.show)
    write_directions(directions, g.bundle.folder / DIRECTIONS_FILE, fingerprint=g.fingerprint)
    return directions


def run(arguments: argparse.Namespace) -> Result:
    g = le.load_generator(arguments.model)
    if not arguments.rebuild:
        show_preparation(g)
    directions = _rebuild(g) if arguments.rebuild else le.named_directions(g)
    rows = [
        {"name": d.name, "low": d.low, "high": d.high, "source": d.source, "score": d.score, "layers": d.layers}
        for d in directions
    ]
    width = max([len(d.name) for d in directions], default=4)
    lines = [f"{'name':<{width}}    low   high  source    score"]
    for d in directions:
        score = "" if d.score is None else f"{d.score:5.2f}"
        lines.append(f"{d.name:<{width}}  {d.low:+5.1f}  {d.high:+5.1f}  {d.source:<8}  {score}".rstrip())
    return Result({"model": g.name, "directions": rows}, "\n".join(lines))
