"""Plain measurements of pictures: light, color, detail, pose; no CLIP is needed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import MissingPart
from latent_editor.core.face_geometry import has_landmarks, landmark_array
from latent_editor.directions.regions import FACE_REGIONS, region_masks, region_names
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, resized
from latent_editor.networks.faces import canonical_points
from latent_editor.networks.landmarks import Found, frame_from_points, load_landmark_net

_SIDE = 32
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
#: Size at which the colors of parts of the face are measured, the measures, and their families.
_PARTS_SIDE = 64
_LIGHT, _WARMTH, _BLUENESS = {"light": _LUMA}, {"warmth": (1.0, -0.5, -0.5)}, {"blueness": (-0.5, -0.5, 1.0)}
_PART_COLORS = {
    "hair": {**_LIGHT, **_WARMTH, **_BLUENESS},
    "skin": _LIGHT,
    "background": {**_LIGHT, **_BLUENESS},
}
_PART_FAMILIES = {"hair": "hair color", "skin": "skin", "background": "background"}


@dataclass(frozen=True)
class Measure:
    """A number measured in a picture.

    Attributes:
        name: Name of the positive direction.
        family: Measures and attributes of one family mean nearly the same, or go together in most faces.
        read: Pictures [N, 3, S, S], −1..1 → numbers [N].
    """

    name: str
    family: str
    read: Callable[[Tensor], Tensor]


def image_measures(g: Generator) -> tuple[Measure, ...]:
    """The measures of a generator's pictures: light and colors in all of them, pose if they show faces."""
    return (*PLAIN_MEASURES, *_face_measures(g))


def _small(pictures: Tensor) -> Tensor:
    return resized(as_rgb(pictures), _SIDE)


def _luma(pictures: Tensor) -> Tensor:
    return (pictures * torch.tensor(_LUMA, device=pictures.device).view(3, 1, 1)).sum(dim=1)


