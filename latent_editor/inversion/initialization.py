"""Where an optimization starts in a model that has no encoder."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor

from latent_editor.generators import Generator, random_ws
from latent_editor.generators.pictures import fastest_dtype, resized
from latent_editor.generators.preview import small
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.optimization import OptimizationConfig
from latent_editor.networks.perceptual import Discriminator, pyramid_l1

#: Limits of the search among random latents: their number, the share of the time, and the seconds.
MAX_LATENTS, SHARE, MAX_SECONDS = 96, 0.1, 3.0
#: The size at which pictures are compared, and the batch size.
SIZE_PX, _BATCH = 128, 8
PSI = 0.7


@torch.no_grad()
def best_start(
    g: Generator, target: Tensor, discriminator: Discriminator | None, *, seconds: float, class_index: int | None = None
) -> Tensor:
    """The mean or random latent whose picture is nearest to the target, in pixels and in the discriminator's features.

    Adam converges better from a picture with the same pose and colors than from the mean, and edits work on random
    latents. In a conditional model, the best one also determines the class.

    Args:
        g: The generator.
        target: [1, channels, size_px, size_px], −1..1.
        discriminator: For the perceptual distance; None leaves it out.
        seconds: Time of the whole inversion, of which a share is used; 0 gives the mean.
        class_index: Search only among pictures of this class.

    Returns:
        float32 ws [1, num_ws, w_dim].

    Raises:
        BadValue: a class that the generator does not have.
    """
    began, limit = time.monotonic(), min(MAX_SECONDS, SHARE * seconds)
    mean = g.w_avg.expand(1, g.num_ws, -1)
    if class_index is not None:
        mean = random_ws(g, list(range(16)), truncation_psi=1.0, class_index=class_index).mean(dim=0, keepdim=True)
    if seconds == 0:
        return mean.clone()
    preview = small(g, SIZE_PX)
    wanted = resized(target, preview.size_px)
    maps = None if discriminator is None else discriminator.maps(wanted)
    best, smallest = mean, float("inf")
    for first in range(0, MAX_LATENTS, _BATCH):
        ws = random_ws(g, list(range(first, first + _BATCH)), truncation_psi=PSI, class_index=class_index)
        ws = torch.cat([mean, ws[1:]]) if first == 0 else ws
        distances = _distances(preview, ws, wanted, discriminator, maps)
        if float(distances.min()) < smallest:
            best, smallest = ws[distances.argmin()][None], float(distances.min())
        if time.monotonic() - began >= limit:
            break
    return best.clone()


def _distances(
    g: Generator, ws: Tensor, wanted: Tensor, discriminator: Discriminator | None, maps: list[Tensor] | None
) -> Tensor:
    """Distances of pictures to the target [N], with the weights of the optimization."""
    pictures = g.synthesize(ws, dtype=fastest_dtype(g.device))
    wanted = wanted.expand_as(pictures)
    distance = pyramid_l1(pictures, wanted) + Objective.pixels * (pictures - wanted).square().mean(dim=[1, 2, 3])
    if discriminator is not None and maps is not None:
        alike = discriminator.distance(discriminator.maps(pictures), [m.expand(len(ws), -1, -1, -1) for m in maps])
        distance = distance + Objective.perceptual * alike
    return distance


def in_units_of_w(g: Generator, config: OptimizationConfig) -> OptimizationConfig:
    """Scales the configuration to the standard deviation of a generator's w, which is 1 only in this project's
    training."""
    ws = random_ws(g, list(range(64)), truncation_psi=1.0)
    spread = min(max(float(ws[:, 0].std(dim=0).square().mean().sqrt()), 1e-3), 1e3)
    pulls = {name: getattr(config, name) / spread**2 for name in ("pull", "center", "spread")}
    return replace(config, rate=config.rate * spread, **pulls)
