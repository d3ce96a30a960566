"""``directions fit`` and ``directions disentangle``: new sliders, from descriptions or from examples."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.parser import Parser, Result
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from torch import Tensor

    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Direction
    from latent_editor.generators import Generator

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".avif")


def add(commands: Commands) -> None:
    """Declares the commands below ``directions``."""
    about = "Make a slider between two descriptions, or between two folders of photographs."
    fit = commands.add_parser("fit", help=about, description=about)
    fit.add_argument("more", metavar="MORE", help='a description such as "with a beard", or a folder of photographs')
    fit.add_argument("less", metavar="LESS", nargs="?", help="the same for the negative end (default: an average face)")
    _add_common(fit, "an attribute to preserve: a slider or a description (repeatable)")
    fit.set_defaults(run=run_fit)
    about = "Make a slider from another one, without the other attributes that it also changes."
    disentangle = commands.add_parser("disentangle", help=about, description=about)
    disentangle.add_argument("direction", metavar="NAME", help="a slider of the model")
    _add_common(disentangle, "an attribute to preserve (repeatable; default: the most entangled ones)")
    disentangle.set_defaults(run=run_disentangle)


def _add_common(parser: Parser, about: str) -> None:
    parser.add_argument("--disentangle", action="append", default=[], metavar="ATTRIBUTE", help=about)
    parser.add_argument("--name", help="name of the new slider")
    # No defaults: they would overwrite options given before the subcommand.
    parser.add_argument("--model", default=argparse.SUPPRESS, metavar="MODEL", help="a name, or a path")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object, last")


def run_fit(arguments: argparse.Namespace) -> Result:
    from latent_editor.directions import fit_direction, fit_direction_from_examples

    g = le.load_generator(arguments.model)
    more, less = arguments.more, arguments.less
    folders = [text is not None and Path(text).is_dir() for text in (more, less)]
    with ProgressBar("Fitting") as bar:
        if folders[0] != folders[1] and any(folders):
            raise le.BadValue(f"Got {more!r} and {less!r}; expected two folders of photographs, or two descriptions.")
        if all(folders):
            examples = [_encoded(g, Path(folder), bar) for folder in (more, less)]
            name = arguments.name or Path(more).name
            found = fit_direction_from_examples(
                g, examples[0], examples[1], name=name, preserve=arguments.disentangle, on_step=bar.show
            )
        else:
            found = fit_direction(g, more, less, preserve=arguments.disentangle, name=arguments.name, on_step=bar.show)
    return add_sliders(g, [found])


def run_disentangle(arguments: argparse.Namespace) -> Result:
    from latent_editor.cli.commands.edit import find_direction
    from latent_editor.directions import disentangle_direction

    g = le.load_generator(arguments.model)
    before = find_direction(le.named_directions(g), arguments.direction)
    with ProgressBar("Disentangling") as bar:
        found = disentangle_direction(g, before, arguments.disentangle or None, on_step=bar.show)
    return add_sliders(g, [found.renamed(arguments.name or f"{before.name}, clean")])


def _encoded(g: Generator, folder: Path, bar: ProgressBar) -> Tensor:
    """Encodes the faces of a folder of photographs as ws [N, num_ws, w_dim]; skips photographs without a face."""
    import torch

    from latent_editor.core.values import Step

    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    found = []
    for i, path in enumerate(paths):
        try:
            crop = le.align(le.open_photo(path), g)
            found.append(le.invert(g, crop, method="encoder").ws)
        except le.NoFaceFound:
            pass  # reported below if none is left
        bar.show(Step(i + 1, len(paths), 0.0, (i + 1) / len(paths), label=f"Reading {folder.name}"))
    if not found:
        raise le.BadValue(f"{folder} holds no photograph of a face among {len(paths)} pictures. Choose another folder.")
    return torch.stack(found)


def add_sliders(g: Generator, directions: list[Direction]) -> Result:
    """Adds directions to the model's slider pack, and describes them under the names that they have there."""
    from latent_editor.directions.library import add_directions
    from latent_editor.directions.slider_pack import pack_file

    listed = add_directions(g, le.Directions(directions))
    lines, rows = [], []
    for d in listed:
        leaks = sorted((d.entanglement or {}).items(), key=lambda item: -item[1])
        lines.append(f"{d.name}: {d.low:+.1f} to {d.high:+.1f}, {d.detail}")
        lines.append("  changes " + (", ".join(f"{name} {value:.1f}" for name, value in leaks) or "unmeasured"))
        rows.append(row_of(d))
    use = f'Added to the sliders of {g.name!r}; for example: edit --set "{listed[0].name}=1"'
    data = {"model": g.name, "directions": rows, "output": str(pack_file(g))}
    return Result(data, "\n".join([*lines, use]))


def row_of(d: Direction) -> dict[str, object]:
    """A direction as a row of ``--json``."""
    return {**d.facts(), "space": d.space}
