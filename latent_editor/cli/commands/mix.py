"""``mix A.latent B.latent -o OUT``: layers of another face, or a face between several."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import LATENT_SUFFIX, PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, number, shorten

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "mix", run, about="Mix faces: layers of one with another, or a face between several."
    )
    parser.add_argument("latents", nargs="+", metavar="FACE.latent", help="two; with --weights two or more")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png", help="or OUT.latent")
    parser.add_argument(
        "--layers", metavar="L", help="of the second face: coarse, middle, fine, all or a range such as 4..8"
    )
    parser.add_argument(
        "--weights", type=_numbers, metavar="X,Y", help="of each face; equal where neither this nor --layers is given"
    )
    parser.add_argument("--path", default="spherical", metavar="P", help="between faces: spherical (default) or linear")
    parser.add_argument(
        "--noise", type=noise, default="const", metavar="N", help="const (default), none, or the seed of another noise"
    )


def run(arguments: argparse.Namespace) -> Result:
    from latent_editor.core import tensor_files
    from latent_editor.editing.style_mixing import render_with_noise
    from latent_editor.media import exports

    output = check_output(arguments.output, PICTURE_SUFFIX, LATENT_SUFFIX)
    latents = [le.Latent.load(path) for path in arguments.latents]
    if len(latents) < 2 or (arguments.layers and (len(latents) > 2 or arguments.weights)):
        raise le.BadValue(
            f"Got {len(latents)} faces; expected two with --layers, or two or more with --weights. "
            "`latent-editor mix --help` shows both."
        )
    g = le.load_generator(arguments.model)
    if arguments.layers:
        latent = le.mix(g, latents[0], latents[1], arguments.layers)
        told = f"{arguments.layers} layers of {arguments.latents[1]}"
    else:
        weights = arguments.weights or [1.0] * len(latents)
        if len(weights) != len(latents) or not sum(weights):
            raise le.BadValue(f"Got {len(weights)} weights for {len(latents)} faces; expected one each, not 0 in sum.")
        shares = [weight / sum(weights) for weight in weights]
        latent = le.interpolate(g, latents, shares, path=arguments.path)
        told = " + ".join(f"{share:.2f} {path}" for share, path in zip(shares, arguments.latents, strict=True))
    if output.suffix.lower() == LATENT_SUFFIX:
        latent.save(output)
    else:
        image = render_with_noise(g, latent, arguments.noise)
        tensor_files.write_bytes(output, exports.png_bytes(image, model=g.name))
    return Result({"model": g.name, "mixed": told, "output": str(output)}, f"{output}: {told}")


def _numbers(text: str) -> list[float]:
    return [number(part) for part in text.split(",")]


def noise(text: str) -> str | int:
    """ "const", "none", or a seed."""
    if text in ("const", "none"):
        return text
    if text.isascii() and text.isdigit() and int(text[:20]) < 2**63:
        return int(text)
    raise argparse.ArgumentTypeError(f"got {shorten(text)!r}, expected const, none, or a whole number from 0")
