"""Augmented views of portraits that prepare the landmark network for photographs: geometry, lighting, clutter."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

#: Indices of the landmarks after mirroring, which swaps the eyes.
MIRROR = (1, 0, 2, 3, 4)

#: Center of the frame in a portrait, as fractions of its side; MEAN_FACE is relative to it.
FRAME_CENTER = (0.5, 0.68)


@dataclass(frozen=True)
class ViewConfig:
    """Ranges of the augmentation.

    Attributes:
        size_px: Side of the views.
        angle_deg: Rotation, uniform in ±angle_deg.
        side: Geometric mean of the frame's side, in portrait sides.
        zoom: The side varies by a factor of exp(uniform ±zoom).
        shift: Translation, uniform in ±shift frame sides.
        negatives: Share of views without a recognizable face.
    """

    size_px: int = 96
    angle_deg: float = 45.0
    side: float = 1.0
    zoom: float = 0.38
    shift: float = 0.16
    negatives: float = 0.25


class Views(NamedTuple):
    """A batch of views.

    Attributes:
        image: float32 [N, 3, S, S], −1..1.
        points: float32 [N, 5, 2], fractions of the side; may lie outside 0..1.
        is_face: bool [N].
    """

    image: Tensor
    points: Tensor
    is_face: Tensor


def make_views(pictures: Tensor, points: Tensor, config: ViewConfig, random: torch.Generator) -> Views:
    """Draws one view of each portrait.

    Args:
        pictures: uint8 [N, 3, P, P].
        points: float32 [N, 5, 2], fractions of the portrait's side.
        config: Ranges of the augmentation.
        random: Source of randomness.
    """
    n = len(pictures)
    kind = _negative_kinds(n, config.negatives, random)
    frame_to_portrait = _frames(n, kind, config, random)
    source = pictures.float() / 127.5 - 1
    backdrop = _backdrops(source, config.size_px, random)
    image = _sample(source, frame_to_portrait, backdrop, config.size_px, random)
    seen = transform_points(points, torch.linalg.inv(frame_to_portrait))
    image = _destroy(image, seen, kind, random)
    image = _glasses(image, seen, random)
    image = _occlude(image, backdrop, random)
    mirrored = uniform(random, n) < 0.5
    image = torch.where(mirrored[:, None, None, None], image.flip(3), image)
    flipped = torch.stack([1 - seen[..., 0], seen[..., 1]], -1)[:, list(MIRROR)]
    seen = torch.where(mirrored[:, None, None], flipped, seen)
    return Views(photographed(_texture(image, kind, random), random), seen, kind == 0)


def uniform(random: torch.Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform random numbers in ``low``..``high``, float32."""
    return torch.rand(shape, generator=random) * (high - low) + low


#: Kinds of views: a face, and six kinds of negatives.
FACE, SHUFFLED, TURNED, TOO_CLOSE, ASIDE, WIPED, TEXTURE = range(7)


def _negative_kinds(n: int, share: float, random: torch.Generator) -> Tensor:
    kind = torch.randint(1, 7, (n,), generator=random)
    return torch.where(uniform(random, n) < share, kind, 0)


def _frames(n: int, kind: Tensor, config: ViewConfig, random: torch.Generator) -> Tensor:
    """Homographies [N, 3, 3] from frame to portrait, both in fractions of their sides."""
    angle = uniform(random, n, low=-1, high=1) * math.radians(config.angle_deg)
    angle = torch.where(kind == TURNED, uniform(random, n, low=math.radians(100), high=math.radians(260)), angle)
    side = torch.exp(uniform(random, n, low=-1, high=1) * config.zoom) * config.side
    side = torch.where(kind == TOO_CLOSE, uniform(random, n, low=0.12, high=0.3), side)
    shift = uniform(random, n, 2, low=-1, high=1) * config.shift
    away = uniform(random, n, low=0, high=2 * math.pi)
    far = torch.stack([away.cos(), away.sin()], -1) * uniform(random, n, 1, low=0.5, high=0.8)
    shift = torch.where((kind == ASIDE)[:, None], far, shift) * side[:, None]
    center = torch.tensor(FRAME_CENTER) + shift
    # A close-up may lie anywhere in the portrait, because it never shows the whole face.
    center = torch.where((kind == TOO_CLOSE)[:, None], uniform(random, n, 2), center)
    stretch = torch.exp(uniform(random, n, low=-0.1, high=0.1))
    shear = uniform(random, n, low=-0.08, high=0.08)
    m = torch.zeros(n, 3, 3)
    m[:, 0, 0], m[:, 0, 1] = side * stretch * angle.cos(), side * (shear - angle.sin())
    m[:, 1, 0], m[:, 1, 1] = side * angle.sin(), side / stretch * angle.cos()
    m[:, :2, 2] = center
    m[:, 2, 2] = 1
    m[:, 2, :2] = uniform(random, n, 2, low=-0.15, high=0.15)
    from_corner = torch.eye(3)
    from_corner[:2, 2] = -0.5
    return m @ from_corner


