"""``compare PHOTO FACE.latent``: measures how similar a face is to its photo; ``-o`` draws a heat map."""

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
    about = "Measure how similar a latent is to its photo, and suggest improvements."
    parser = add_command(commands, "compare", run, about=about)
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("latent", metavar="FACE.latent")
    parser.add_argument("-o", "--output", metavar="HEAT.png", help="write a heat map of the differences")
    parser.add_argument("--edited", metavar="EDITED.latent", help="also measure how much an edit changes the identity")
    parser.add_argument(
        "--identity", metavar="FILE.onnx", help="a face recognition network to use instead of the model's CLIP"
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
    with ProgressBar("Computing reference statistics") as bar:
        load_similarity_statistics(g, net=net, on_step=bar.show)
    similarity = le.compare(g, crop, latent, whole=photo, identity=net)
    change = le.identity_change(g, latent, edited, identity=net) if edited is not None else None
    if output is not None:
        drawn = io.BytesIO()
        similarity.heat_map().save(drawn, "PNG")
        tensor_files.write_bytes(output, drawn.getvalue())
    data = {**figures(similarity), "identity_moved": None if change is None else change.change, "model": g.name}
    data["output"] = None if output is None else str(output)
    return Result(data, table(similarity, change) + (f"\n{output}: heat map of the differences" if output else ""))


def figures(similarity: Similarity) -> dict[str, Any]:
    """The similarity as fields of ``--json``."""
    return {
        "words": similarity.words,
        "psnr_db": similarity.psnr_db,
        "face_psnr_db": similarity.face_psnr_db,
        "perceptual": similarity.perceptual,
        "identity": similarity.identity,
        "advice": list(similarity.advice),
    }


def table(similarity: Similarity, change: IdentityChange | None = None) -> str:
    """The similarity as a human-readable table."""
    rows = [("pixels", f"{similarity.psnr_db:.2f} dB")]
    if similarity.face_psnr_db is not None:
        rows.append(("pixels of the face", f"{similarity.face_psnr_db:.2f} dB"))
    if similarity.perceptual is not None:
        rows.append(("perceptual distance", f"{similarity.perceptual:.3f}"))
    if similarity.identity is not None:
        rows.append(("identity", f"{similarity.identity:.2f} (0: a stranger, 1: the same picture)"))
    if change is not None:
        rows.append(("identity change", f"{change.change:.2f}: {change.words}"))
    lines = [similarity.words, *(f"  {name:<20} {value}" for name, value in rows), *similarity.advice]
    return "\n".join(lines)
