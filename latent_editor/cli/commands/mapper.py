"""``mapper TEXT -o FILE.mapper``: trains a latent mapper for a prompt (StyleCLIP)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import check_output
from latent_editor.cli.parser import Result, add_command, positive_number, shorten
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Step

SUFFIX = ".mapper"


def add(commands: Commands) -> None:
    about = "Train a latent mapper for a prompt, for `edit --mapper`. Ctrl-C keeps the current state."
    parser = add_command(commands, "mapper", run, about=about)
    parser.add_argument("text", metavar="TEXT", help='"red hair", "young → old"')
    parser.add_argument("-o", "--output", required=True, metavar=f"FILE{SUFFIX}")
    parser.add_argument(
        "--seconds", type=positive_number, default=120.0, metavar="S", help="training time (default: 120)"
    )


def run(arguments: argparse.Namespace) -> Result:
    output = check_output(arguments.output, SUFFIX)
    g = le.load_generator(arguments.model)
    show_preparation(g, "faces", "text")
    with stop_on_interrupt() as stopped, ProgressBar(f"Training for {shorten(arguments.text, 30)!r}") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        mapper = le.train_mapper(g, arguments.text, seconds=arguments.seconds, on_step=on_step)
    mapper.save(output)
    data = {"prompt": mapper.prompt, "steps": mapper.steps, "model": g.name, "output": str(output)}
    return Result(data, f"{output}: {shorten(mapper.prompt)!r}, {mapper.steps} steps")
