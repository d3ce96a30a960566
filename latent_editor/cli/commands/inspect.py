"""``inspect FILE``: describes a checkpoint, or says why it is refused, without executing anything in it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latent_editor.cli.parser import Result

if TYPE_CHECKING:
    from latent_editor.checkpoints.checkpoint import Checkpoint
    from latent_editor.cli.parser import Commands
    from latent_editor.generators import Generator

_FORMATS = {
    "latent-editor": "latent-editor (safetensors)",
    "nvlabs": "NVIDIA (stylegan2-ada-pytorch, stylegan3)",
    "rosinality": "rosinality (stylegan2-pytorch)",
    "psp": "pSp or e4e",
    "tensorflow": "NVIDIA (StyleGAN2, TensorFlow)",
}


def add(commands: Commands) -> None:
    about = "Describe a checkpoint, without executing anything in it."
    parser = commands.add_parser("inspect", help=about, description=about)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print one JSON object, last")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.checkpoints.formats import read_checkpoint
    from latent_editor.generators.loading import build_checkpoint

    path = Path(arguments.file)
    checkpoint = read_checkpoint(path, copy=False)
    data = describe(checkpoint, build_checkpoint(checkpoint, path.name))
    data = {"file": str(path), "bytes": path.stat().st_size, **data}
    return Result(data, table(path, data))


def describe(checkpoint: Checkpoint, g: Generator) -> dict[str, Any]:
    """Describes a checkpoint and the generator built from it."""
    config: Any = getattr(g, "config", None)
    dtypes = sorted({str(tensor.dtype).removeprefix("torch.") for tensor in checkpoint.state.values()})
    return {
        "format": checkpoint.format,
        "kind": checkpoint.kind,
        "size_px": g.size_px,
        "parameters": sum(p.numel() for p in g.parameters()),
        "dtypes": dtypes,
        "channels": g.channels,
        "classes": g.c_dim,
        "architecture": getattr(config, "architecture", None),
        "z_dim": g.z_dim,
        "w_dim": g.w_dim,
        "num_ws": g.num_ws,
        "extras": {part: sum(t.numel() for t in tensors.values()) for part, tensors in checkpoint.extras.items()},
        "notes": list(checkpoint.notes),
    }


def table(path: Path, data: dict[str, Any]) -> str:
    """The human-readable description."""
    classes = f"{data['classes']} classes" if data["classes"] else "no"
    color_mode = {1: " (grayscale)", 3: " (RGB)", 4: " (RGBA)"}.get(data["channels"], "")
    rows = [
        ("format", _FORMATS[data["format"]]),
        ("kind", data["kind"] + (f", {data['architecture']}" if data["architecture"] else "")),
        ("size", f"{data['size_px']} × {data['size_px']} pixels, {data['channels']} channels{color_mode}"),
        ("parameters", f"{data['parameters'] / 1e6:.2f} million, {', '.join(data['dtypes'])}"),
        ("conditional", classes),
        ("latents", f"{data['num_ws']} ws of {data['w_dim']}, z of {data['z_dim']}"),
        *((f"with {part}", f"{count / 1e6:.2f} million numbers") for part, count in data["extras"].items()),
        *(("note", note) for note in data["notes"]),
    ]
    lines = [f"{path.name}: {data['bytes'] / 1e6:,.1f} MB", *(f"  {name:<13} {value}" for name, value in rows)]
    return "\n".join(lines)
