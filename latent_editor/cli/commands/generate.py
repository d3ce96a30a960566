"""``generate "an old man with a beard" -o FACE.latent``: generates a face from a text."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import LATENT_SUFFIX, PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, number, shorten, whole_number
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt
from latent_editor.core.errors import BadValue

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Step


def add(commands: Commands) -> None:
    about = "Generate a face from a text, as an image or a latent to edit. Ctrl-C keeps the best result so far."
    parser = add_command(commands, "generate", run, about=about)
    parser.add_argument("text", metavar="TEXT", help='"an old man with a beard", "a pale elf | not make-up"')
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png", help="or OUT.latent")
    parser.add_argument("--seed", type=whole_number, default=0, metavar="N", help="random seed (default: 0)")
    parser.add_argument("--seconds", type=number, default=4.0, metavar="S", help="time to search (default: 4)")


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.core import tensor_files
    from latent_editor.media import exports

    output = check_output(arguments.output, PICTURE_SUFFIX, LATENT_SUFFIX)
    if arguments.seconds < 0:
        raise BadValue(f"Got {arguments.seconds:g} seconds; expected 0 or more.")
    g = le.load_generator(arguments.model)
    show_preparation(g, "faces", "text")
    started = time.perf_counter()
    with stop_on_interrupt() as stopped, ProgressBar(f"Generating {shorten(arguments.text, 30)!r}") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        latent = le.generate_from_text(
            g, arguments.text, seconds=arguments.seconds, seed=arguments.seed, on_step=on_step
        )
    seconds = round(time.perf_counter() - started, 2)
    if output.suffix.lower() == LATENT_SUFFIX:
        latent.save(output)
    else:
        tensor_files.write_bytes(output, exports.png_bytes(le.render(g, latent), model=g.name))
    data = {"text": arguments.text, "seed": arguments.seed, "seconds": seconds, "model": g.name, "output": str(output)}
    return Result(data, f"{output}: {shorten(arguments.text)!r}, seed {arguments.seed}, {seconds:.1f} s")
