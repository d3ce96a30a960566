"""``drag FACE.latent -o OUT.png --from X,Y --to X,Y``: moves points of an image (DragGAN)."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, number, positive_number, shorten
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    import numpy as np

    from latent_editor.cli.parser import Commands
    from latent_editor.editing.point_drag import DragStep


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "drag", run, about="Drag points of an image to new places. Ctrl-C keeps the best result so far."
    )
    parser.add_argument("latent", metavar="FACE.latent")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png")
    for name, what in (("--from", "handle point"), ("--to", "target point of the handle at the same position")):
        parser.add_argument(
            name,
            dest=f"{name[2:]}_points",
            action="append",
            default=[],
            type=_point,
            metavar="X,Y",
            help=f"{what}, as fractions of the image's width and height (repeatable)",
        )
    parser.add_argument("--mask", metavar="FILE", help="image of the same size, white where the face may change")
    parser.add_argument("--seconds", type=positive_number, default=10.0, metavar="S", help="time limit (default: 10)")
    parser.add_argument("--latent", dest="latent_output", metavar="OUT.latent", help="also save the new latent")
    parser.add_argument("--save-recipe", metavar="FILE", help="save the drag as a recipe")


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.core import tensor_files
    from latent_editor.media import exports

    output = check_output(arguments.output, PICTURE_SUFFIX)
    latent_output = check_output(arguments.latent_output) if arguments.latent_output else None
    recipe_output = check_output(arguments.save_recipe) if arguments.save_recipe else None
    starts, ends = arguments.from_points, arguments.to_points
    if len(starts) != len(ends):
        raise le.BadValue(f"Got {len(starts)} --from and {len(ends)} --to; expected one --to for each --from.")
    handles = list(zip(starts, ends, strict=True))
    latent = le.Latent.load(arguments.latent)
    g = le.load_generator(arguments.model)
    mask = _read_mask(arguments.mask) if arguments.mask else None
    started = time.perf_counter()
    last: list[DragStep] = []
    with stop_on_interrupt() as stopped, ProgressBar("Dragging") as bar:

        def on_step(step: DragStep) -> bool:
            bar.show(replace(step, image=None))
            last[:] = [step]
            return stopped.is_set()

        moved = le.drag(g, latent, handles, mask=mask, seconds=arguments.seconds, on_step=on_step)
    seconds = time.perf_counter() - started
    edit = le.Edit(le.drag_direction(latent, moved, handles), 1.0)
    if recipe_output is not None:
        le.Recipe.of([edit], g).save(recipe_output)
    if latent_output is not None:
        moved.save(latent_output)
    tensor_files.write_bytes(output, exports.png_bytes(le.render(g, moved), model=g.name, edits=[edit]))
    asked = sum(math.dist(start, end) for start, end in handles) / len(handles)
    share = 1 - last[-1].remaining / asked if last else 0.0
    data = {
        "points": [list(point) for point in last[-1].points] if last else [list(point) for point in starts],
        "moved": round(share, 3),
        "steps": last[-1].step if last else 0,
        "seconds": round(seconds, 2),
        "stopped": stopped.is_set(),
        "model": g.name,
        "latent": str(latent_output) if latent_output else None,
        "output": str(output),
    }
    return Result(data, f"{output}: {share:.0%} of the way in {data['steps']} steps, {seconds:.1f} s")


def _point(text: str) -> tuple[float, float]:
    x, comma, y = text.partition(",")
    if not comma:
        raise argparse.ArgumentTypeError(f'got {shorten(text)!r}, expected two numbers, as in "0.40,0.78"')
    return number(x), number(y)


def _read_mask(path: str) -> np.ndarray:
    """uint8 [H, W]. Raises BadImage."""
    import numpy as np

    return np.asarray(le.open_photo(path).image.convert("L"))
