"""``compare PHOTO FACE.latent``: how like the photo the face is; ``-o`` draws where it differs."""

from __future__ import annotations

import argparse
import io
from typing import TYPE_CHECKING, Any

import latent_editor as le
from latent_editor.cli.output import PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, add_face
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.similarity import IdentityChange, Similarity


def add(commands: Commands) -> None:
    about = "Tell how like a photo its latent is, and what stands in the way."
    parser = add_command(commands, "compare", run, about=about)
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("latent", metavar="FACE.latent")
    parser.add_argument("-o", "--output", metavar="HEAT.png", help="draw where they differ")
    parser.add_argument("--edited", metavar="EDITED.latent", help="also tell how much of who it is an edit moved")
    parser.add_argument(
        "--identity", metavar="FILE.onnx", help="a face recognition network of your own, instead of the model's CLIP"
    )
    add_face(parser)


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.core import tensor_files
    from latent_editor.networks.identity import OnnxIdentity
    from latent_editor.networks.similarity_statistics import load_similarity_statistics

    output = check_output(arguments.output, PICTURE_SUFFIX) if arguments.output else None
    net = OnnxIdentity(arguments.identity) if arguments.identity else None
    latent = le.Latent.load(arguments.latent)
    edited = le.Latent.load(arguments.edited) if arguments.edited else None
    photo = le.open_photo(arguments.photo)
    g = le.load_generator(arguments.model)
    g.check(latent)
    show_preparation(g, "faces")
    crop = le.align(photo, g, face=arguments.face)
    with ProgressBar("Learning typical pictures") as bar:
        load_similarity_statistics(g, net=net, on_step=bar.show)
    likeness = le.compare(g, crop, latent, whole=photo, identity=net)
    moved = le.identity_change(g, latent, edited, identity=net) if edited is not None else None
    if output is not None:
        drawn = io.BytesIO()
        likeness.heat_map().save(drawn, "PNG")
        tensor_files.write_bytes(output, drawn.getvalue())
    data = {**figures(likeness), "identity_moved": None if moved is None else moved.change, "model": g.name}
    data["output"] = None if output is None else str(output)
    return Result(data, table(likeness, moved) + (f"\n{output}: where they differ" if output else ""))


def figures(likeness: Similarity) -> dict[str, Any]:
    """A likeness for programs."""
    return {
        "words": likeness.words,
        "psnr_db": likeness.psnr_db,
        "face_psnr_db": likeness.face_psnr_db,
        "perceptual": likeness.perceptual,
        "identity": likeness.identity,
        "advice": list(likeness.advice),
    }


def table(likeness: Similarity, moved: IdentityChange | None = None) -> str:
    """The same for people."""
    rows = [("pixels", f"{likeness.psnr_db:.2f} dB")]
    if likeness.face_psnr_db is not None:
        rows.append(("pixels of the face", f"{likeness.face_psnr_db:.2f} dB"))
    if likeness.perceptual is not None:
        rows.append(("perceptual distance", f"{likeness.perceptual:.3f}"))
    if likeness.identity is not None:
        rows.append(("identity", f"{likeness.identity:.2f} (0 a stranger, 1 the same picture)"))
    if moved is not None:
        rows.append(("moved by the edits", f"{moved.change:.2f}: {moved.words}"))
    lines = [likeness.words, *(f"  {name:<20} {value}" for name, value in rows), *likeness.advice]
    return "\n".join(lines)