def transform_points(points: Tensor, m: Tensor) -> Tensor:
    """Applies homographies [N, 3, 3] to points [N, P, 2]."""
    p = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ m.transpose(1, 2)
    return p[..., :2] / p[..., 2:]


def _sample(source: Tensor, m: Tensor, backdrop: Tensor, size_px: int, random: torch.Generator) -> Tensor:
    """Samples portraits [N, 3, P, P] through frames; outside, reflected, clamped to the border, or the backdrop."""
    n = len(source)
    steps = (torch.arange(size_px) + 0.5) / size_px
    grid = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).reshape(1, -1, 2).expand(n, -1, -1)
    at = transform_points(grid, m).reshape(n, size_px, size_px, 2) * 2 - 1
    half = n // 2  # a random half: batches are shuffled
    image = torch.cat(
        [
            F.grid_sample(source[:half], at[:half], mode="bilinear", padding_mode="reflection", align_corners=False),
            F.grid_sample(source[half:], at[half:], mode="bilinear", padding_mode="border", align_corners=False),
        ]
    )
    inside = (at.abs() <= 1).all(-1, keepdim=True).permute(0, 3, 1, 2).float()
    replace = (uniform(random, n) < 0.6)[:, None, None, None]
    return torch.where(replace, image * inside + backdrop * (1 - inside), image)


def _clouds(n: int, size_px: int, random: torch.Generator, channels: int = 3) -> Tensor:
    """Smooth noise of several octaves, [N, channels, S, S], about −1..1."""
    total = torch.randn(n, channels, 2, 2, generator=random)
    for cells in (4, 8, 16, 32):
        finer = torch.randn(n, channels, cells, cells, generator=random) * uniform(random, n, 1, 1, 1)
        total = F.interpolate(total, scale_factor=2.0, mode="bilinear", align_corners=False) + finer * cells**-0.35
    return F.interpolate(total.clamp(-1.5, 1.5) / 1.5, size=(size_px, size_px), mode="bilinear", align_corners=False)


def _backdrops(source: Tensor, size_px: int, random: torch.Generator) -> Tensor:
    """Backgrounds [N, 3, S, S]: pieces of other portraits, plain colors, or clouds."""
    n = len(source)
    other = source[torch.randperm(n, generator=random)]
    turned = torch.where((uniform(random, n) < 0.5)[:, None, None, None], other.flip(2), other.transpose(2, 3))
    side = source.shape[-1] // 2
    x, y = (int(torch.randint(0, source.shape[-1] - side, (1,), generator=random)) for _ in range(2))
    piece = turned[:, :, y : y + side, x : x + side]
    piece = F.interpolate(piece, size=(size_px, size_px), mode="bilinear", align_corners=False)
    plain = uniform(random, n, 3, 1, 1, low=-1, high=1).expand(-1, -1, size_px, size_px)
    cloudy = (plain + _clouds(n, size_px, random) * 0.7).clamp(-1, 1)
    which = torch.randint(0, 3, (n, 1, 1, 1), generator=random)
    return torch.where(which == 0, piece, torch.where(which == 1, plain, cloudy))


def _destroy(image: Tensor, points: Tensor, kind: Tensor, random: torch.Generator) -> Tensor:
    """Turns faces into negatives: tiles shuffled, or eyes and mouth blurred away."""
    s = image.shape[-1]
    where = (kind == SHUFFLED).nonzero()[:, 0]
    cells = 3 if bool(torch.rand((), generator=random) < 0.5) else 4
    blocks = image[where].reshape(-1, 3, cells, s // cells, cells, s // cells).permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
    blocks = blocks[:, torch.randperm(cells * cells, generator=random)].unflatten(1, (cells, cells))
    image = image.index_copy(0, where, blocks.permute(0, 3, 1, 4, 2, 5).reshape(-1, 3, s, s))
    where = (kind == WIPED).nonzero()[:, 0]
    face, points = image[where], points[where]
    eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)
    soft = F.interpolate(F.adaptive_avg_pool2d(face, 6), size=(s, s), mode="bilinear", align_corners=False)
    near = torch.stack([distance_to(points[:, i], s) / (eyes[:, None, None] * 0.5) for i in (0, 1, 3)]).amin(0)
    amount = ((1.3 - near) * 3).clamp(0, 1)[:, None]
    return image.index_copy(0, where, face * (1 - amount) + soft * amount)


