"""Finds a model's sliders on encoded pictures instead of random faces, so that they are chosen for what people upload.

``python -m latent_editor.train directions --model portraits --data T.tar …`` writes directions.safetensors into the
model's folder. Repeat whenever the generator, the encoder, the CLIP or the boundaries change; this takes about ten
minutes.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from latent_editor.core.values import Step
from latent_editor.directions import DIRECTIONS_FILE, build_directions, write_directions
from latent_editor.directions.budget import FULL
from latent_editor.directions.measurement import TRIAL_PX
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.preview import small
from latent_editor.networks.encoder import load_encoder
from latent_editor.train.model_folders import load_with_folder
from latent_editor.train.pictures import read_pictures, several


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="portraits", help="name or folder of the model (default %(default)s)")
    parser.add_argument("--data", nargs="+", required=True, help="folders or tars of aligned images, used equally")
    parser.add_argument("--seed", type=int, default=0, help="chooses the images (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


@torch.no_grad()
def encoded_faces(g: Generator, paths: list[str], count: int, seed: int) -> Tensor:
    """The ws of ``count`` images, taken in turn from each dataset: [count, num_ws, w_dim]."""
    random, datasets = torch.Generator().manual_seed(seed), []
    each = -(-count // len(paths))
    for path in several(paths):
        images = read_pictures(path, g.size_px).images
        datasets.append(images[torch.randperm(len(images), generator=random)[:each]])
    images = torch.stack(datasets, dim=1).flatten(0, 1)[:count]
    encoder, dtype = load_encoder(g), fastest_dtype(g.device)
    return torch.cat([encoder(x.to(g.device).float() / 127.5 - 1, dtype).float() for x in images.split(32)])


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    g, folder = load_with_folder(args.model)
    faces = encoded_faces(g, args.data, FULL.trials + FULL.gradients, args.seed)

    def report(step: Step) -> None:
        print(f"\r{step.fraction:.0%}", end="", flush=True)

    directions = build_directions(small(g, TRIAL_PX), faces=faces, on_step=report)
    write_directions(directions, folder / DIRECTIONS_FILE, fingerprint=g.fingerprint)
    for d in directions:
        print(f"{d.name:<20} {d.low:+.1f} {d.high:+.1f} {d.source:<9} {d.score}  {d.entanglement}")
