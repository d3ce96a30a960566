"""Gathers statistics of a model's latents, images and identities, which calibrate similarity measures.

``python -m latent_editor.train similarity --model portraits --data T.tar`` writes likeness.safetensors into the model's
folder. Repeat whenever the generator, the encoder or the CLIP changes; this takes about two minutes.
"""

from __future__ import annotations

import argparse

import torch

from latent_editor.core.values import Step
from latent_editor.networks.similarity_statistics import STATISTICS_FILE, build_similarity_statistics
from latent_editor.train.model_folders import load_with_folder
from latent_editor.train.pictures import read_pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="portraits", help="name or folder of the model (default %(default)s)")
    parser.add_argument("--data", nargs="+", help="folders or tars of aligned images (default: random images only)")
    parser.add_argument("--limit", type=int, default=1000, help="maximum number of images (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    g, folder = load_with_folder(args.model)
    pictures = read_pictures(args.data, g.size_px, limit=args.limit).images if args.data else None

    def report(step: Step) -> None:
        print(f"\r{step.step} of {step.steps} images, {step.seconds:.0f} s", end="", flush=True)

    statistics = build_similarity_statistics(g, pictures, on_step=report)
    statistics.save(folder / STATISTICS_FILE)
    print(f"\nwrote {folder / STATISTICS_FILE}")
    if statistics.identity is not None:
        print(f"AUC of telling the same face from a stranger's: {statistics.identity.auc:.3f}")
