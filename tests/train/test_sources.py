"""Composition of batches: shares, order, and oversampling of rare attributes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from latent_editor.train.pictures import Pictures
from latent_editor.train.sources import (
    Source,
    Sources,
    archive_weight,
    painting_weight,
    photograph_weight,
    read_source,
    sampling_weights,
)


def plain(value: int, count: int = 4) -> Source:
    """Images of a single gray level, which identifies their source."""
    return Source(torch.full((count, 3, 2, 2), value, dtype=torch.uint8), torch.ones(count))


def test_a_batch_has_its_shares_and_ends_with_grayscale_images() -> None:
    torch.manual_seed(0)
    sources = Sources(plain(1), plain(2), 0.75, plain(3), 2)
    levels = torch.cat([sources.batch(10)[:, 0, 0, 0] for _ in range(200)]).reshape(200, 10)
    assert sources.last_gray == 2
    assert (levels[:, 8:] == 3).all()
    assert (levels[:, :8] != 3).all()
    assert (levels[:, :8] == 2).float().mean() == pytest.approx(0.75, abs=0.03)
    assert (levels[:, 0] == 2).float().mean() == pytest.approx(0.75, abs=0.1)  # in random order


def test_without_other_datasets_a_batch_has_only_paintings() -> None:
    sources = Sources(plain(1))
    assert sources.last_gray == 0
    assert (sources.batch(5) == 1).all()


def test_labels_set_the_sampling_weights(tmp_path: Path) -> None:
    labels = tmp_path / "labels.jsonl"
    labels.write_text('{"file": "a", "attributes": {"skin": "dark"}}\n{"file": "b", "attributes": {"skin": "light"}}\n')
    pictures = Pictures(torch.zeros(3, 3, 4, 4), ["a", "b", "not labeled"])
    weights = sampling_weights(pictures, labels, painting_weight)
    assert weights[0] > weights[1] == weights[2]
    assert torch.equal(sampling_weights(pictures, None, painting_weight), torch.ones(3))


def test_labels_next_to_a_dataset_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(folder / name)
    (tmp_path / "set.jsonl").write_text('{"file": "b.png", "attributes": {"expression": "neutral"}}\n')
    source = read_source(folder, 8, photograph_weight)
    assert source.images.shape == (2, 3, 8, 8)
    assert source.weights.tolist() == [1.0, 6.0]


@pytest.mark.parametrize(
    ("rule", "rare", "frequent"),
    [
        (painting_weight, {"skin": "brown"}, {"skin": "light"}),
        (painting_weight, {"pose": "turned left"}, {"pose": "frontal"}),
        (photograph_weight, {"expression": "neutral"}, {"expression": "open smile"}),
        (photograph_weight, {"sex": "woman"}, {"sex": "man"}),
        (photograph_weight, {"age": "young"}, {"age": "adult"}),
        (photograph_weight, {"glasses": True}, {"glasses": False}),
        (archive_weight, {"expression": "smile"}, {"expression": "neutral"}),
        (archive_weight, {"damaged": False}, {"damaged": True}),
    ],
)
def test_rare_attributes_are_oversampled(rule, rare, frequent) -> None:  # type: ignore[no-untyped-def]
    assert rule(rare) > rule(frequent) > 0
