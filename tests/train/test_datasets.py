"""Several datasets are read as one, and none of them dominates what is learned from their labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from latent_editor.core.errors import BadInput
from latent_editor.train.boundaries import DATASET, alike, evened
from latent_editor.train.pictures import match_labels, read_labels, read_pictures


def write_dataset(folder: Path, colors: dict[str, int]) -> Path:
    folder.mkdir()
    for name, value in colors.items():
        Image.fromarray(np.full((8, 8, 3), value, np.uint8)).save(folder / name)
    rows = [json.dumps({"file": name, "attributes": {"value": value}}) for name, value in colors.items()]
    folder.with_suffix(".jsonl").write_text("\n".join(rows), encoding="utf-8")
    return folder


def test_datasets_are_read_one_after_another_and_keep_their_labels(tmp_path: Path) -> None:
    first = write_dataset(tmp_path / "first", {"b.png": 20, "a.png": 10})
    second = write_dataset(tmp_path / "second", {"c.png": 30})
    both = read_pictures([first, second, second], 8)
    assert both.names == ["a.png", "b.png", "c.png", "c.png"]
    assert both.images[:, 0, 0, 0].tolist() == [10, 20, 30, 30]
    rows = match_labels(both, read_labels([first.with_suffix(".jsonl"), second.with_suffix(".jsonl")]))
    assert [row["attributes"]["value"] for row in rows] == [10, 20, 30, 30]
    assert len(read_pictures([first, second], 8, limit=1)) == 2


def test_a_missing_dataset_is_named(tmp_path: Path) -> None:
    first = write_dataset(tmp_path / "first", {"a.png": 10})
    with pytest.raises(BadInput, match="nowhere"):
        read_pictures([first, tmp_path / "nowhere"], 8)


def test_an_attribute_is_told_from_the_dataset_that_it_is_common_in() -> None:
    """Smiles are common in the second dataset: with the weights, both classes hold as many of either dataset."""
    counts = {(0, True): 10, (0, False): 90, (1, True): 45, (1, False): 5}
    rows = [(dataset, smiles) for (dataset, smiles), n in counts.items() for _ in range(n)]
    sides = torch.tensor([smiles for _, smiles in rows])
    datasets = torch.tensor([dataset for dataset, _ in rows])
    weights = alike([{DATASET: dataset} for dataset, _ in rows], sides.tolist(), (DATASET,))
    for weights_now in (weights, evened(weights, datasets.tolist())):
        for dataset in (0, 1):
            inside = weights_now * (datasets == dataset)
            torch.testing.assert_close(inside[sides].sum(), inside[~sides].sum())
    even = evened(weights, datasets.tolist())
    torch.testing.assert_close(even[datasets == 0].sum(), even[datasets == 1].sum(), atol=1e-3, rtol=0)


def test_a_handful_of_images_does_not_outweigh_a_dataset() -> None:
    datasets = [0] * 1000 + [1] * 2
    even = evened(torch.ones(1002), datasets)
    assert even.tolist() == [1.0] * 1000 + [4.0] * 2
