"""Linear readers of what face networks do not tell: beard, hair, glasses, make-up, turn.

Logistic regressions on maps of an independent network (``face_readers.py``) and on colors, fitted on real pictures,
not on reconstructions, so that they have nothing of the model that is measured::

    python benchmarks/attribute_probes.py --readers FOLDER --train A.tar B.tar --train-labels A.jsonl B.jsonl \\
        --data V.tar --labels V.jsonl

writes ``FOLDER/attributes.npz``, where ``photographs.py`` looks for it, and prints how well they separate held-out
labels (area under the curve).
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from face_readers import FaceReaders
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from torch import Tensor

from latent_editor.train.boundaries import DATASET, RULES, alike
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

FILE = "attributes.npz"
ATTRIBUTES = ("beard", "long hair", "blond hair", "red hair", "grey hair", "glasses", "make-up", "turn to the right")
COMPONENTS, PENALTY = 256, 0.02


class AttributeProbes:
    """Reads attributes off aligned pictures.

    Attributes:
        auc: How well each separated held-out labels.
    """

    def __init__(self, readers: FaceReaders, arrays: dict[str, np.ndarray]) -> None:
        self.readers, self.arrays = readers, arrays
        self.auc = dict(zip(ATTRIBUTES, arrays["auc"].round(3).tolist(), strict=True))

    @staticmethod
    def load(readers: FaceReaders, folder: Path) -> AttributeProbes | None:
        """The probes of a folder; None where they were not fitted."""
        file = folder / FILE
        return AttributeProbes(readers, dict(np.load(file))) if file.is_file() else None

    def read(self, pictures: Tensor) -> dict[str, Tensor]:
        """float32 [N, 3, S, S] in −1..1 → probability [N] of each attribute."""
        x = components(features(self.readers, pictures), self.arrays)
        p = torch.from_numpy(x @ self.arrays["weights"] + self.arrays["biases"]).float().sigmoid()
        return dict(zip(ATTRIBUTES, p.unbind(dim=1), strict=True))


@torch.inference_mode()
def features(readers: FaceReaders, pictures: Tensor) -> np.ndarray:
    """Maps of the likeness network over the whole picture, and colors: float32 [N, D]."""
    parts = []
    for some in pictures.split(32):
        x = (some.float() + 1) / 2
        small = F.interpolate(x, (112, 112), mode="bilinear", antialias=True).permute(0, 2, 3, 1)
        maps = readers.models["mobileface"](255 * small, "add_7", "add_16")
        pooled = [F.adaptive_avg_pool2d(m.permute(0, 3, 1, 2), 4).flatten(1) for m in maps]
        parts.append(torch.cat([*pooled, F.adaptive_avg_pool2d(x, 16).flatten(1)], dim=1))
    return torch.cat(parts).numpy()


def components(x: np.ndarray, arrays: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(((x - arrays["mean"]) / arrays["std"]) @ arrays["basis"])


def fit(x: np.ndarray, rows: Sequence[dict[str, Any]], held: np.ndarray, held_rows: Any) -> dict[str, np.ndarray]:
    """Fits all probes; x, held: features [N, D] of labeled pictures."""
    arrays = {"mean": x.mean(0), "std": x.std(0) + 1e-6}
    z = (x - arrays["mean"]) / arrays["std"]
    _, _, v = torch.svd_lowrank(torch.from_numpy(z), COMPONENTS)
    arrays["basis"] = v.numpy() / (z @ v.numpy()).std()
    z, seen = components(x, arrays), components(held, arrays)
    labels, held_labels = [r["attributes"] for r in rows], [r["attributes"] for r in held_rows]
    columns, biases, aucs = [], [], []
    for name in ATTRIBUTES:
        has, lacks, keys = RULES[name]
        at = [i for i, a in enumerate(labels) if has(a) or lacks(a)]
        y = [has(labels[i]) for i in at]
        weights = alike([labels[i] for i in at], y, keys).numpy().astype(float)
        model = LogisticRegression(C=PENALTY, max_iter=500, class_weight="balanced").fit(
            z[at], y, sample_weight=weights
        )
        columns.append(model.coef_[0])
        biases.append(model.intercept_[0])
        at = [i for i, a in enumerate(held_labels) if has(a) or lacks(a)]
        truth = [has(held_labels[i]) for i in at]
        both = 0 < sum(truth) < len(truth)
        aucs.append(roc_auc_score(truth, model.decision_function(seen[at])) if both else np.nan)
        print(
            name, f"{len(y)} to learn from, {sum(y)} with it; {sum(truth)} of {len(truth)} held out, AUC {aucs[-1]:.3f}"
        )
    return {**arrays, "weights": np.stack(columns, axis=1), "biases": np.array(biases), "auc": np.array(aucs)}


def read_set(readers: FaceReaders, data: Sequence[Path], labels: Sequence[Path], step: int) -> tuple[np.ndarray, list]:
    """Features and labels of several sets; of one with more than 3,000 pictures, every ``step``-th."""
    found, rows = [], []
    for i, (file, told) in enumerate(zip(data, labels, strict=True)):
        pictures = read_pictures(file, 256)
        every = step if len(pictures) > 3000 else 1
        for row in match_labels(pictures, read_labels(told))[::every]:
            rows.append({**row, "attributes": {**row["attributes"], DATASET: i}})
        found += [features(readers, some.float() / 127.5 - 1) for some in pictures.images[::every].split(256)]
    return np.concatenate(found), rows


def main() -> None:
    import latent_editor as le
    from latent_editor.networks.faces import canonical_points

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readers", type=Path, required=True)
    for name in ("--train", "--train-labels", "--data", "--labels"):
        parser.add_argument(name, type=Path, nargs="+", required=True)
    parser.add_argument(
        "--step", type=int, default=3, help="every so many pictures of a large set (default %(default)s)"
    )
    args = parser.parse_args()
    points = canonical_points(le.load_generator("portraits"))
    assert points is not None
    readers = FaceReaders(args.readers, points)
    x, rows = read_set(readers, args.train, args.train_labels, args.step)
    np.savez(args.readers / FILE, **fit(x, rows, *read_set(readers, args.data, args.labels, 1)))


if __name__ == "__main__":
    main()
