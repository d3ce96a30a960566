"""``directions``: lists the sliders of a model; its subcommands add and remove some."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.commands import directions_channels, directions_fit, directions_import
from latent_editor.cli.parser import Result, add_command
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Directions
    from latent_editor.generators import Generator


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "directions", run, about="List the sliders of a model: name, safe range, source, score."
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="discover them again, and save them in the model's folder"
    )
    commands_below = parser.add_subparsers(
        title="commands", metavar="[import|fit|disentangle|channels]", required=False
    )
    directions_import.add(commands_below)
    directions_fit.add(commands_below)
    directions_channels.add(commands_below)


def _rebuild(g: Generator) -> Directions:
    from latent_editor.directions import DIRECTIONS_FILE, build_directions, write_directions
    from latent_editor.directions.measurement import TRIAL_PX
    from latent_editor.generators.preview import small

    if g.bundle.folder is None:
        raise le.MissingPart(f"The model {g.name!r} has no folder to keep its directions in. Load it from one.")
    with ProgressBar("Finding directions") as bar:
        directions = build_directions(small(g, TRIAL_PX), on_step=bar.show)
    write_directions(directions, g.bundle.folder / DIRECTIONS_FILE, fingerprint=g.fingerprint)
    return directions


def run(arguments: argparse.Namespace) -> Result:
    g = le.load_generator(arguments.model)
    if not arguments.rebuild:
        show_preparation(g)
    directions = _rebuild(g) if arguments.rebuild else le.named_directions(g)
    rows = [directions_fit.row_of(d) for d in directions]
    width = max([len(d.name) for d in directions], default=4)
    lines = [f"{'name':<{width}}    low   high  source      score   own  most else"]
    for d in directions:
        score = "" if d.score is None else f"{d.score:5.2f}"
        row = dict(d.entanglement or {})
        own = f"{row.pop('own'):4.1f}" if "own" in row else "    "
        row.pop("identity", None)
        most = max(row, key=lambda name: row[name], default="")
        leak = f"{most} {row[most]:.1f}" if most else ""
        line = f"{d.name:<{width}}  {d.low:+5.1f}  {d.high:+5.1f}  {d.source:<10}  {score:5}  {own}  {leak}"
        lines.append(line.rstrip())
    return Result({"model": g.name, "directions": rows}, "\n".join(lines))
