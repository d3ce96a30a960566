"""``mix A.latent B.latent -o OUT``: style mixing or interpolation of faces."""

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
        commands, "mix", run, about="Mix the layers of two faces (style mixing), or interpolate several faces."
    )
    parser.add_argument("latents", nargs="+", metavar="FACE.latent", help="two faces; two or more with --weights")
    parser.add_argument("-o", "--output", required=True, metavar="OUT.png", help="or OUT.latent")
    parser.add_argument(
        "--layers", metavar="L", help="layers of the second face: coarse, middle, fine, all or a range such as 4..8"
    )
    parser.add_argument(
        "--weights", type=_numbers, metavar="X,Y", help="weight of each face (default without --layers: equal)"
    )
    parser.add_argument("--path", default="spherical", metavar="P", help="interpolation: spherical (default) or linear")
    parser.add_argument(
        "--noise", type=noise, default="const", metavar="N", help="noise inputs: const (default), none, or a seed"
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
            "See `latent-editor mix --help`."
        )
    g = le.load_generator(arguments.model)
    if arguments.layers:
        latent = le.mix(g, latents[0], latents[1], arguments.layers)
        description = f"{arguments.layers} layers of {arguments.latents[1]}"
    else:
        weights = arguments.weights or [1.0] * len(latents)
        if len(weights) != len(latents) or not sum(weights):
            raise le.BadValue(
                f"Got {len(weights)} weights for {len(latents)} faces; expected one each, with a nonzero sum."
            )
        shares = [weight / sum(weights) for weight in weights]
        latent = le.interpolate(g, latents, shares, path=arguments.path)
        description = " + ".join(f"{share:.2f} {path}" for share, path in zip(shares, arguments.latents, strict=True))
    if output.suffix.lower() == LATENT_SUFFIX:
        latent.save(output)
    else:
        image = render_with_noise(g, latent, arguments.noise)
        tensor_files.write_bytes(output, exports.png_bytes(image, model=g.name))
    return Result({"model": g.name, "mixed": description, "output": str(output)}, f"{output}: {description}")


def _numbers(text: str) -> list[float]:
    return [number(part) for part in text.split(",")]


def noise(text: str) -> str | int:
    """ "const", "none", or a seed."""
    if text in ("const", "none"):
        return text
    if text.isascii() and text.isdigit() and int(text[:20]) < 2**63:
        return int(text)
    raise argparse.ArgumentTypeError(f"got {shorten(text)!r}, expected const, none, or a whole number from 0")
