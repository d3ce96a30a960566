"""Trains the mapping network on encoded pictures: a small GAN in W, where a step costs milliseconds.

Random faces can be no better than their w. Encoded pictures fill a thin, bent part of W; a Gaussian fitted to them
reaches far beside it, where hair curls and skin is mottled, though each picture rebuilt from its own w is clean. Here a
deep mapping and a discriminator of vectors play the game of Goodfellow et al. 2014 on w alone, with the non-saturating
loss and R1 (Mescheder et al. 2018). The synthesis stays as it is, so that no reconstruction changes.
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
from latent_editor.train.pictures import read_pictures
from latent_editor.train.prior import encode
from latent_editor.train.sheets import contact_sheet

STATE_FILE = "mapping.pt"
LOG_FILE = "mapping.jsonl"


@dataclass(frozen=True)
class MappingConfig:
    """How to train.

    Attributes:
        layers: Of the mapping.
        batch: Vectors of each kind in a step.
        rate: Adam's, of the mapping; the discriminator's layers have no equalised rate and take a tenth of it.
        r1_gamma, r1_every: Strength of R1, and how often it is applied.
        blended: Share of real vectors that are moved up to half-way to one of their ``neighbours`` nearest: some
            thousand pictures are few, and the discriminator would know them by heart.
        width: Of the discriminator's layers.
    """

    layers: int = 5
    batch: int = 64
    rate: float = 5e-3
    r1_gamma: float = 0.3
    r1_every: int = 4
    blended: float = 0.7
    neighbours: int = 8
    width: int = 512


class MappingTrainer:
    """A mapping and its discriminator.

    Args:
        g: The generator; its mapping's configuration is taken, but for the layers.
        ws: Encoded pictures, float32 [N, w_dim].
    """

    def __init__(self, g: StyleGAN2, ws: Tensor, config: MappingConfig | None = None) -> None:
        self.config = c = config or MappingConfig()
        self.ws, self.near = ws, _neighbours(ws, min(c.neighbours, len(ws) - 1))
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
        self.player = torch.optim.Adam(self.mapping.parameters(), betas=(0.0, 0.99))
        self.judge = torch.optim.Adam(self.discriminator.parameters(), betas=(0.0, 0.99))
        self.steps = 0

    def reals(self, count: int) -> Tensor:
        """Encoded pictures, most of them a little nearer to a neighbour: [count, w_dim]."""
        pick = torch.randint(len(self.ws), (count,))
        other = self.near[pick, torch.randint(self.near.shape[1], (count,))]
        share = torch.rand(count, 1) * 0.5 * (torch.rand(count, 1) < self.config.blended)
        return self.ws[pick].lerp(self.ws[other], share)

    def random(self, count: int, mapping: StyleGAN2Mapping) -> Tensor:
        w: Tensor = mapping(torch.randn(count, self.generator_config.z_dim), None)
        return w

    def step(self, pace: float = 1.0) -> dict[str, float]:
        """One step of both players, at the share ``pace`` of their rates."""
        c = self.config
        self.player.param_groups[0]["lr"], self.judge.param_groups[0]["lr"] = c.rate * pace, c.rate / 10 * pace
        reals, fakes = self.reals(c.batch), self.random(c.batch, self.mapping)
        loss = F.softplus(-self.discriminator(reals)).mean() + F.softplus(self.discriminator(fakes.detach())).mean()
        if self.steps % c.r1_every == 0:
            loss = loss + self._r1(reals) * (c.r1_gamma / 2 * c.r1_every)
        self.judge.zero_grad(set_to_none=True)
        loss.backward()
        self.judge.step()
        self.discriminator.requires_grad_(False)
        fool = F.softplus(-self.discriminator(fakes)).mean()
        self.player.zero_grad(set_to_none=True)
        fool.backward()
        self.player.step()
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
        """``g`` with the averaged mapping and its mean."""
        new = StyleGAN2(self.generator_config)
        new.synthesis.load_state_dict(g.synthesis.state_dict())
        new.mapping.load_state_dict(self.averaged.state_dict())
        new.w_avg.copy_(self.random(10_000, new.mapping).mean(dim=0))
        return new.eval()

    def state(self) -> dict[str, Any]:
        parts = {"mapping": self.mapping, "averaged": self.averaged, "discriminator": self.discriminator}
        optimizers = {"player": self.player, "judge": self.judge}
        return {"steps": self.steps, **{k: v.state_dict() for k, v in {**parts, **optimizers}.items()}}  # type: ignore[attr-defined]

    def load(self, state: dict[str, Any]) -> None:
        for name in ("mapping", "averaged", "discriminator", "player", "judge"):
            getattr(self, name).load_state_dict(state[name])
        self.steps = state["steps"]


@torch.no_grad()
def energy_distance(a: Tensor, b: Tensor) -> float:
    """How differently two samples [N, D] and [M, D] are spread, 0 for alike (Székely & Rizzo 2013)."""
    n, m = len(a), len(b)
    within = torch.cdist(a, a).sum() / (n * (n - 1)) + torch.cdist(b, b).sum() / (m * (m - 1))
    return float(2 * torch.cdist(a, b).mean() - within)


def _neighbours(ws: Tensor, count: int) -> Tensor:
    """The ``count`` nearest of each: int64 [N, count]."""
    found = [torch.cdist(part, ws).topk(count + 1, largest=False).indices[:, 1:] for part in ws.split(1024)]
    return torch.cat(found)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a folder or a tar of pictures")
    parser.add_argument("--validation", type=Path, help="pictures that are never trained on, for the figures")
    parser.add_argument("--start", type=Path, required=True, help="a model's folder, with its encoder")
    parser.add_argument("--run", type=Path, required=True, help="folder of this run's state, log and sheets")
    parser.add_argument("--resume", action="store_true", help="go on from the run's state where there is one")
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--threads", type=int, help="CPU threads")
    parser.add_argument("--export", type=Path, help="folder to write the networks to at the end")


def encoded(nets: Networks, path: Path) -> Tensor:
    """The w of all pictures of a folder or tar, and of their mirror images: [2 N, w_dim]."""
    pictures = read_pictures(path, nets.encoder.config["size_px"]).images
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
        report = trainer.step(min(1.0, max(0.02, 2 * (1 - done))))  # slower and slower in the second half
        if time.monotonic() - saved > 60:
            saved = time.monotonic()
            checkpoint(trainer, args.run, held_out, report)
    checkpoint(trainer, args.run, held_out, report)
    nets = Networks(trainer.generator(nets.generator), nets.encoder, nets.discriminator)
    shown = read_pictures(args.validation or args.data, nets.generator.size_px, limit=24).images
    contact_sheet(nets, shown, args.run / "sheet.jpg")
    if args.export:
        nets.write(args.export)


def checkpoint(trainer: MappingTrainer, run: Path, held_out: Tensor, report: dict[str, float]) -> None:
    """Writes the state, and how far random latents are from encoded pictures that were not trained on."""
    save_state(run / STATE_FILE, trainer.state())
    with torch.no_grad():
        far = energy_distance(trainer.random(1000, trainer.averaged), held_out)
    log(run, {"steps": trainer.steps, "validation_energy_distance": far, **report}, name=LOG_FILE)
