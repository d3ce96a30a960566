"""``random --seed N -o OUT.png``: generates a random face."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import LATENT_SUFFIX, PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, number, whole_number

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands


def add(commands: Commands) -> None:
    parser = add_command(commands, "random", run, about="Generate a random face, as an image or a latent to edit.")
    parser.add_argument("--seed", type=whole_number, required=True, metavar="N", help="random seed")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png", help="or OUT.latent")
    parser.add_argument(
        "--psi",
        type=number,
        default=0.7,
        metavar="PSI",
        help="truncation, from 0 (mean face) to 1 (full diversity) (default: 0.7)",
    )
    parser.add_argument(
        "--class", dest="class_index", type=whole_number, metavar="N", help="class, for a conditional model"
    )


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.core import tensor_files
    from latent_editor.media import exports

    output = check_output(arguments.output, PICTURE_SUFFIX, LATENT_SUFFIX)
    g = le.load_generator(arguments.model)
    latent = le.random_latent(g, arguments.seed, truncation_psi=arguments.psi, class_index=arguments.class_index)
    if output.suffix.lower() == LATENT_SUFFIX:
        latent.save(output)
    else:
        tensor_files.write_bytes(output, exports.png_bytes(le.render(g, latent), model=g.name))
    data = {"seed": arguments.seed, "truncation_psi": arguments.psi, "model": g.name, "output": str(output)}
    if g.c_dim:
        data["class"] = arguments.seed % g.c_dim if arguments.class_index is None else arguments.class_index
    of_class = f", class {data['class']} of {g.c_dim}" if g.c_dim else ""
    return Result(data, f"{output}: seed {arguments.seed}, psi {arguments.psi:g}{of_class}")
