"""``directions fit`` and ``directions clean``: sliders that a user asks for, in words or by examples."""

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
    fit.add_argument("more", metavar="MORE", help='a description, as "with a beard", or a folder of photographs')
    fit.add_argument("less", metavar="LESS", nargs="?", help="the same for the other end (default: anybody)")
    _add_common(fit, "what it shall leave alone, as a slider's name or in words (repeatable)")
    fit.set_defaults(run=run_fit)
    about = "Make a slider that leaves alone what another changes besides what it says."
    clean = commands.add_parser("clean", help=about, description=about)
    clean.add_argument("direction", metavar="NAME", help="a slider of the model")
    _add_common(clean, "what it shall leave alone (repeatable; default: what it changes most besides its own)")
    clean.set_defaults(run=run_clean)


def _add_common(parser: Parser, clean: str) -> None:
    parser.add_argument("--clean", action="append", default=[], metavar="TEXT", help=clean)
    parser.add_argument("--name", help="what to call it")
    # Without defaults: those of `directions` itself hold, also where its options came before.
    parser.add_argument("--model", default=argparse.SUPPRESS, metavar="MODEL", help="a name, or a path")
    parser.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object, last")


def run_fit(arguments: argparse.Namespace) -> Result:
    from latent_editor.directions import fit_direction, fit_direction_from_examples

    g = le.load_generator(arguments.model)
    more, less = arguments.more, arguments.less
    folders = [Path(text).is_dir() for text in (more, less or "")]
    with ProgressBar("Fitting") as bar:
        if folders[0] != folders[1] and any(folders):
            raise le.BadValue(f"Got {more!r} and {less!r}; expected two folders of photographs, or two descriptions.")
        if all(folders):
            piles = [_encoded(g, Path(folder), bar) for folder in (more, less)]
            name = arguments.name or Path(more).name
            found = fit_direction_from_examples(
                g, piles[0], piles[1], name=name, clean=arguments.clean, on_step=bar.show
            )
        else:
            found = fit_direction(g, more, less, clean=arguments.clean, name=arguments.name, on_step=bar.show)
    return keep(g, [found])


def run_clean(arguments: argparse.Namespace) -> Result:
    from latent_editor.cli.commands.edit import find_direction
    from latent_editor.directions import disentangle_direction

    g = le.load_generator(arguments.model)
    before = find_direction(le.named_directions(g), arguments.direction)
    with ProgressBar("Cleaning") as bar:
        found = disentangle_direction(g, before, arguments.clean or None, on_step=bar.show)
    return keep(g, [found.renamed(arguments.name or f"{before.name}, clean")])


def _encoded(g: Generator, folder: Path, bar: ProgressBar) -> Tensor:
    """The faces of a folder's photographs as ws [N, num_ws, w_dim]; photographs without one are passed over."""
    import torch

    from latent_editor.core.values import Step

    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES)
    found = []
    for i, path in enumerate(paths):
        try:
            crop = le.align(le.open_photo(path), g)
            found.append(le.invert(g, crop, method="encoder").ws)
        except le.NoFaceFound:
            pass  # told below where too few are left
        bar.show(Step(i + 1, len(paths), 0.0, (i + 1) / len(paths), label=f"Reading {folder.name}"))
    if not found:
        raise le.BadValue(f"{folder} holds no photograph of a face among {len(paths)} pictures. Choose another folder.")
    return torch.stack(found)


def keep(g: Generator, directions: list[Direction]) -> Result:
    """Adds directions to the model's list, and tells what they are."""
    from latent_editor.directions.slider_pack import add_to_pack, pack_file

    add_to_pack(g, le.Directions(directions))
    lines, rows = [], []
    for d in directions:
        leaks = sorted((d.entanglement or {}).items(), key=lambda item: -item[1])
        lines.append(f"{d.name}: {d.low:+.1f} to {d.high:+.1f}, {d.detail}")
        lines.append("  changes " + (", ".join(f"{name} {value:.1f}" for name, value in leaks) or "unmeasured"))
        rows.append(row_of(d))
    use = f'Sliders of {g.name!r} now; for example: edit --set "{directions[0].name}=1"'
    data = {"model": g.name, "directions": rows, "output": str(pack_file(g))}
    return Result(data, "\n".join([*lines, use]))


def row_of(d: Direction) -> dict[str, object]:
    """What a program wants to know of a direction."""
    return {**d.facts(), "space": d.space}
