"""``invert PHOTO -o FACE.latent``: finds the latent of the face in a photo (GAN inversion)."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

import latent_editor as le
from latent_editor.cli.output import check_output
from latent_editor.cli.parser import Result, add_command, add_face, positive_number, whole_number
from latent_editor.cli.preparing import show_preparation
from latent_editor.cli.progress import ProgressBar, stop_on_interrupt

if TYPE_CHECKING:
    from latent_editor.cli.parser import Commands
    from latent_editor.core.values import Latent, Step
    from latent_editor.generators import Generator


def add(commands: Commands) -> None:
    parser = add_command(
        commands, "invert", run, about="Find the latent of the face in a photo. Ctrl-C keeps the best result."
    )
    parser.add_argument("photo", metavar="PHOTO")
    parser.add_argument("-o", "--output", required=True, metavar="FACE.latent")
    parser.add_argument(
        "--method",
        default="auto",
        metavar="M",
        help="auto (default), encoder, encoder again, w, w+, features or pivotal",
    )
    parser.add_argument("--seconds", type=positive_number, default=20.0, metavar="S", help="time limit (default: 20)")
    parser.add_argument("--steps", type=whole_number, metavar="N", help="optimization steps of each stage at most")
    parser.add_argument(
        "--check-sliders", action="store_true", help="measure how strongly sliders act on it compared to random faces"
    )
    add_face(parser)


def run(arguments: argparse.Namespace) -> Result:
    output = check_output(arguments.output)
    photo = le.open_photo(arguments.photo)
    g = le.load_generator(arguments.model)
    show_preparation(g, "faces")
    crop = le.align(photo, g, face=arguments.face)
    started = time.perf_counter()
    with stop_on_interrupt() as stopped, ProgressBar("Inverting") as bar:

        def on_step(step: Step) -> bool:
            bar.show(step)
            return stopped.is_set()

        latent = le.invert(
            g, crop, method=arguments.method, seconds=arguments.seconds, max_steps=arguments.steps, on_step=on_step
        )
    seconds = time.perf_counter() - started
    latent.save(output)
    sliders = _sliders(g, latent) if arguments.check_sliders else None
    data = {
        "psnr_db": latent.psnr_db,
        "seconds": round(seconds, 2),
        "steps": bar.last.step if bar.last else 0,
        "method": latent.method,
        "stopped": stopped.is_set(),
        "model": latent.model,
        "sliders": sliders,
        "output": str(output),
    }
    likeness = "" if latent.psnr_db is None else f", {latent.psnr_db:.2f} dB"
    text = f"{output}: method {latent.method}{likeness}, {data['steps']} steps in {seconds:.1f} s"
    if sliders is not None:
        state = "good editability" if sliders["work"] else "limited editability"
        text += f"\nsliders have {sliders['ratio']:.0%} of their effect on random faces: {state}"
    return Result(data, text)


def _sliders(g: Generator, latent: Latent) -> dict[str, Any]:
    from latent_editor.inversion import editability

    show_preparation(g, "sliders")
    found = editability(g, latent, le.named_directions(g))
    each = {name: round(ratio, 3) for name, ratio in found.each.items()}
    return {"ratio": round(found.ratio, 3), "work": found.works, "each": each}
