"""``batch FOLDER --recipe FILE -o OUT``: applies a recipe to all photos of a folder."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import check_output_folder
from latent_editor.cli.parser import Result, add_command, add_face, positive_number
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Step
    from latent_editor.recipes.batch import PhotoResult


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "batch", run, about="Apply a recipe to all photos of a folder. Run it again to resume."
    )
    parser.add_argument("folder", metavar="FOLDER")
    parser.add_argument(
        "--recipe", required=True, metavar="FILE", help="recipe saved by “edit --save-recipe” or in the app"
    )
    parser.add_argument("-o", "--output", required=True, metavar="OUT", help="output folder")
    parser.add_argument("--method", default="auto", metavar="M", help="auto (default), encoder, w or w+")
    parser.add_argument(
        "--seconds", type=positive_number, default=20.0, metavar="S", help="time limit per photo (default: 20)"
    )
    parser.add_argument("--paste", action="store_true", help="paste each face back into its photo")
    add_face(parser)


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.recipes.batch import DONE, FAILED, NO_FACE, UP_TO_DATE, BatchConfig, BatchEditor, photos_in

    output = check_output_folder(arguments.output)
    photos = photos_in(arguments.folder)
    recipe = le.Recipe.load(arguments.recipe)
    g = le.load_generator(arguments.model)
    own = recipe.fingerprint == g.fingerprint
    show_preparation(g, *(("faces",) if own else ()))
    config = BatchConfig(arguments.method, arguments.seconds, arguments.face, arguments.paste)
    batch = BatchEditor(g, recipe, output, config)
    with stop_on_interrupt() as stopped, ProgressBar("Editing") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        outcomes = batch.edit(photos, on_photo=_print_problem, on_step=on_step)
    counts = {status: sum(o.status == status for o in outcomes) for status in (DONE, UP_TO_DATE, NO_FACE, FAILED)}
    rows = [
        {
            "photo": str(o.photo),
            "status": o.status,
            "output": None if o.output is None else str(o.output),
            "psnr_db": o.psnr_db,
            "message": o.message,
        }
        for o in outcomes
    ]
    data = {"model": g.name, "output": str(output), "counts": counts, "photos": rows}
    parts = [f"{counts[DONE]} edited", f"{counts[UP_TO_DATE]} already done"]
    parts += [f"{counts[NO_FACE]} without a face"] if counts[NO_FACE] else []
    parts += [f"{counts[FAILED]} failed"] if counts[FAILED] else []
    return Result(data, f"{output}: {', '.join(parts)}", 1 if counts[FAILED] else 0)


def _print_problem(outcome: PhotoResult) -> None:
    """Prints a line for each photo that could not be edited."""
    if outcome.message:
        print(f"{outcome.photo.name}: {outcome.message}", file=sys.stderr)
