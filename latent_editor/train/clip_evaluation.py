"""Zero-shot AUC of a CLIP on labeled portraits.

``python -m latent_editor.train.clip_evaluation --data V.tar --labels V.jsonl --out AUC.json``
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.core import tensor_files
from latent_editor.networks.clip import CLIP_FILE, ClipModel, read_clip
from latent_editor.train.pictures import Pictures, match_labels, read_labels, read_pictures
from latent_editor.train.vocabulary import checks


def auc(scores: Tensor, truth: Tensor) -> float:
    """Area under the ROC curve: the probability that a positive scores higher than a negative, ties counting half.

    Args:
        scores: [N].
        truth: [N], 1 for positives; NaN is ignored.

    Returns:
        0..1, or NaN if either class is empty.
    """
    scores, truth = scores[~truth.isnan()], truth[~truth.isnan()]
    yes, no = scores[truth == 1], scores[truth != 1]
    if not len(yes) or not len(no):
        return math.nan
    difference = yes[:, None] - no[None, :]
    return float((difference > 0).double().mean() + 0.5 * (difference == 0).double().mean())


@torch.no_grad()
def encode_all(clip: ClipModel, pictures: Pictures, *, dtype: torch.dtype = torch.bfloat16, batch: int = 64) -> Tensor:
    """CLIP vectors of all images: float32 [N, dim]."""
    parts = [clip.encode_image(x.float() / 127.5 - 1, dtype=dtype) for x in pictures.images.split(batch)]
    return torch.cat(parts)


@torch.no_grad()
def evaluate(clip: ClipModel, pictures: Pictures, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Zero-shot AUC of each check: the cosine with its text against the labels."""
    vectors = encode_all(clip, pictures)
    found = {}
    for name, (text, rule) in checks().items():
        values = [rule(row["attributes"]) for row in rows]
        truth = torch.tensor([math.nan if v is None else float(v >= 0.99) for v in values])
        found[name] = round(auc(vectors @ clip.encode_prompt(text), truth), 4)
    return found


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, help="folder or tar of images")
    parser.add_argument("--labels", nargs="+", required=True, help="their labels")
    parser.add_argument("--clip", default=f"weights/portraits/{CLIP_FILE}", help="weights file (default %(default)s)")
    parser.add_argument("--out", help="JSON file to write")
    args = parser.parse_args(argv)
    clip = read_clip(Path(args.clip))
    pictures = read_pictures(args.data, clip.size_px)
    found = evaluate(clip, pictures, match_labels(pictures, read_labels(args.labels)))
    text = json.dumps({"pictures": len(pictures), "zero_shot_auc": found}, indent=1)
    if args.out:
        tensor_files.write_bytes(args.out, text.encode() + b"\n")
    print(text)


if __name__ == "__main__":
    main()
