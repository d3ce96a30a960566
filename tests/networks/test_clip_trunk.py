"""The encoder's trunk inside open_clip sees what it sees outside."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from latent_editor.generators import Generator
from latent_editor.networks.clip import make_model
from latent_editor.networks.clip_trunk import MEAN, STD, register_trunks, trunk_name
from latent_editor.networks.encoder import Encoder, load_encoder
from latent_editor.networks.trunk import Trunk
from latent_editor.train.clip import Trainer, config_for


def test_the_tower_undoes_the_normalisation(tmp_path: Path) -> None:
    config = tmp_path / "trunk-test.json"
    config.write_text(json.dumps(config_for(128)))
    model, _ = make_model("trunk-test", config=config)
    trunk = model.visual.trunk.trunk
    assert isinstance(trunk, Trunk)
    x = torch.rand(2, 3, 128, 128) * 2 - 1
    normalised = ((x + 1) / 2 - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.no_grad():
        assert torch.allclose(model.visual.trunk(normalised), trunk(x), atol=1e-4)
    assert tuple(model.visual.image_mean) == MEAN
    assert tuple(model.visual.image_std) == STD


def test_registering_again_changes_nothing() -> None:
    import timm

    register_trunks()
    register_trunks()
    assert timm.is_model(trunk_name(128))


def test_training_starts_from_the_models_encoder(portraits: Generator, tmp_path: Path) -> None:
    trainer = Trainer.__new__(Trainer)  # without data: only the towers are looked at
    config = tmp_path / "trunk-start.json"
    encoder = load_encoder(portraits)
    assert isinstance(encoder, Encoder)
    config.write_text(json.dumps(config_for(128, int(encoder.config.get("deep_width", 0)))))
    trainer.model, _ = make_model("trunk-start", config=config)
    trainer.average, _ = make_model("trunk-start", config=config)
    assert portraits.bundle.folder is not None
    trainer.start_from(portraits.bundle.folder)
    x = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        expected = encoder.trunk(x)
        for model in (trainer.model, trainer.average):
            assert torch.allclose(model.visual.trunk.trunk(x), expected, atol=1e-4)
