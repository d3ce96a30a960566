"""``convert IN OUT.safetensors``: converts a checkpoint to safetensors."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from latent_editor.cli.output import check_output
from latent_editor.cli.parser import Result
from latent_editor.core.errors import BadValue

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands

SUFFIX = ".safetensors"


def add(commands: Commands) -> None:
    about = "Convert any checkpoint to safetensors, which contain no code."
    parser = commands.add_parser("convert", help=about, description=about)
    parser.add_argument("file", metavar="IN")
    parser.add_argument("output", metavar=f"OUT{SUFFIX}")
    parser.add_argument("--dtype", choices=("fp16", "fp32"), default="fp16", help="precision (default: fp16)")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Result:
    output = check_output(arguments.output, SUFFIX)
    path = Path(arguments.file)
    if output.exists() and path.exists() and output.samefile(path):
        raise BadValue(f"The output {arguments.output!r} is the input itself. Choose another file.")

    import torch

    from latent_editor.checkpoints.formats import read_checkpoint
    from latent_editor.generators.loading import build_checkpoint, save_generator
    from latent_editor.models.bundle import Bundle

    checkpoint = read_checkpoint(path, copy=False)
    g = build_checkpoint(checkpoint, path.name)
    origin = f"converted from {path.name} ({checkpoint.format})"
    notes = [*checkpoint.notes, origin] if checkpoint.format != "latent-editor" else list(checkpoint.notes)
    g.bundle = Bundle(path.stem, None, {"notes": notes}, checkpoint.extras)
    save_generator(g, output, dtype={"fp16": torch.float16, "fp32": torch.float32}[arguments.dtype])
    size = output.stat().st_size
    data = {
        "output": str(output),
        "bytes": size,
        "format": checkpoint.format,
        "kind": checkpoint.kind,
        "size_px": g.size_px,
        "dtype": arguments.dtype,
        "notes": notes,
    }
    text = f"{output}: {checkpoint.kind} of {g.size_px} pixels in {arguments.dtype}, {size / 1e6:,.1f} MB"
    return Result(data, text)
