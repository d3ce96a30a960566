"""``directions channels``: StyleSpace channels, by the region of the face that they change."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.commands.directions_fit import add_sliders
from latent_editor.cli.parser import Result, whole_number
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands


def add(commands: Commands) -> None:
    """Declares the command below ``directions``."""
    about = "List the style channels that change one region of the image and little else (StyleSpace)."
    below = commands.add_parser("channels", help=about, description=about)
    below.add_argument("--region", help="eyes, nose, mouth, skin, hair, background (default: all)")
    below.add_argument("--count", type=whole_number, default=12, metavar="N", help="how many (default: 12)")
    below.add_argument("--add", type=whole_number, default=0, metavar="N", help="add the first N as sliders")
    below.add_argument("--model", default=argparse.SUPPRESS, metavar="MODEL", help="a name, or a path")
    below.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help="print one JSON object, last")
    below.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.directions import channel_direction, stylespace_channels

    g = le.load_generator(arguments.model)
    count = max(1, arguments.count, arguments.add)
    with ProgressBar("Measuring channels") as bar:
        found = stylespace_channels(g, region=arguments.region, count=count, on_step=bar.show)
    lines = ["layer.channel  region      share  effect"]
    for c in found:
        lines.append(f"{f'{c.layer}.{c.channel}':<13}  {c.region:<10}  {c.share:5.0%}  {c.effect:.4f}")
    added = [channel_direction(g, c) for c in found[: arguments.add]]
    if not added:
        return Result({"model": g.name, "channels": [asdict(c) for c in found]}, "\n".join(lines))
    result = add_sliders(g, added)
    return Result({**result.data, "channels": [asdict(c) for c in found]}, "\n".join([*lines, result.text]))
