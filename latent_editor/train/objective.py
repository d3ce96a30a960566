"""What generator, encoder and discriminator are trained for, one function per player."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.networks.perceptual import pyramid_l1
from latent_editor.train.augmentation import degrade, for_discriminator, mirror, photographic
from latent_editor.train.networks import Networks


@dataclass(frozen=True)
class Objective:
    """Weights and shares of the loss.

    Attributes:
        batch: Pictures per step.
        random: Random faces per step beside them.
        photographic: How many pictures of a batch are made to look photographed.
        features, adversarial, adversarial_random, moments, offsets: Weights beside the pixels' 1.
        r1_gamma: Strength of R1 (Mescheder et al. 2018), applied every ``r1_every`` steps.
    """

    batch: int = 16
    random: int = 8
    photographic: int = 6
    features: float = 0.5
    adversarial: float = 0.1
    adversarial_random: float = 0.15
    moments: float = 0.02
    offsets: float = 0.005
    r1_gamma: float = 1.0
    r1_every: int = 16


@dataclass(frozen=True, eq=False)
class Forward:
    """One pass of encoder and generator over a batch.

    Attributes:
        target: [B, 3, S, S] what the encoder should give back; the first ``clean`` of them are plain portraits.
        rebuilt: [B, 3, S, S].
        random: [R, 3, S, S] pictures of random latents.
        w: [B, w_dim]; offsets: [B, num_ws, w_dim].
    """

    target: Tensor
    clean: int
    rebuilt: Tensor
    random: Tensor
    w: Tensor
    offsets: Tensor


def prepare(images: Tensor, o: Objective) -> tuple[Tensor, Tensor]:
    """uint8 [B, 3, S, S] → what to rebuild, and what the encoder is shown, both −1..1."""
    x = mirror(images.float() / 127.5 - 1)
    photographed = photographic(x[len(x) - o.photographic :])
    target = torch.cat([x[: len(x) - o.photographic], photographed])
    shown = torch.where(torch.rand(len(x), 1, 1, 1) < 0.3, degrade(target), target)
    return target, shown


def random_latents(g: StyleGAN2, w: Tensor, count: int) -> Tensor:
    """Half from the mapping, half between two encoded pictures, where edits of photographs move: [count, w_dim]."""
    mapped = g.mapping(torch.randn(count - count // 2, g.z_dim), None)
    g.w_avg.lerp_(mapped.detach().mean(dim=0), 0.002)
    pick = torch.randint(len(w), (2, count // 2))
    t = torch.rand(count // 2, 1) * (torch.pi / 2)
    between = w[pick[0]] * t.cos() + w[pick[1]] * t.sin()  # keeps the variance
    return torch.cat([mapped, between.detach()])


def forward(nets: Networks, images: Tensor, o: Objective, dtype: torch.dtype) -> Forward:
    """Encodes and rebuilds a batch, and renders random faces beside it in the same pass."""
    target, shown = prepare(images, o)
    w, offsets = nets.encoder.parts(shown, dtype)
    fresh = random_latents(nets.generator, w, o.random).unsqueeze(1).expand(-1, offsets.shape[1], -1)
    ws = torch.cat([w.unsqueeze(1) + offsets, fresh])
    pictures = nets.generator.synthesize(ws, noise="none", dtype=dtype)
    rebuilt, random = pictures.split([len(target), o.random])
    return Forward(target, len(target) - o.photographic, rebuilt, random, w, offsets)


def generator_loss(
    nets: Networks, f: Forward, o: Objective, augment: float, dtype: torch.dtype, weights: Tensor
) -> tuple[Tensor, dict]:
    """Pixels by their weights [1, 1, S, S], discriminator features, two adversarial terms, moments of w, small
    offsets."""
    discriminator = nets.discriminator
    pixels = pyramid_l1(f.target * weights, f.rebuilt * weights).mean()
    with torch.no_grad():
        maps = discriminator.trunk.maps(f.target, dtype)
    features = discriminator.distance(maps, discriminator.trunk.maps(f.rebuilt, dtype)).mean()
    fakes = for_discriminator(torch.cat([f.rebuilt[: f.clean], f.random]), augment)
    logits = discriminator(fakes, dtype)
    fool = F.softplus(-logits[: f.clean]).mean()
    fool_random = F.softplus(-logits[f.clean :]).mean()
    moments = f.w.mean(0).square().mean() + (f.w.var(0) - 1).square().mean()
    offsets = f.offsets.square().mean()
    loss = pixels + o.features * features + o.adversarial * fool + o.adversarial_random * fool_random
    loss = loss + o.moments * moments + o.offsets * offsets
    parts = {"pixels": pixels, "features": features, "fool": fool, "fool_random": fool_random, "offsets": offsets}
    return loss, {k: v.item() for k, v in parts.items()}


def discriminator_loss(nets: Networks, f: Forward, augment: float, dtype: torch.dtype) -> tuple[Tensor, float]:
    """The non-saturating loss, and how often the discriminator is right about real pictures minus how often not."""
    reals = f.target[: f.clean]
    fakes = torch.cat([f.rebuilt[: f.clean], f.random]).detach()
    logits = nets.discriminator(for_discriminator(torch.cat([reals, fakes]), augment), dtype)
    real, fake = logits.split([len(reals), len(fakes)])
    return F.softplus(-real).mean() + F.softplus(fake).mean(), real.sign().mean().item()


def r1_penalty(nets: Networks, f: Forward, o: Objective, augment: float) -> Tensor:
    """Squared gradient of the discriminator at real pictures, in float32, scaled for being applied lazily."""
    reals = for_discriminator(f.target[: f.clean], augment).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(nets.discriminator(reals).sum(), reals, create_graph=True)
    return gradient.square().sum(dim=[1, 2, 3]).mean() * (o.r1_gamma / 2 * o.r1_every)
