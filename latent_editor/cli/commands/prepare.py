"""``prepare --model FILE``: precomputes what the first use of a model needs."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.parser import Result, add_command
from latent_editor.cli.preparing import show_preparation

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands


def add(commands: Commands) -> None:
    about = "Precompute what a model needs (face landmarks, sliders, text statistics) before its first use."
    add_command(commands, "prepare", run, about=about)


def run(arguments: argparse.Namespace) -> Result:
    g = le.load_generator(arguments.model)
    started = time.perf_counter()
    fresh = show_preparation(g)
    seconds = round(time.perf_counter() - started, 1)
    about = g.bundle.about
    faces = bool(about.get("faces", about.get("canonical_points")))
    sliders = len(le.named_directions(g))
    data = {"model": g.name, "seconds": seconds, "fresh": fresh, "faces": faces, "sliders": sliders}
    kept = str(g.bundle.folder) if g.bundle.folder is not None and g.bundle.folder.is_dir() else None
    when = f"prepared in {seconds:.1f} s" if fresh else "already prepared"
    shows = "shows faces" if faces else "shows no faces: photos are center-cropped, and text prompts are unavailable"
    where = f"; kept in {kept}" if kept else ""
    return Result({**data, "folder": kept}, f"{g.name}: {when}; {sliders} sliders; {shows}{where}")
