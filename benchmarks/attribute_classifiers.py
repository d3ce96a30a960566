"""Classifiers of attributes that are independent of all sliders: logistic regressions on the discriminator's features.

They are trained on reconstructed portraits, with sex and age in equal shares on both sides. Whatever can be measured
directly is measured: the color of hair, skin and background, side light, pose.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor

import latent_editor as le
from latent_editor.directions.image_measures import image_measures, part_color_measures
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.networks.perceptual import load_discriminator
from latent_editor.train.boundaries import RULES, Rule, alike

COMPONENTS, PENALTY = 200, 1e-2

#: Families of attributes and measures: those of one family mean nearly the same and are no leaks of each other.
FAMILIES: dict[str, tuple[str, ...]] = {
    "age": ("age",),
    "sex": ("feminine", "beard", "make-up", "moustache", "stubble"),
    "hair length": ("long hair", "bald"),
    "hair colour": (
        "blond hair", "red hair", "black hair", "brown hair", "grey hair", "blue hair", "white hair",
        "hair light", "hair warmth", "hair blueness",
    ),
    "skin": ("dark skin", "pale skin", "brightness", "warm colours", "skin light"),
    "expression": ("smile", "angry", "sad"),
    "ears": ("elf ears",),
    "background": (
        "blue background", "green background", "red background", "dark background", "bright background",
        "warm background", "background light", "background blueness",
    ),
    "colourfulness": ("monochrome", "vivid colours"),
    "headwear": ("crown",),
    "turn": ("turn to the right",),
    "roll": ("head roll",),
    "length": ("long face",),
    "side light": ("light from the left",),
    "contrast": ("contrast",),
    "detail": ("fine detail",),
}  # fmt: skip
FAMILY = {name: family for family, names in FAMILIES.items() for name in names}
#: Families that an attribute implies by definition: a monochrome picture has pale skin.
IMPLIED = {"monochrome": ("skin", "hair colour", "background"), "bald": ("hair colour",), "brightness": ("contrast",)}
#: No linear classifier separates brown hair from both black and blond, because it lies between them; the odds of a
#: multinomial regression over the colors do.
BETWEEN, BETWEEN_OF, BETWEEN_VALUES = "brown hair", "hair_colour", ("brown", "black", "blond", "red")


class AttributeClassifiers:
    """Measures attributes of pictures in standard deviations of portraits.

    Attributes:
        names: Names of the columns of :meth:`read`: attributes, then measures.
        accuracy_: (balanced accuracy, area under the curve) of each attribute on held-out portraits.
    """

    def __init__(self, g: le.Generator) -> None:
        discriminator = load_discriminator(g)
        assert discriminator is not None, "this benchmark needs the features of a discriminator"
        self.g, self.discriminator = g, discriminator
        self.plain = {m.name: m.read for m in (*image_measures(g), *part_color_measures(g))}
        self.names = [*RULES, *(name for name in self.plain if name not in RULES)]
        self.accuracy_: dict[str, tuple[float, float]] = {}

    def fit(self, pictures: Tensor, rows: list[dict[str, Any]], held: Tensor, held_rows: list[dict[str, Any]]) -> None:
        """pictures, held: [N, C, S, S] as the generator renders them; rows: their labels."""
        x = self._features(pictures)
        self._mean, self._std = x.mean(0), x.std(0) + 1e-6
        self._pca = PCA(min(COMPONENTS, len(x) // 3), svd_solver="randomized", random_state=0)
        scores = self._pca.fit_transform((x - self._mean) / self._std)
        self._scale = scores.std(0).mean()
        scores, seen = scores / self._scale, self._components(held)
        columns = []
        for name, (has, lacks, keys) in RULES.items():
            chosen, y, w = _sides(rows, has, lacks, keys)
            fitted = LogisticRegression(C=PENALTY, max_iter=300).fit(scores[chosen], y, sample_weight=w)
            columns.append(fitted.coef_[0])
            at, truth, _ = _sides(held_rows, has, lacks, ())
            if 0 < truth.sum() < len(truth):
                score = fitted.decision_function(seen[at])
                self.accuracy_[name] = _accuracy(truth, score)
            if name == BETWEEN:
                self._fit_between(scores, rows)
                self.accuracy_[name] = _accuracy(truth, self._between(seen[at]))
        self._columns = np.stack(columns, axis=1)
        self._spread = np.ones(len(self.names))
        self._spread = self.read(held).std(0)

    def read(self, pictures: Tensor) -> np.ndarray:
        """[N, C, S, S], −1..1 → float64 [N, len(names)], in standard deviations of portraits."""
        components = self._components(pictures)
        told = components @ self._columns
        told[:, list(RULES).index(BETWEEN)] = self._between(components)
        with torch.inference_mode():
            wanted = [self.plain[n] for n in self.names[len(RULES) :]]
            # All measures of one batch before the next: those that need landmarks share them.
            measured = torch.cat([torch.stack([m(p) for m in wanted], dim=1) for p in pictures.split(16)])
        return np.concatenate([told, measured.numpy()], axis=1) / self._spread

    def _fit_between(self, scores: np.ndarray, rows: list[dict[str, Any]]) -> None:
        """Fits the multinomial regression for the color that lies between the others."""
        told = [row["attributes"][BETWEEN_OF] for row in rows]
        chosen = [i for i, value in enumerate(told) if value in BETWEEN_VALUES]
        model = LogisticRegression(C=PENALTY, max_iter=300, class_weight="balanced")
        self._several = model.fit(scores[chosen], [told[i] for i in chosen])

    def _between(self, components: np.ndarray) -> np.ndarray:
        """Log odds of the color between the others, [N]."""
        share = self._several.predict_proba(components)[:, list(self._several.classes_).index(BETWEEN_VALUES[0])]
        share = share.clip(1e-6, 1 - 1e-6)
        odds: np.ndarray = np.log(share / (1 - share))
        return odds

    def _components(self, pictures: Tensor) -> np.ndarray:
        return self._pca.transform((self._features(pictures) - self._mean) / self._std) / self._scale

    @torch.no_grad()
    def _features(self, pictures: Tensor) -> np.ndarray:
        """The discriminator's maps, pooled, and colors on a grid of 8 × 8: float32 [N, F]."""
        parts = []
        for x in pictures.split(32):
            maps = self.discriminator.maps(x, fastest_dtype(self.g.device))
            pooled = [F.adaptive_avg_pool2d(m.float(), 4 if m.shape[-1] <= 16 else 2).flatten(1) for m in maps]
            parts.append(torch.cat([*pooled, F.adaptive_avg_pool2d(x, 8).flatten(1)], dim=1))
        return torch.cat(parts).numpy()


def _accuracy(truth: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """Balanced accuracy, and the area under the curve."""
    return round(float(balanced_accuracy_score(truth, score > 0)), 3), round(float(roc_auc_score(truth, score)), 3)


def _sides(
    rows: Sequence[dict[str, Any]], has: Rule, lacks: Rule, keys: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Indices of rows with or without an attribute, their labels, and weights that balance ``keys`` on both sides."""
    labels = [row["attributes"] for row in rows]
    chosen = [i for i, a in enumerate(labels) if has(a) or lacks(a)]
    y = np.array([has(labels[i]) for i in chosen], dtype=bool)
    w = alike([labels[i] for i in chosen], y.tolist(), keys).numpy().astype(float)
    keep = w > 0
    chosen, y, w = np.array(chosen)[keep], y[keep], w[keep]
    w /= np.where(y, w[y].sum(), w[~y].sum()) / len(y) * 2
    return chosen, y, w
