"""Losses of generator, encoder and discriminator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.degradations import luminance
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.networks.perceptual import pyramid_l1
from latent_editor.train.augmentation import degrade, for_discriminator, mirror, photographic
from latent_editor.train.networks import Networks
from latent_editor.train.projected import ProjectedHeads, fooling_loss, hinge_loss
from latent_editor.train.teacher import FaceTeacher, identity_loss, maps_loss


@dataclass(frozen=True)
class Objective:
    """Loss weights and batch composition.

    Attributes:
        batch: Images per step.
        random: Additional random faces per step.
        photographic: Images of a batch that are augmented to look photographed.
        features, adversarial, adversarial_random, moments, offsets: Weights relative to the pixel loss.
        identity, face_maps, projected: Weights of the losses that use a face teacher.
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
    identity: float = 0.3
    face_maps: float = 0.25
    projected: float = 0.1
    r1_gamma: float = 1.0
    r1_every: int = 16


@dataclass(frozen=True, eq=False)
class Faces:
    """A frozen face network, and discriminator heads on its feature maps."""

    teacher: FaceTeacher
    heads: ProjectedHeads


@dataclass(frozen=True, eq=False)
class Forward:
    """One pass of encoder and generator over a batch.

    Attributes:
        target: [B, 3, S, S], the images to reconstruct; the first ``clean`` of them are not augmented.
        clean: Number of images that discriminators see.
        rebuilt: [B, 3, S, S], the reconstructions; luminance only where the target is grayscale.
        random: [R, 3, S, S], renders of random latents.
        w: [B, w_dim]; offsets: [B, num_ws, w_dim].
    """

    target: Tensor
    clean: int
    rebuilt: Tensor
    random: Tensor
    w: Tensor
    offsets: Tensor


def prepare(images: Tensor, o: Objective, last_gray: int = 0) -> tuple[Tensor, Tensor]:
    """uint8 [B, 3, S, S] → reconstruction targets and encoder inputs, both −1..1.

    The last ``o.photographic`` images are augmented to look photographed, and the last ``last_gray`` of these converted
    to grayscale.
    """
    x = mirror(images.float() / 127.5 - 1)
    photographed = photographic(x[len(x) - o.photographic :])
    target = _last_in_luminance(torch.cat([x[: len(x) - o.photographic], photographed]), last_gray)
    inputs = torch.where(torch.rand(len(x), 1, 1, 1) < 0.3, degrade(target), target)
    return target, _last_in_luminance(inputs, last_gray)


def _last_in_luminance(x: Tensor, count: int) -> Tensor:
    """x [N, 3, S, S] with the last ``count`` images in grayscale."""
    first = len(x) - count
    return torch.cat([x[:first], luminance(x[first:]).expand(-1, 3, -1, -1)]) if count else x


