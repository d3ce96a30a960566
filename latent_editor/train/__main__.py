"""``python -m latent_editor.train WHAT …``: trains one part of the embedded model."""

from __future__ import annotations

import argparse
import importlib

PARTS = {
    "gan": "generator, encoder and discriminator, together",
    "prior": "the mapping network, from encoded pictures",
    "mapping": "the mapping network again, by a game in W, in minutes",
    "landmarks": "the network that finds eyes, nose, mouth and chin",
    "landmark_eyes": "the network that finds the pupils within the eyes",
    "clip": "the small CLIP that ties words to pictures",
    "clip_heads": "the last layers of that CLIP again, in minutes",
    "boundaries": "what tells labelled portraits apart, for sliders",
    "likeness": "what is usual of latents, pictures and faces, for the likeness meter",
    "colorizer": "what gives grey pictures their colours",
    "restorer": "what repairs damaged pictures, as features of the generator",
    "text": "statistics that turn a prompt into a direction without waiting",
}


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m latent_editor.train", description=__doc__)
    parser.add_argument("part", choices=PARTS, help="; ".join(f"{k}: {v}" for k, v in PARTS.items()))
    part, rest = parser.parse_known_args(argv)
    # Only the chosen part is imported: training a generator needs neither OpenCV nor open_clip.
    module = importlib.import_module(f"latent_editor.train.{part.part}")
    options = argparse.ArgumentParser(prog=f"python -m latent_editor.train {part.part}", description=module.__doc__)
    module.add_arguments(options)
    module.main(options.parse_args(rest))


if __name__ == "__main__":
    main()
