"""The mapping network learns the distribution of encoded images, and nothing else changes."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path

import torch
from PIL import Image

from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.networks.encoder import Encoder
from latent_editor.networks.perceptual import Discriminator
from latent_editor.train import mapping
from latent_editor.train.mapping import MappingConfig, MappingTrainer, energy_distance
from latent_editor.train.networks import Networks

SMALL = MappingConfig(layers=3, batch=64, width=64, rate=1e-2, r1_gamma=1.0)


def tiny() -> StyleGAN2:
    torch.manual_seed(0)
    shape = {"z_dim": 16, "w_dim": 16, "img_resolution": 16, "channel_base": 256, "channel_max": 16}
    return StyleGAN2(StyleGAN2Config(**shape, mapping_layers=0))


def two_clusters(count: int) -> torch.Tensor:
    """w around two centers, which no linear mapping of a Gaussian produces: [count, 16]."""
    middle = torch.zeros(16)
    middle[0] = 4.0
    sign = torch.randint(0, 2, (count, 1)) * 2.0 - 1
    return torch.randn(count, 16) * 0.3 + sign * middle + 1.0


def test_energy_distance_distinguishes_distributions() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(800, 8), torch.randn(700, 8)
    assert abs(energy_distance(a, b)) < 0.02
    assert energy_distance(a, b * 1.5) > 0.1
    assert energy_distance(a, b + 0.5) > 0.1


def test_a_mapping_learns_a_bimodal_distribution() -> None:
    torch.manual_seed(2)
    ws, held_out = two_clusters(600), two_clusters(600)
    trainer = MappingTrainer(tiny(), ws, SMALL)
    gaussian = torch.randn(600, 16) * held_out.std(dim=0) + held_out.mean(dim=0)
    for _ in range(800):
        trainer.step()
    with torch.no_grad():
        random = trainer.random(600, trainer.averaged)
    assert energy_distance(random, held_out) < 0.7 * energy_distance(gaussian, held_out)
    assert 0.25 < (random[:, 0] > 1).float().mean() < 0.75  # both clusters


def test_synthesis_is_unchanged_and_w_avg_matches_the_mapping() -> None:
    g = tiny()
    trainer = MappingTrainer(g, two_clusters(40), SMALL)
    for _ in range(3):
        trainer.step()
    new = trainer.generator(g)
    ws = torch.randn(2, g.num_ws, 16)
    assert torch.equal(new.synthesize(ws, noise="none"), g.eval().synthesize(ws, noise="none"))
    torch.manual_seed(5)
    with torch.no_grad():
        mean = new.map(torch.randn(4000, 16))[:, 0].mean(dim=0)
    assert torch.allclose(new.w_avg, mean, atol=0.3)


def test_a_resumed_run_continues_exactly() -> None:
    ws = two_clusters(50)
    first, second = (MappingTrainer(tiny(), ws, SMALL) for _ in range(2))
    first.step()
    second.load(copy.deepcopy(first.state()))
    for trainer in (first, second):
        torch.manual_seed(3)
        trainer.step()
    for a, b in zip(first.mapping.parameters(), second.mapping.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_command_writes_a_log_a_sheet_and_networks(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    for i in range(6):
        Image.new("RGB", (16, 16), (40 * i, 90, 200 - 30 * i)).save(folder / f"{i}.png")
    g = tiny()
    Networks(g, Encoder(16, g.num_ws, 16, width=8, max_width=16), Discriminator(16, width=8, max_width=16)).write(
        tmp_path
    )
    parser = argparse.ArgumentParser()
    mapping.add_arguments(parser)
    words = f"--data {folder} --start {tmp_path} --run {tmp_path / 'run'} --minutes 0.01 --export {tmp_path / 'out'}"
    mapping.main(parser.parse_args(words.split()))
    mapping.main(parser.parse_args([*words.split(), "--resume"]))
    assert (tmp_path / "run" / "mapping.jsonl").read_text().count("validation_energy_distance") == 2
    assert (tmp_path / "run" / "sheet.jpg").exists()
    assert Networks.read(tmp_path / "out").generator.config.mapping_layers == MappingConfig().layers
