"""``directions``: lists the sliders of a model."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.parser import Result, add_command

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands


def add(commands: Commands) -> None:
    add_command(commands, "directions", run, about="List the sliders of a model: name, safe range, source, score.")


def run(arguments: argparse.Namespace) -> Result:
    g = le.load_generator(arguments.model)
    directions = le.named_directions(g)
    rows = [
        {"name": d.name, "low": d.low, "high": d.high, "source": d.source, "score": d.score, "layers": d.layers}
        for d in directions
    ]
    width = max([len(d.name) for d in directions], default=4)
    lines = [f"{'name':<{width}}    low   high  source  score"]
    for d in directions:
        score = "" if d.score is None else f"{d.score:5.2f}"
        lines.append(f"{d.name:<{width}}  {d.low:+5.1f}  {d.high:+5.1f}  {d.source:<6}  {score}".rstrip())
    return Result({"model": g.name, "directions": rows}, "\n".join(lines))
