"""How much of a grey portrait's colours can be known at all, also by somebody who is told of them in words?

One command::

    python benchmarks/colour_bounds.py --train T.tar --train-labels T.jsonl --data V.tar --labels V.jsonl

Ridge regression from luminance to colours at 32², learned from all portraits: from luminance alone, and with labels of
hair, skin and background, or of everything, each also times the largest components of luminance. Gives the mean
absolute error that is left, as a share of that of grey; the best of some strengths of the ridge, chosen on the
validation itself, so that it flatters. Writes ``benchmarks/results/colour_bounds.json``. A minute.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
import json
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from environment import environment
from torch import Tensor

from latent_editor.degradations import luminance
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

RESULT = Path(__file__).parent / "results" / "colour_bounds.json"
SIDE_PX, COMPONENTS, WITH_LABELS = 32, 256, 12
RIDGES = (10.0, 30.0, 100.0, 300.0, 1000.0)
TOLD: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "hair's colour": ("hair_colour",),
    "hair's, skin's and background's colour": ("hair_colour", "skin", "background"),
    "everything labelled": (
        "hair_colour", "skin", "background", "sex", "age", "hair_length", "facial_hair", "makeup", "style",
        "expression",
    ),
}  # fmt: skip


def read(data: Path, labels: Path) -> tuple[Tensor, Tensor, list[dict[str, Any]]]:
    """Luminance [N, D], colours [N, 3 · D], and labels, of portraits at 32²."""
    pictures = read_pictures(data, 2 * SIDE_PX)
    x = F.avg_pool2d(pictures.images.float() / 127.5 - 1, 2)
    grey = luminance(x)
    rows = match_labels(pictures, read_labels(labels))
    return grey.flatten(1), (x - grey).flatten(1), [row["attributes"] for row in rows]


def one_hot(rows: list[dict[str, Any]], values: list[tuple[str, str]]) -> Tensor:
    return torch.tensor([[float(str(row[key]) == value) for key, value in values] for row in rows]).view(len(rows), -1)


def solved(inputs: Tensor, outputs: Tensor, ridge: float) -> Tensor:
    """The matrix that takes inputs to outputs, the last of the inputs being 1."""
    return torch.linalg.solve(inputs.t() @ inputs + ridge * torch.eye(inputs.shape[1]), inputs.t() @ outputs)


def inputs_of(components: Tensor, told: Tensor) -> Tensor:
    """Components of luminance, labels, and the products of labels with the largest components."""
    products = (told[:, :, None] * components[:, None, :WITH_LABELS]).flatten(1)
    return torch.cat([components, told, products, torch.ones(len(components), 1)], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--train", "--train-labels", "--data", "--labels"):
        parser.add_argument(name, required=True, type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    grey, colours, rows = read(args.train, args.train_labels)
    grey_v, colours_v, rows_v = read(args.data, args.labels)
    mean = grey.mean(dim=0)
    _, _, basis = torch.pca_lowrank(grey - mean, COMPONENTS, center=False)
    unit = ((grey - mean) @ basis).std(dim=0)
    components, components_v = (grey - mean) @ basis / unit, (grey_v - mean) @ basis / unit
    left = {}
    for name, keys in TOLD.items():
        values = sorted({(key, str(row[key])) for key in keys for row in rows})
        known = inputs_of(components, one_hot(rows, values))
        known_v = inputs_of(components_v, one_hot(rows_v, values))
        errors = [float((known_v @ solved(known, colours, r) - colours_v).abs().mean()) for r in RIDGES]
        left[name] = round(min(errors) / float(colours_v.abs().mean()), 3)
        print(f"{name}: {left[name]:.3f}", flush=True)
    about = {**environment(), "train": len(rows), "validation": len(rows_v)}
    RESULT.write_text(json.dumps({**about, "left_of_greys_error": left}, indent=1) + "\n")


if __name__ == "__main__":
    main()
