"""Do sliders still work on a latent? Measured against random faces, on which they were found.

The nearer a latent is brought to its picture, the further it goes from where the generator was trained, and the less an
edit does there, or the more it breaks (distortion against editability: Tov et al. 2021, §3).
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

#: Units that each slider is moved by, to both sides.
STRENGTH = 2.0
#: Random faces that are compared with, at this truncation.
FACES, PSI = 12, 0.7
#: Effects that differ by less than this share of the random faces' are alike.
TOLERANCE = 0.2
#: Fewer faces of generators above this size, whose pictures take long.
_FEWER_FROM_PX, _FEWEST_FACES = 256, 4
#: Pixels that are rendered together.
_MAX_PIXELS = 1 << 19


@dataclass(frozen=True, eq=False)
class Editability:
    """How much sliders do on a latent, as a multiple of what they do on random faces.

    Attributes:
        pixels: In mean absolute differences of pixels; the mean over the directions.
        features: In the discriminator's features; None for a model without a discriminator.
        each: ``pixels`` by the direction's name.
    """

    pixels: float
    features: float | None
    each: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """The mean of both: 1 where sliders do as much as on random faces, 0 where they do nothing."""
        return self.pixels if self.features is None else (self.pixels + self.features) / 2

    @property
    def works(self) -> bool:
        """Whether sliders do as much as on random faces, within ``TOLERANCE``."""
        return abs(self.ratio - 1) <= TOLERANCE


@torch.inference_mode()
def editability(g: Generator, latent: Latent, directions: Sequence[Direction]) -> Editability:
    """Measures what sliders do on a latent.

    1. Move every direction by ``STRENGTH`` units to both sides; the effect is the mean absolute difference to the
       picture unmoved, in pixels and in the discriminator's features.
    2. Divide by the mean of the same on random faces of psi 0.7, direction by direction, and take the mean.

    Args:
        g: The latent's generator.
        latent: With or without a refinement.
        directions: The model's own, such as its named ones; their layers are kept to.

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
    usual = _usual(g, digest, discriminator=discriminator, offsets=offsets)
    ratios = (_effects(drawing, discriminator, latent.ws.to(g.device), offsets) / usual.clamp_min(1e-8)).cpu()
    each = {d.name: float(r) for d, r in zip(directions, ratios[:, 0], strict=True)}
    means = ratios.mean(dim=0).tolist()
    return Editability(means[0], None if discriminator is None else means[1], each)


def _offset(d: Direction) -> Tensor:
    """What a direction adds to ws at ``STRENGTH``: float32 [num_ws, w_dim]."""
    offset = torch.zeros_like(d.vector)
    start, stop = d.layers or (0, len(offset))
    offset[start:stop] = d.vector[start:stop] * STRENGTH
    return offset


@per_model
def _usual(g: Generator, digest: str, *, discriminator: Discriminator | None, offsets: Tensor) -> Tensor:
    """The effects of the offsets of this digest on random faces: [D, 2]."""
    count = FACES if g.size_px <= _FEWER_FROM_PX else _FEWEST_FACES
    faces = random_ws(g, list(range(1000, 1000 + count)), truncation_psi=PSI)
    return torch.stack([_effects(g, discriminator, ws, offsets) for ws in faces]).mean(dim=0)


def _effects(g: Generator, discriminator: Discriminator | None, ws: Tensor, offsets: Tensor) -> Tensor:
    """What each of the offsets does to ws [num_ws, w_dim], to both sides: [D, 2], in pixels and to the
    discriminator."""
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
