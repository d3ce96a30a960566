"""``python -m latent_editor.train PART …``: trains one part of the embedded model."""

from __future__ import annotations

import argparse
import importlib

PARTS = {
    "gan": "generator, encoder and discriminator, jointly",
    "prior": "a linear mapping network, fitted to encoded images",
    "mapping": "a deep mapping network, trained adversarially in W (takes minutes)",
    "landmarks": "the network that locates eyes, nose, mouth and chin",
    "landmark_eyes": "the network that locates the pupils",
    "clip": "the small CLIP that embeds prompts and images",
    "clip_heads": "the last layers of that CLIP, fine-tuned (takes minutes)",
    "boundaries": "attribute boundaries from labeled portraits, for sliders",
    "directions": "the sliders, tried on encoded images",
    "similarity": "statistics of latents, images and identities, for similarity measures",
    "identity": "the network that tells people apart, for similarity measures",
    "colorizer": "the network that predicts the colors of grayscale images",
    "restorer": "the network that restores damaged images through generator features",
    "text": "statistics that turn a prompt into a direction at once",
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
