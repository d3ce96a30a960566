"""How well the colors of a grayscale portrait can be predicted at all, with and without verbal descriptions.

One command::

    python benchmarks/color_bounds.py --train T.tar --train-labels T.jsonl --data V.tar --labels V.jsonl

Ridge regression from luminance to chroma at 32²: from luminance alone, and with labels of the hair color, of hair, skin
and background, or of all attributes, including their products with the leading principal components of luminance.
Reports the mean absolute error relative to leaving the portrait gray. The ridge penalty is chosen on the validation set
itself, so the results are optimistic. Writes ``benchmarks/results/color_bounds.json``; takes a minute.
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

RESULT = Path(__file__).parent / "results" / "color_bounds.json"
SIDE_PX, COMPONENTS, WITH_LABELS = 32, 256, 12
RIDGES = (10.0, 30.0, 100.0, 300.0, 1000.0)
#: Name of a condition → the labels given.
KNOWN_LABELS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "hair color": ("hair_colour",),
    "colors of hair, skin and background": ("hair_colour", "skin", "background"),
    "all labels": (
        "hair_colour", "skin", "background", "sex", "age", "hair_length", "facial_hair", "makeup", "style",
        "expression",
    ),
}  # fmt: skip


def read(data: Path, labels: Path) -> tuple[Tensor, Tensor, list[dict[str, Any]]]:
    """Luminance [N, D], chroma [N, 3 · D], and labels of portraits at 32²."""
    pictures = read_pictures(data, 2 * SIDE_PX)
    x = F.avg_pool2d(pictures.images.float() / 127.5 - 1, 2)
    gray = luminance(x)
    rows = match_labels(pictures, read_labels(labels))
    return gray.flatten(1), (x - gray).flatten(1), [row["attributes"] for row in rows]


def one_hot(rows: list[dict[str, Any]], values: list[tuple[str, str]]) -> Tensor:
    """Whether each row has each (attribute, value): float32 [N, len(values)]."""
    return torch.tensor([[float(str(row[key]) == value) for key, value in values] for row in rows]).view(len(rows), -1)


def ridge_regression(inputs: Tensor, outputs: Tensor, ridge: float) -> Tensor:
    """The matrix that maps inputs [N, D], whose last column is 1, to outputs [N, K]: [D, K]."""
    return torch.linalg.solve(inputs.t() @ inputs + ridge * torch.eye(inputs.shape[1]), inputs.t() @ outputs)


def inputs_of(components: Tensor, labels: Tensor) -> Tensor:
    """Components of luminance, labels, the products of labels with the leading components, and 1."""
    products = (labels[:, :, None] * components[:, None, :WITH_LABELS]).flatten(1)
    return torch.cat([components, labels, products, torch.ones(len(components), 1)], dim=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--train", "--train-labels", "--data", "--labels"):
        parser.add_argument(name, required=True, type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    gray, chroma, rows = read(args.train, args.train_labels)
    gray_v, chroma_v, rows_v = read(args.data, args.labels)
    mean = gray.mean(dim=0)
    _, _, basis = torch.pca_lowrank(gray - mean, COMPONENTS, center=False)
    unit = ((gray - mean) @ basis).std(dim=0)
    components, components_v = (gray - mean) @ basis / unit, (gray_v - mean) @ basis / unit
    relative_errors = {}
    for name, keys in KNOWN_LABELS.items():
        values = sorted({(key, str(row[key])) for key in keys for row in rows})
        known = inputs_of(components, one_hot(rows, values))
        known_v = inputs_of(components_v, one_hot(rows_v, values))
        errors = [float((known_v @ ridge_regression(known, chroma, r) - chroma_v).abs().mean()) for r in RIDGES]
        relative_errors[name] = round(min(errors) / float(chroma_v.abs().mean()), 3)
        print(f"{name}: {relative_errors[name]:.3f}", flush=True)
    about = {**environment(), "train": len(rows), "validation": len(rows_v)}
    RESULT.write_text(json.dumps({**about, "error_relative_to_gray": relative_errors}, indent=1) + "\n")


if __name__ == "__main__":
    main()