def random_latents(g: StyleGAN2, w: Tensor, count: int) -> Tensor:
    """w [count, w_dim]: half from the mapping network, half between two encoded images, where edits of photos move."""
    mapped = g.mapping(torch.randn(count - count // 2, g.z_dim), None)
    g.w_avg.lerp_(mapped.detach().mean(dim=0), 0.002)
    pick = torch.randint(len(w), (2, count // 2))
    t = torch.rand(count // 2, 1) * (torch.pi / 2)
    between = w[pick[0]] * t.cos() + w[pick[1]] * t.sin()  # keeps the variance
    return torch.cat([mapped, between.detach()])


def forward(nets: Networks, images: Tensor, o: Objective, dtype: torch.dtype, *, last_gray: int = 0) -> Forward:
    """Encodes and reconstructs a batch, and renders random faces in the same pass.

    Args:
        last_gray: Number of images at the end of the batch to compare by luminance only; at most ``o.photographic``, so
            that no discriminator sees them.
    """
    target, inputs = prepare(images, o, last_gray)
    w, offsets = nets.encoder.parts(inputs, dtype)
    fresh = random_latents(nets.generator, w, o.random).unsqueeze(1).expand(-1, offsets.shape[1], -1)
    ws = torch.cat([w.unsqueeze(1) + offsets, fresh])
    pictures = nets.generator.synthesize(ws, noise="none", dtype=dtype)
    rebuilt, random = pictures.float().split([len(target), o.random])
    rebuilt = _last_in_luminance(rebuilt, last_gray)
    return Forward(target, len(target) - o.photographic, rebuilt, random, w, offsets)


def generator_loss(
    nets: Networks, f: Forward, o: Objective, augment: float, dtype: torch.dtype, weights: Tensor, faces: Faces | None
) -> tuple[Tensor, dict[str, float]]:
    """The weighted sum of all terms, and each term by name.

    Pixels weighted by ``weights`` [1, 1, S, S], discriminator features, two adversarial terms, moments of w, and the
    size of the offsets; with a face teacher also identity, its feature maps, and the adversarial loss of its heads.
    """
    with torch.no_grad():
        maps = nets.discriminator.trunk.maps(f.target, dtype)
    fakes = for_discriminator(torch.cat([f.rebuilt[: f.clean], f.random]), augment)
    logits = nets.discriminator(fakes, dtype)
    terms = {
        "pixels": (1.0, pyramid_l1(f.target * weights, f.rebuilt * weights).mean()),
        "features": (
            o.features,
            nets.discriminator.distance(maps, nets.discriminator.trunk.maps(f.rebuilt, dtype)).mean(),
        ),
        "fool": (o.adversarial, F.softplus(-logits[: f.clean]).mean()),
        "fool_random": (o.adversarial_random, F.softplus(-logits[f.clean :]).mean()),
        "moments": (o.moments, f.w.mean(0).square().mean() + (f.w.var(0) - 1).square().mean()),
        "offsets": (o.offsets, f.offsets.square().mean()),
    }
    if faces is not None:
        terms |= _face_terms(faces, f, o, fakes)
    loss = torch.stack([weight * term for weight, term in terms.values()]).sum()
    return loss, {name: term.item() for name, (_, term) in terms.items()}


def _face_terms(faces: Faces, f: Forward, o: Objective, fakes: Tensor) -> dict[str, tuple[float, Tensor]]:
    teacher = faces.teacher
    with torch.no_grad():
        target = teacher.maps(f.target)
    rebuilt = teacher.maps(f.rebuilt)
    return {
        "identity": (o.identity, identity_loss(teacher.identity(target), teacher.identity(rebuilt))),
        "face_maps": (o.face_maps, maps_loss(target, rebuilt)),
        "fool_heads": (o.projected, fooling_loss(faces.heads(teacher.maps(fakes)))),
    }


def discriminator_loss(
    nets: Networks, f: Forward, augment: float, dtype: torch.dtype, faces: Faces | None
) -> tuple[Tensor, float]:
    """The non-saturating loss, plus the hinge loss of the heads if there is a face teacher.

    Returns:
        The loss, and the mean sign of the logits of real images, −1..1.
    """
    reals = f.target[: f.clean]
    fakes = torch.cat([f.rebuilt[: f.clean], f.random]).detach()
    augmented = for_discriminator(torch.cat([reals, fakes]), augment)
    real, fake = nets.discriminator(augmented, dtype).split([len(reals), len(fakes)])
    loss = F.softplus(-real).mean() + F.softplus(fake).mean()
    if faces is not None:
        with torch.no_grad():
            maps = faces.teacher.maps(augmented)
        loss = loss + hinge_loss(faces.heads(maps), len(reals))
    return loss, real.sign().mean().item()


def r1_penalty(nets: Networks, f: Forward, o: Objective, augment: float) -> Tensor:
    """R1: squared gradient of the discriminator at real images, in float32, scaled for lazy regularization."""
    reals = for_discriminator(f.target[: f.clean], augment).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(nets.discriminator(reals).sum(), reals, create_graph=True)
    return gradient.square().sum(dim=[1, 2, 3]).mean() * (o.r1_gamma / 2 * o.r1_every)
