"""Which pictures a training step is shown: several sets, each with its own share, what is rare more often."""

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
    """One set of pictures.

    Attributes:
        images: uint8 [N, 3, S, S].
        weights: [N], how often each is shown.
    """

    images: Tensor
    weights: Tensor

    def pick(self, count: int) -> Tensor:
        """uint8 [count, 3, S, S], drawn at random by weight."""
        if not count:
            return self.images[:0]
        return self.images[torch.multinomial(self.weights, count, replacement=True)]


@dataclass(frozen=True, eq=False)
class Sources:
    """What batches are mixed from.

    Attributes:
        paintings: Shown where no photograph is.
        photographs: Shown for ``photo_share`` of the colored pictures; None without.
        grayscale: Pictures that teach by their luminance only; None without.
        grayscale_count: How many of each batch these are. They come last.
    """

    paintings: Source
    photographs: Source | None = None
    photo_share: float = 0.6
    grayscale: Source | None = None
    grayscale_count: int = 3

    @property
    def last_gray(self) -> int:
        """How many pictures at the end of a batch are grayscale."""
        return self.grayscale_count if self.grayscale is not None else 0

    def batch(self, count: int) -> Tensor:
        """uint8 [count, 3, S, S]: colored ones in random order, then grayscale ones."""
        colored = count - self.last_gray
        photographs = int((torch.rand(colored) < self.photo_share).sum()) if self.photographs is not None else 0
        parts = [self.paintings.pick(colored - photographs)]
        if self.photographs is not None:
            parts.append(self.photographs.pick(photographs))
        mixed = torch.cat(parts)[torch.randperm(colored)]
        return mixed if self.grayscale is None else torch.cat([mixed, self.grayscale.pick(self.last_gray)])


def read_source(path: Path, size_px: int, rule: Rule, *, labels: Path | None = None) -> Source:
    """Reads a set of pictures and how often to show each.

    Args:
        path: A folder or a tar.
        size_px: Side of the pictures.
        rule: From the attributes of a picture to its weight.
        labels: One JSON object a line; None takes the file beside a tar that is called as it is, where there is one.
    """
    pictures = read_pictures(path, size_px)
    beside = path.with_suffix(".jsonl")
    chosen = labels if labels is not None else beside if beside.is_file() else None
    return Source(pictures.images, sampling_weights(pictures, chosen, rule))


def sampling_weights(pictures: Pictures, labels: Path | None, rule: Rule) -> Tensor:
    """How often to show each picture: [N], all 1 without labels."""
    if labels is None:
        return torch.ones(len(pictures))
    attributes = {row["file"]: row["attributes"] for row in read_labels(labels)}
    return torch.tensor([rule(attributes.get(name, {})) for name in pictures.names])


def painting_weight(a: Mapping[str, Any]) -> float:
    """Dark skin, smiles, turned heads and what looks photographed are rare among the paintings."""
    weight = {"dark": 5.0, "brown": 3.0}.get(a.get("skin", ""), 1.0)
    weight *= {"smile": 1.5, "open smile": 3.0}.get(a.get("expression", ""), 1.0)
    weight *= 1.5 if a.get("pose", "frontal") != "frontal" else 1.0
    return weight * {"photographic": 2.0, "monochrome": 0.5}.get(a.get("style", ""), 1.0)


def photograph_weight(a: Mapping[str, Any]) -> float:
    """Official portraits smile: unless those that do not are shown more often, "photograph" comes to mean "smile".

    After 5,000 pictures without these weights, neutral strangers came back smiling. The same holds for what else most
    of them share: men, light skin, short hair, no beard, no glasses.
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
    """Damaged pictures less often, and those few that smile or are women more often."""
    weight = 0.5 if a.get("damaged") else 1.0
    return weight * (3.0 if a.get("sex") == "woman" or a.get("expression") in ("smile", "open smile") else 1.0)