def _border(pictures: Tensor) -> Tensor:
    """The upper half of the left and right edges, which show the background of portraits: [N, 3, M]."""
    x = _small(pictures)[:, :, : _SIDE // 2]
    return torch.cat([x[..., :3].flatten(2), x[..., -3:].flatten(2)], dim=2)


def _middle(pictures: Tensor) -> Tensor:
    """The center, in aligned portraits the face: [N, 3, 14, 10]."""
    return _small(pictures)[:, :, 13:27, 11:21]


def _warmth(colors: Tensor) -> Tensor:
    """Red minus blue of [N, 3, …]: [N]."""
    return (colors[:, 0] - colors[:, 2]).flatten(1).mean(dim=1)


def _background_light(x: Tensor) -> Tensor:
    return _luma(_border(x)[..., None]).flatten(1).mean(dim=1)


def _light(x: Tensor) -> Tensor:
    return _luma(_middle(x)).mean(dim=(1, 2))


def _light_from_left(x: Tensor) -> Tensor:
    luma = _luma(_middle(x))
    return luma[:, :, :5].mean(dim=(1, 2)) - luma[:, :, 5:].mean(dim=(1, 2))


def _contrast(x: Tensor) -> Tensor:
    return _luma(_small(x)).flatten(1).std(dim=1)


def _colorfulness(x: Tensor) -> Tensor:
    x = _small(x)
    return (x - x.mean(dim=1, keepdim=True)).square().mean(dim=(1, 2, 3)).sqrt()


def _detail(x: Tensor) -> Tensor:
    """Mean magnitude of the finest octave at 128²: wrinkles, strands of hair, brush strokes."""
    luma = _luma(resized(as_rgb(x), 128))[:, None]
    fine = luma - F.interpolate(F.avg_pool2d(luma, 2), scale_factor=2, mode="bilinear")
    return fine.abs().mean(dim=(1, 2, 3))


PLAIN_MEASURES = (
    Measure("bright background", "background", _background_light),
    Measure("warm background", "background", lambda x: _warmth(_border(x))),
    Measure("brightness", "skin", _light),
    Measure("warm colours", "warmth", lambda x: _warmth(_middle(x))),
    Measure("light from the left", "side light", _light_from_left),
    Measure("contrast", "contrast", _contrast),
    Measure("vivid colours", "vividness", _colorfulness),
    Measure("fine detail", "detail", _detail),
)


def part_color_measures(g: Generator) -> tuple[Measure, ...]:
    """Colors of parts of the face, measured for entanglement only: no slider is named after them. Empty without
    faces."""
    if region_names(g) != FACE_REGIONS:
        return ()
    masks = dict(zip(region_names(g), region_masks(g, _PARTS_SIDE), strict=True))

    def reader(region: str, weights: tuple[float, float, float]) -> Callable[[Tensor], Tensor]:
        mask = masks[region] / masks[region].sum().clamp_min(1)

        def read(pictures: Tensor) -> Tensor:
            colors = (resized(as_rgb(pictures), _PARTS_SIDE) * mask.to(pictures.device)).sum(dim=(2, 3))  # [N, 3]
            return colors @ torch.tensor(weights, device=pictures.device)

        return read

    return tuple(
        Measure(f"{region} {what}", _PART_FAMILIES[region], reader(region, weights))
        for region, whats in _PART_COLORS.items()
        for what, weights in whats.items()
    )


def face_finder(g: Generator) -> Callable[[Tensor], Found] | None:
    """The landmark network applied to a generator's pictures [N, C, S, S], −1..1; None if they show no faces."""
    canonical = canonical_points(g)
    if not has_landmarks(canonical):
        return None
    try:
        net = load_landmark_net(g)
    except MissingPart:
        return None
    points = landmark_array(canonical)
    frame = torch.from_numpy(frame_from_points(points, net.size_px)).float()  # frame pixels → fractions of the side
    centers = torch.arange(net.size_px) + 0.5
    x, y = torch.meshgrid(centers, centers, indexing="xy")
    grid = torch.stack([x, y, torch.ones_like(x)], dim=-1) @ frame.t() * 2 - 1  # [S, S, 2]

    def find(pictures: Tensor) -> Found:
        pictures = as_rgb(pictures)
        where = grid.to(pictures.device).expand(len(pictures), -1, -1, -1)
        view = F.grid_sample(pictures, where, padding_mode="reflection", align_corners=False)
        found: Found = net.to(pictures.device)(view)
        return found

    return find


def _face_measures(g: Generator) -> tuple[Measure, ...]:
    """Pose and proportions by the landmark network, for a generator that shows faces."""
    find = face_finder(g)
    if find is None:
        return ()

    points = cached_for_last(lambda pictures: find(pictures).points)

    def turn(pictures: Tensor) -> Tensor:
        left, right, nose, *_ = points(pictures).unbind(dim=1)
        return (nose - (left + right) / 2)[:, 0] / (right - left).norm(dim=1)

    def roll(pictures: Tensor) -> Tensor:
        left, right, *_ = points(pictures).unbind(dim=1)
        return torch.atan2((right - left)[:, 1], (right - left)[:, 0])

    def length(pictures: Tensor) -> Tensor:
        left, right, _, _, chin = points(pictures).unbind(dim=1)
        return (chin - (left + right) / 2)[:, 1] / (right - left).norm(dim=1)

    return (
        Measure("turn to the right", "turn", turn),
        Measure("head roll", "roll", roll),
        Measure("long face", "length", length),
    )


def cached_for_last(read: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """``read`` with a cache of the last call: the same tensor object gives the same result without computing it
    again."""
    last: list[tuple[weakref.ref[Tensor], Tensor]] = []

    def again(pictures: Tensor) -> Tensor:
        known = last[0] if last else None
        if known is None or known[0]() is not pictures:
            known = (weakref.ref(pictures), read(pictures))
            last[:] = [known]
        return known[1]

    return again
