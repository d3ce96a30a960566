"""Gathers the joint statistics of a model's latents and CLIP vectors, which make text prompts fast.

``python -m latent_editor.train text --model portraits --data T.tar`` writes text_statistics.safetensors into the
model's folder. Repeat whenever the generator, the encoder or the CLIP changes; this takes about two minutes.
"""

from __future__ import annotations

import argparse

import torch

from latent_editor.core.values import Step
from latent_editor.generators.preview import small
from latent_editor.networks.clip import load_clip
from latent_editor.networks.text_statistics import SAMPLES, STATISTICS_FILE, build_text_statistics
from latent_editor.train.model_folders import load_with_folder
from latent_editor.train.pictures import read_pictures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="portraits", help="name or folder of the model (default %(default)s)")
    parser.add_argument("--data", nargs="+", help="folders or tars of aligned images (default: random latents only)")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="number of random latents (default %(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default %(default)s)")


def main(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    g, folder = load_with_folder(args.model)
    preview = small(g, load_clip(g).size_px)
    pictures = read_pictures(args.data, preview.size_px).images if args.data else None

    def report(step: Step) -> None:
        print(f"\r{step.step} of {step.steps} images, {step.seconds:.0f} s", end="", flush=True)

    statistics = build_text_statistics(preview, pictures, samples=args.samples, on_step=report)
    statistics.save(folder / STATISTICS_FILE)
    print(f"\nwrote {folder / STATISTICS_FILE}")
