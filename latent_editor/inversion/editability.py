"""Editability of a latent: the effect of sliders on it, relative to random faces.

The nearer a latent is to its photograph, the further it leaves the distribution that the generator was trained on, and
the weaker or less clean edits become (the distortion–editability tradeoff, Tov et al. 2021, §3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent, BadValue
from latent_editor.core.values import Direction, Latent
from latent_editor.generators import Generator, generator_for, random_ws
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.models.per_model import per_model
from latent_editor.networks.perceptual import Discriminator, load_discriminator

#: Units that each slider moves, to both sides.
STRENGTH = 2.0
#: Random reference faces, and their truncation.
FACES, PSI = 12, 0.7
#: Sliders work if their effect differs by at most this share.
TOLERANCE = 0.2
#: Generators above this size, which are slow, use fewer faces.
_LARGE_PX, _LARGE_FACES = 256, 4
#: Pixels per batch.
_MAX_PIXELS = 1 << 19


@dataclass(frozen=True, eq=False)
class Editability:
    """The effect of sliders on a latent, as a multiple of their effect on random faces.

    Attributes:
        pixels: By mean absolute differences of pixels, averaged over directions.
        features: By the discriminator's features; None without a discriminator.
        each: ``pixels`` of each direction, by name.
    """

    pixels: float
    features: float | None
    each: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """The mean of both: 1 if sliders have the same effect as on random faces, 0 if they have none."""
        return self.pixels if self.features is None else (self.pixels + self.features) / 2

    @property
    def works(self) -> bool:
        """Whether sliders have the same effect as on random faces, within ``TOLERANCE``."""
        return abs(self.ratio - 1) <= TOLERANCE


@torch.inference_mode()
def editability(g: Generator, latent: Latent, directions: Sequence[Direction]) -> Editability:
    """Measures the effect of sliders on a latent.

    1. Apply every direction with ``STRENGTH`` units to both sides; the effect is the mean absolute difference to the
       unedited picture, in pixels and in the discriminator's features.
    2. Divide by the mean effect on random faces with psi 0.7, direction by direction, and take the mean.

    Args:
        g: The latent's generator.
        latent: With or without a refinement.
        directions: Such as the model's named ones; they act on their own layers.

    Raises:
        BadLatent: the latent belongs to another model, or a direction does.
        BadValue: there are no directions.
    """
    drawing = generator_for(g, latent)
    if not directions:
        raise BadValue("Got no directions to measure with. Pass the model's named directions.")
    for d in directions:
        if d.vector.shape != latent.ws.shape:
            raise BadLatent(
                f"The direction {d.name!r} has the shape {list(d.vector.shape)}, the latent {list(latent.ws.shape)}: "
                "they belong to different models. Use directions of the model that made the latent."
            )
    offsets = torch.stack([_offset(d) for d in directions]).to(g.device)  # [D, num_ws, w_dim]
    discriminator = load_discriminator(g)
    digest = hashlib.blake2b(offsets.cpu().numpy().tobytes(), digest_size=8).hexdigest()
    typical = _typical_effects(g, digest, discriminator=discriminator, offsets=offsets)
    ratios = (_effects(drawing, discriminator, latent.ws.to(g.device), offsets) / typical.clamp_min(1e-8)).cpu()
    each = {d.name: float(r) for d, r in zip(directions, ratios[:, 0], strict=True)}
    means = ratios.mean(dim=0).tolist()
    return Editability(means[0], None if discriminator is None else means[1], each)


def _offset(d: Direction) -> Tensor:
    """The offset of ws at ``STRENGTH``: float32 [num_ws, w_dim]."""
    offset = torch.zeros_like(d.vector)
    start, stop = d.layers or (0, len(offset))
    offset[start:stop] = d.vector[start:stop] * STRENGTH
    return offset


@per_model
def _typical_effects(g: Generator, digest: str, *, discriminator: Discriminator | None, offsets: Tensor) -> Tensor:
    """The effects of the offsets of this digest on random faces: [D, 2]."""
    count = FACES if g.size_px <= _LARGE_PX else _LARGE_FACES
    faces = random_ws(g, list(range(1000, 1000 + count)), truncation_psi=PSI)
    return torch.stack([_effects(g, discriminator, ws, offsets) for ws in faces]).mean(dim=0)


def _effects(g: Generator, discriminator: Discriminator | None, ws: Tensor, offsets: Tensor) -> Tensor:
    """The effect of each offset on ws [num_ws, w_dim], to both sides: [D, 2], in pixels and in features."""
    dtype = fastest_dtype(g.device)

    def seen(ws: Tensor) -> tuple[Tensor, list[Tensor]]:
        pictures = g.synthesize(ws, dtype=dtype).clamp(-1, 1)
        return pictures, [] if discriminator is None else discriminator.maps(pictures, dtype)

    before, maps = seen(ws[None])
    effects = []
    for some in offsets.split(max(1, _MAX_PIXELS // g.size_px**2 // 2)):
        moved, moved_maps = seen(torch.cat([ws + some, ws - some]))
        in_pixels = (moved - before).abs().mean(dim=[1, 2, 3])
        in_features = torch.zeros_like(in_pixels)
        if discriminator is not None:
            in_features = discriminator.distance(moved_maps, maps)
        effects.append(torch.stack([in_pixels, in_features], dim=1).unflatten(0, (2, -1)).mean(dim=0))
    return torch.cat(effects)