def distance_to(center: Tensor, size_px: int) -> Tensor:
    """Distance of every pixel from ``center`` [N, 2], both in fractions of the side: [N, S, S]."""
    steps = (torch.arange(size_px) + 0.5) / size_px
    dx, dy = steps[None, None, :] - center[:, 0, None, None], steps[None, :, None] - center[:, 1, None, None]
    return (dx**2 + dy**2).sqrt()


def _glasses(image: Tensor, points: Tensor, random: torch.Generator) -> Tensor:
    """Draws glasses on some faces, which the portraits lack and photographs have."""
    where = (uniform(random, len(image)) < 0.15).nonzero()[:, 0]
    face, points = image[where], points[where]
    n, s = len(where), image.shape[-1]
    eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)[:, None, None]
    radius = eyes * uniform(random, n, 1, 1, low=0.32, high=0.46)
    rim = uniform(random, n, 1, 1, low=0.006, high=0.02)
    to_lens = torch.minimum(distance_to(points[:, 0], s), distance_to(points[:, 1], s))
    rims = (1.5 - (to_lens - radius).abs() / rim).clamp(0, 1)
    tint = (radius > to_lens).float() * (uniform(random, n, 1, 1) - 0.6).clamp(0) * 2
    amount = torch.maximum(rims * uniform(random, n, 1, 1, low=0.4), tint)[:, None]
    color = uniform(random, n, 3, 1, 1, low=-1, high=-0.2)
    return image.index_copy(0, where, face * (1 - amount) + color * amount)


def _occlude(image: Tensor, backdrop: Tensor, random: torch.Generator) -> Tensor:
    """Occludes some views with one or two soft disks of backdrop."""
    n, s = len(image), image.shape[-1]
    for probability in (0.35, 0.15):
        center = uniform(random, n, 2)
        radius = uniform(random, n, 1, 1, low=0.05, high=0.18)
        amount = ((radius - distance_to(center, s)) * 40).clamp(0, 1) * (uniform(random, n, 1, 1) < probability)
        image = image * (1 - amount[:, None]) + backdrop.roll(1, 0) * amount[:, None]
    return image


def _texture(image: Tensor, kind: Tensor, random: torch.Generator) -> Tensor:
    """Replaces the views of kind TEXTURE with clouds, some striped or blobby."""
    where = (kind == TEXTURE).nonzero()[:, 0]
    n, s = len(where), image.shape[-1]
    cloudy = _clouds(n, s, random)
    wave = torch.sin(_clouds(n, s, random, 1) * uniform(random, n, 1, 1, 1, low=2, high=20))
    striped = torch.where((uniform(random, n) < 0.5)[:, None, None, None], cloudy * 0.5 + wave * 0.5, cloudy)
    return image.index_copy(0, where, striped)


def photographed(image: Tensor, random: torch.Generator) -> Tensor:
    """Randomizes gamma, saturation, white balance, contrast, brightness, light direction, blur and grain."""
    n, s = len(image), image.shape[-1]
    x = (image.clamp(-1, 1) + 1) / 2
    x = x.clamp_min(1e-4) ** torch.exp(uniform(random, n, 1, 1, 1, low=-0.6, high=0.6))
    gray = (x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    saturation = uniform(random, n, 1, 1, 1, low=0.3, high=1.6) * (uniform(random, n, 1, 1, 1) > 0.15)
    x = gray + (x - gray) * saturation
    x = x * torch.exp(uniform(random, n, 3, 1, 1, low=-0.2, high=0.2))
    middle = x.mean((1, 2, 3), keepdim=True)
    x = (x - middle) * torch.exp(uniform(random, n, 1, 1, 1, low=-0.6, high=0.3)) + middle
    x = x + uniform(random, n, 1, 1, 1, low=-0.15, high=0.15)
    steps = torch.linspace(-1, 1, s)
    angle = uniform(random, n, 1, 1, high=2 * math.pi)
    ramp = steps[None, None, :] * angle.cos() + steps[None, :, None] * angle.sin()
    x = x * torch.exp(ramp * uniform(random, n, 1, 1, high=0.7))[:, None]
    to = int(torch.randint(s // 4, s, (1,), generator=random))
    where = (uniform(random, n) < 0.3).nonzero()[:, 0]
    blurred = F.interpolate(F.adaptive_avg_pool2d(x[where], to), size=(s, s), mode="bilinear", align_corners=False)
    x = x.index_copy(0, where, blurred)
    x = x + torch.randn(x.shape, generator=random) * (uniform(random, n, 1, 1, 1) ** 3 * 0.1)
    return x.clamp(0, 1) * 2 - 1
