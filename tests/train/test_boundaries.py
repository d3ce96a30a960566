"""Boundaries are fitted on all images that have the label, wherever they come in the data."""

from __future__ import annotations

import pytest
import torch

from latent_editor.core.errors import BadValue
from latent_editor.generators import random_ws
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.train import boundaries as training


def test_the_last_images_of_the_data_count_as_well(tiny_generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the second dataset, the last third of the images, is labeled with glasses."""
    monkeypatch.setattr(training, "RULES", {"glasses": training.RULES["glasses"]})
    ws = random_ws(tiny_generator, list(range(60)), truncation_psi=1.0)
    shared = {"sex": "man", "age": "adult"}
    attributes = [{**shared, training.DATASET: 0} for _ in range(40)]
    attributes += [{**shared, "glasses": i % 2 == 0, training.DATASET: 1} for i in range(20)]
    vectors = torch.nn.functional.normalize(torch.randn(60, 2, 8), dim=-1)
    (found,) = training.fit_boundaries(tiny_generator, ws, vectors, attributes)
    assert found.count == 20
    with pytest.raises(BadValue, match="at least"):
        training.fit_boundaries(tiny_generator, ws, vectors, attributes, limit=40)
