"""Composition of training batches: several datasets with their shares, and oversampling of rare attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latent_editor.train.pictures import Pictures, read_labels, read_pictures

Rule = Callable[[Mapping[str, Any]], float]


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset with sampling weights.

    Attributes:
        images: uint8 [N, 3, S, S].
        weights: [N], sampling weights.
    """

    images: Tensor
    weights: Tensor

    def pick(self, count: int) -> Tensor:
        """Samples images by weight, with replacement: uint8 [count, 3, S, S]."""
        if not count:
            return self.images[:0]
        return self.images[torch.multinomial(self.weights, count, replacement=True)]


@dataclass(frozen=True, eq=False)
class Sources:
    """The datasets that batches are drawn from.

    Attributes:
        paintings: The main dataset, which fills up the batch.
        photographs: Photographs; None without.
        photo_share: Share of photographs among the color images.
        grayscale: Images trained on by luminance only; None without.
        grayscale_count: Grayscale images per batch, which come last.
    """

    paintings: Source
    photographs: Source | None = None
    photo_share: float = 0.6
    grayscale: Source | None = None
    grayscale_count: int = 3

    @property
    def last_gray(self) -> int:
        """Number of grayscale images at the end of a batch."""
        return self.grayscale_count if self.grayscale is not None else 0

    def batch(self, count: int) -> Tensor:
        """uint8 [count, 3, S, S]: color images in random order, then grayscale ones."""
        colored = count - self.last_gray
        photographs = int((torch.rand(colored) < self.photo_share).sum()) if self.photographs is not None else 0
        parts = [self.paintings.pick(colored - photographs)]
        if self.photographs is not None:
            parts.append(self.photographs.pick(photographs))
        mixed = torch.cat(parts)[torch.randperm(colored)]
        return mixed if self.grayscale is None else torch.cat([mixed, self.grayscale.pick(self.last_gray)])


def read_source(path: Path, size_px: int, rule: Rule, *, labels: Path | None = None) -> Source:
    """Reads a dataset and its sampling weights.

    Args:
        path: A folder or tar of images.
        size_px: Image size.
        rule: Maps the attributes of an image to its weight.
        labels: JSON Lines; None uses the file of the same name next to ``path``, if there is one.
    """
    pictures = read_pictures(path, size_px)
    adjacent = path.with_suffix(".jsonl")
    chosen = labels if labels is not None else adjacent if adjacent.is_file() else None
    return Source(pictures.images, sampling_weights(pictures, chosen, rule))


def sampling_weights(pictures: Pictures, labels: Path | None, rule: Rule) -> Tensor:
    """Sampling weight of each image: [N], all 1 without labels."""
    if labels is None:
        return torch.ones(len(pictures))
    attributes = {row["file"]: row["attributes"] for row in read_labels(labels)}
    return torch.tensor([rule(attributes.get(name, {})) for name in pictures.names])


def painting_weight(a: Mapping[str, Any]) -> float:
    """Oversamples dark skin, smiles, turned heads and photographic styles, which are rare among the paintings."""
    weight = {"dark": 5.0, "brown": 3.0}.get(a.get("skin", ""), 1.0)
    weight *= {"smile": 1.5, "open smile": 3.0}.get(a.get("expression", ""), 1.0)
    weight *= 1.5 if a.get("pose", "frontal") != "frontal" else 1.0
    return weight * {"photographic": 2.0, "monochrome": 0.5}.get(a.get("style", ""), 1.0)


def photograph_weight(a: Mapping[str, Any]) -> float:
    """Oversamples neutral faces, because official portraits smile and "photograph" would come to mean "smile".

    After 5,000 images without these weights, neutral faces were reconstructed smiling. The same applies to the other
    common attributes: men, light skin, short hair, no beard, no glasses.
    """
    weight = {"neutral": 6.0, "smile": 2.0, "open smile": 0.5}.get(a.get("expression", ""), 1.0)
    weight *= {"brown": 2.5, "dark": 4.0, "pale": 1.3}.get(a.get("skin", ""), 1.0)
    weight *= 3.0 if a.get("age") == "young" else 1.0
    weight *= 2.0 if a.get("sex") == "woman" else 1.0
    weight *= {"beard": 3.0, "goatee": 3.0, "stubble": 3.0, "moustache": 2.0}.get(a.get("facial_hair", ""), 1.0)
    weight *= {"long": 2.0, "bald": 1.5}.get(a.get("hair_length", ""), 1.0)
    weight *= 1.5 if a.get("glasses") else 1.0
    weight *= 1.5 if a.get("pose", "frontal") != "frontal" else 1.0
    return weight * (0.5 if a.get("style") == "monochrome" else 1.0)


def archive_weight(a: Mapping[str, Any]) -> float:
    """Undersamples damaged images, and oversamples smiles and women, which are rare."""
    weight = 0.5 if a.get("damaged") else 1.0
    return weight * (3.0 if a.get("sex") == "woman" or a.get("expression") in ("smile", "open smile") else 1.0)
