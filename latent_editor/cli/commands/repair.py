"""``repair PHOTO -o FIXED.png --scale 8``: restores a damaged portrait."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import latent_editor as le
from latent_editor.cli.output import LATENT_SUFFIX, PICTURE_SUFFIX, check_output
from latent_editor.cli.parser import Result, add_command, add_face, number, positive_number, shorten
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from PIL import Image

    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Crop, Photo, Step
    from latent_editor.generators import Generator


def add(commands: Commands) -> None:
    parser = add_command(commands, "repair", run, about="Restore a damaged portrait with the model as a prior.")
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("-o", "--output", required=True, metavar="FIXED.png")
    parser.add_argument(
        "--mask", metavar="MASK", help="image of the photo's size, white where pixels are missing (inpainting)"
    )
    parser.add_argument("--scale", type=positive_number, metavar="N", help="upscale by N, 2 to 16 (super-resolution)")
    parser.add_argument("--grayscale", action="store_true", help="colorize a grayscale photo")
    parser.add_argument(
        "--color-hint",
        type=_color_hint,
        action="append",
        default=[],
        metavar="X,Y=COLOR",
        help='with --grayscale: a known color at a point, in fractions of width and height: "0.5,0.2=red" (repeatable)',
    )
    parser.add_argument(
        "--blur", type=positive_number, metavar="PX", help="remove Gaussian blur of this standard deviation, in pixels"
    )
    parser.add_argument(
        "--noise", type=positive_number, metavar="S", help="remove noise of this standard deviation, 0.05 to 0.4"
    )
    parser.add_argument(
        "--jpeg", type=positive_number, metavar="Q", help="remove JPEG artifacts of this quality, 1 to 95"
    )
    parser.add_argument(
        "--aligned", action="store_true", help="the image is an aligned crop already: do not detect a face"
    )
    parser.add_argument("--latent", metavar="FACE.latent", help="also write the latent, to edit it")
    parser.add_argument(
        "--seconds",
        type=positive_number,
        default=10.0,
        metavar="S",
        help="time to optimize if the model has no restorer (default: 10)",
    )
    add_face(parser)


def run(arguments: argparse.Namespace) -> Result:
    output = check_output(arguments.output, PICTURE_SUFFIX)
    latent_output = check_output(arguments.latent, LATENT_SUFFIX) if arguments.latent else None
    photo = le.open_photo(arguments.photo)
    mask = le.open_photo(arguments.mask) if arguments.mask else None
    g = le.load_generator(arguments.model)
    picture, mask_image = _aligned(g, photo, mask, arguments)
    started = time.perf_counter()
    with stop_on_interrupt() as stopped, ProgressBar("Repairing") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        found = le.repair(
            g,
            picture,
            mask=mask_image,
            scale=arguments.scale,
            grayscale=arguments.grayscale,
            blur_px=arguments.blur,
            noise=arguments.noise,
            jpeg=arguments.jpeg,
            color_hints=_hints_in_crop(arguments.color_hint, photo, picture),
            seconds=arguments.seconds,
            on_step=on_step,
        )
    seconds = time.perf_counter() - started
    output.parent.mkdir(parents=True, exist_ok=True)
    found.image.save(output)
    if latent_output is not None:
        found.latent.save(latent_output)
    data = {
        "agreement_db": round(found.agreement_db, 2),
        "seconds": round(seconds, 2),
        "method": found.latent.method,
        "stopped": stopped.is_set(),
        "latent": None if latent_output is None else str(latent_output),
        "output": str(output),
    }
    return Result(data, f"{output}: agrees with the photo to {found.agreement_db:.1f} dB, {seconds:.1f} s")


def _color_hint(text: str) -> le.ColorHint:
    place, equals, color = text.partition("=")
    x, comma, y = place.partition(",")
    if not (equals and comma):
        raise argparse.ArgumentTypeError(f'got {shorten(text)!r}, expected a point and a color, as in "0.5,0.2=sienna"')
    try:
        return le.ColorHint(number(x), number(y), color.strip())
    except le.BadValue as e:
        raise argparse.ArgumentTypeError(str(e)) from e


def _hints_in_crop(hints: list[le.ColorHint], photo: Photo, picture: Crop | Image.Image) -> list[le.ColorHint]:
    """Moves color hints from photo to crop coordinates; drops those outside the crop."""
    import numpy as np

    from latent_editor.ops import affine

    if not hints or not isinstance(picture, le.Crop):
        return hints
    points = np.array([(hint.x * photo.image.width, hint.y * photo.image.height) for hint in hints])
    places = affine.transformed(affine.inverted(picture.crop_to_photo), points) / picture.image.width
    moved = zip(hints, places.tolist(), strict=True)
    return [replace(hint, x=x, y=y) for hint, (x, y) in moved if 0 <= x <= 1 and 0 <= y <= 1]


def _aligned(
    g: Generator, photo: Photo, mask: Photo | None, arguments: argparse.Namespace
) -> tuple[Crop | Image.Image, Image.Image | None]:
    """The aligned face (or the whole image), and the mask cropped alike."""
    from PIL import Image

    if mask is not None and mask.image.size != photo.image.size:
        raise le.BadValue(
            f"The mask has {mask.image.width} × {mask.image.height} pixels and the photo {photo.image.width} × "
            f"{photo.image.height}; expected the same size. Paint the mask on the photo itself."
        )
    if arguments.aligned:
        return photo.image, None if mask is None else mask.image
    show_preparation(g, "faces")
    crop = le.align(photo, g, face=arguments.face)
    if mask is None:
        return crop, None
    (a, b, c), (d, e, f) = crop.crop_to_photo.tolist()
    # Pillow's pixel centers are at half-integers too.
    part = mask.image.convert("L").transform(
        crop.image.size, Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )
    return crop, part
