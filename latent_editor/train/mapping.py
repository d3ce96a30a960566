"""Trains the mapping network adversarially on encoded images: a small GAN in W whose steps take milliseconds.

Random faces are no better than their w. Encoded images occupy a thin, curved part of W; a Gaussian fitted to them
extends far outside it, where hair degenerates and skin is mottled, although reconstructions are clean. Here, a deep
mapping network and a discriminator of vectors form a GAN (Goodfellow et al. 2014) on w alone, with the non-saturating
loss and R1 (Mescheder et al. 2018). The synthesis network is frozen, so no reconstruction changes.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.generators.layers import FullyConnected
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Mapping
from latent_editor.train.gan import log
from latent_editor.train.networks import Networks, load_state, save_state
from latent_editor.train.pictures import Paths, read_pictures
from latent_editor.train.prior import encode
from latent_editor.train.sheets import contact_sheet

STATE_FILE = "mapping.pt"
LOG_FILE = "mapping.jsonl"
#: Attributes of the trainer that its state file holds.
_STATE_PARTS = ("mapping", "averaged", "discriminator", "generator_optimizer", "discriminator_optimizer")


@dataclass(frozen=True)
class MappingConfig:
    """Hyperparameters.

    Attributes:
        layers: Layers of the mapping network.
        batch: Real and fake vectors per step, each.
        rate: Adam's learning rate of the mapping network; the discriminator, whose layers have no equalized learning
            rate, uses a tenth of it.
        r1_gamma, r1_every: Strength of R1, and the interval in steps at which it is applied.
        blended: Share of real vectors interpolated up to halfway towards one of their ``neighbors`` nearest neighbors,
            so that the discriminator cannot memorize a few thousand images.
        neighbors: Number of nearest neighbors.
        width: Width of the discriminator's layers.
    """

    layers: int = 5
    batch: int = 64
    rate: float = 5e-3
    r1_gamma: float = 0.3
    r1_every: int = 4
    blended: float = 0.7
    neighbors: int = 8
    width: int = 512


class MappingTrainer:
    """A mapping network and its discriminator.

    Args:
        g: The generator, whose configuration the new mapping network shares except for its layers.
        ws: Encoded images, float32 [N, w_dim].
    """

    def __init__(self, g: StyleGAN2, ws: Tensor, config: MappingConfig | None = None) -> None:
        self.config = c = config or MappingConfig()
        self.ws, self.near = ws, _nearest_neighbors(ws, min(c.neighbors, len(ws) - 1))
        self.generator_config = replace(
            g.config, mapping_layers=c.layers, mapping_lr_multiplier=1.0, mapping_last_act="linear"
        )
        self.mapping = StyleGAN2Mapping(self.generator_config)
        last = self.mapping.get_submodule(f"fc{c.layers - 1}")
        assert isinstance(last, FullyConnected)
        with torch.no_grad():
            last.bias.copy_(ws.mean(dim=0) / last.bias_gain)
        self.averaged = copy.deepcopy(self.mapping)
        sizes = [g.w_dim, c.width, c.width, c.width]
        hidden = [[nn.Linear(a, b), nn.LeakyReLU(0.2)] for a, b in itertools.pairwise(sizes)]
        self.discriminator = nn.Sequential(*itertools.chain(*hidden), nn.Linear(c.width, 1))
        self.generator_optimizer = torch.optim.Adam(self.mapping.parameters(), betas=(0.0, 0.99))
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), betas=(0.0, 0.99))
        self.steps = 0

    def reals(self, count: int) -> Tensor:
        """Encoded images, most of them interpolated towards a neighbor: [count, w_dim]."""
        pick = torch.randint(len(self.ws), (count,))
        other = self.near[pick, torch.randint(self.near.shape[1], (count,))]
        share = torch.rand(count, 1) * 0.5 * (torch.rand(count, 1) < self.config.blended)
        return self.ws[pick].lerp(self.ws[other], share)

    def random(self, count: int, mapping: StyleGAN2Mapping) -> Tensor:
        """Random w from ``mapping``: [count, w_dim]."""
        w: Tensor = mapping(torch.randn(count, self.generator_config.z_dim), None)
        return w

    def step(self, rate_scale: float = 1.0) -> dict[str, float]:
        """One step of mapping network and discriminator, with learning rates scaled by ``rate_scale``."""
        c = self.config
        self.generator_optimizer.param_groups[0]["lr"] = c.rate * rate_scale
        self.discriminator_optimizer.param_groups[0]["lr"] = c.rate / 10 * rate_scale
        reals, fakes = self.reals(c.batch), self.random(c.batch, self.mapping)
        loss = F.softplus(-self.discriminator(reals)).mean() + F.softplus(self.discriminator(fakes.detach())).mean()
        if self.steps % c.r1_every == 0:
            loss = loss + self._r1(reals) * (c.r1_gamma / 2 * c.r1_every)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.discriminator_optimizer.step()
        self.discriminator.requires_grad_(False)
        fool = F.softplus(-self.discriminator(fakes)).mean()
        self.generator_optimizer.zero_grad(set_to_none=True)
        fool.backward()
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        self.steps += 1
        with torch.no_grad():
            for a, b in zip(self.averaged.parameters(), self.mapping.parameters(), strict=True):
                a.lerp_(b, max(0.002, 1 / (self.steps + 1)))
        return {"discriminator": loss.item(), "fool": fool.item()}

    def _r1(self, reals: Tensor) -> Tensor:
        reals = reals.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad(self.discriminator(reals).sum(), reals, create_graph=True)
        return gradient.square().sum(dim=1).mean()

    @torch.no_grad()
    def generator(self, g: StyleGAN2) -> StyleGAN2:
        """``g`` with the averaged mapping network and its mean w."""
        new = StyleGAN2(self.generator_config)
        new.synthesis.load_state_dict(g.synthesis.state_dict())
        new.mapping.load_state_dict(self.averaged.state_dict())
        new.w_avg.copy_(self.random(10_000, new.mapping).mean(dim=0))
        return new.eval()

    def state(self) -> dict[str, Any]:
        return {"steps": self.steps, **{name: getattr(self, name).state_dict() for name in _STATE_PARTS}}

    def load(self, state: dict[str, Any]) -> None:
        for name in _STATE_PARTS:
            getattr(self, name).load_state_dict(state[name])
        self.steps = state["steps"]


@torch.no_grad()
def energy_distance(a: Tensor, b: Tensor) -> float:
    """Energy distance of two samples [N, D] and [M, D], 0 for equal distributions (Székely & Rizzo 2013)."""
    n, m = len(a), len(b)
    within = torch.cdist(a, a).sum() / (n * (n - 1)) + torch.cdist(b, b).sum() / (m * (m - 1))
    return float(2 * torch.cdist(a, b).mean() - within)


def _nearest_neighbors(ws: Tensor, count: int) -> Tensor:
    """Indices of the ``count`` nearest neighbors of each vector: int64 [N, count]."""
    found = [torch.cdist(part, ws).topk(count + 1, largest=False).indices[:, 1:] for part in ws.split(1024)]
    return torch.cat(found)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="folders or tars of images")
    parser.add_argument("--validation", type=Path, nargs="+", help="held-out images for metrics")
    parser.add_argument("--start", type=Path, required=True, help="model folder with an encoder")
    parser.add_argument("--run", type=Path, required=True, help="folder for state, log and contact sheet")
    parser.add_argument("--resume", action="store_true", help="continue from the run's state if there is one")
    parser.add_argument("--minutes", type=float, default=15, help="training time (default %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--export", type=Path, help="folder for the networks at the end")


def encoded(nets: Networks, paths: Paths) -> Tensor:
    """The w of all images in folders or tars, and of their mirror images: [2 N, w_dim]."""
    pictures = read_pictures(paths, nets.encoder.config["size_px"]).images
    return torch.cat([encode(nets, p)[0] for p in (pictures, pictures.flip(3))])


def main(args: argparse.Namespace) -> None:
    """Trains for ``--minutes``, saving every minute."""
    if args.threads:
        torch.set_num_threads(args.threads)
    args.run.mkdir(parents=True, exist_ok=True)
    nets = Networks.read(args.start)
    ws = encoded(nets, args.data)
    held_out = encoded(nets, args.validation) if args.validation else ws[:: max(1, len(ws) // 1000)]
    trainer = MappingTrainer(nets.generator, ws)
    if args.resume and (args.run / STATE_FILE).exists():
        trainer.load(load_state(args.run / STATE_FILE))
    start = saved = time.monotonic()
    while (done := (time.monotonic() - start) / (args.minutes * 60)) < 1:
        report = trainer.step(min(1.0, max(0.02, 2 * (1 - done))))  # decays in the second half
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            checkpoint(trainer, args.run, held_out, report)
    checkpoint(trainer, args.run, held_out, report)
    nets = Networks(trainer.generator(nets.generator), nets.encoder, nets.discriminator)
    examples = read_pictures(args.validation or args.data, nets.generator.size_px, limit=24).images
    contact_sheet(nets, examples, args.run / "sheet.jpg")
    if args.export:
        nets.write(args.export)


def checkpoint(trainer: MappingTrainer, run: Path, held_out: Tensor, report: dict[str, float]) -> None:
    """Writes the state, and logs the energy distance of random latents from held-out encoded images."""
    save_state(run / STATE_FILE, trainer.state())
    with torch.no_grad():
        distance = energy_distance(trainer.random(1000, trainer.averaged), held_out)
    log(run, {"steps": trainer.steps, "validation_energy_distance": distance, **report}, name=LOG_FILE)
