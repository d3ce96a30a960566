"""Handles as values: what a user asks for, checked, and what is told while they move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Step

#: (x, y) in picture widths from the left and from the top: 0..1.
Point = tuple[float, float]
#: A handle: from where, to where.
Handle = tuple[Point, Point]

MAX_HANDLES = 16


@dataclass(frozen=True, eq=False)
class DragStep(Step):
    """A step of a drag.

    Attributes:
        points: Where each handle's point is now, as fractions of the side.
        left: The mean distance that they still have to go, as a fraction of the side.
    """

    points: tuple[Point, ...] = ()
    left: float = 0.0


def check_handles(handles: Sequence[Handle]) -> Tensor:
    """Handles as numbers.

    Args:
        handles: ((x, y), (x, y)) each: from where, to where, in fractions of the side.

    Returns:
        float32 [N, 2 (from, to), 2 (x, y)].

    Raises:
        BadValue: none, more than :data:`MAX_HANDLES`, a wrong shape, a number that is not finite, a point outside of
            the picture, two handles at one point, or none that is to move.
    """
    if not 1 <= len(handles) <= MAX_HANDLES:
        raise BadValue(
            f"Got {len(handles)} handles; expected 1 to {MAX_HANDLES}. Say for at least one point where it shall go."
        )
    for i, handle in enumerate(handles, 1):
        try:
            numbers = [float(number) for x, y in handle for number in (x, y)]
        except (TypeError, ValueError) as e:
            raise BadValue(f"Handle {i} is {str(handle)[:60]}; expected ((x, y), (x, y)): from where, to where.") from e
        if len(numbers) != 4 or not all(math.isfinite(n) and 0 <= n <= 1 for n in numbers):
            raise BadValue(
                f"Handle {i} is {str(handle)[:80]}; expected two points inside of the picture, x and y each from 0 "
                "(left, top) to 1 (right, bottom)."
            )
    found = torch.tensor([[list(start), list(end)] for start, end in handles], dtype=torch.float32)
    if len({(x, y) for x, y in found[:, 0].tolist()}) < len(found):
        raise BadValue("Two handles start at the same point. Leave one of them out.")
    if bool((found[:, 0] == found[:, 1]).all()):
        raise BadValue("Every handle ends where it starts. Say for at least one where it shall go.")
    return found


def check_mask(mask: Tensor | np.ndarray, size_px: int) -> Tensor:
    """A mask of what may change.

    Args:
        mask: [size_px, size_px] of bool, 0..1 or 0..255 (uint8); high where the picture may change.
        size_px: Side of the generator's pictures.

    Returns:
        float32 [1, 1, size_px, size_px], 0..1.

    Raises:
        BadValue: another shape, values that are not finite or out of range, or nothing that may change.
    """
    found = torch.as_tensor(mask)
    if tuple(found.shape) != (size_px, size_px):
        raise BadValue(
            f"The mask has the shape {list(found.shape)}; expected {[size_px, size_px]}, the size of the picture."
        )
    found = found.float() / 255 if found.dtype == torch.uint8 and found.max() > 1 else found.float()
    if not bool(((found >= 0) & (found <= 1)).all()):  # false for NaN too
        raise BadValue("The mask has values that are not from 0 to 1. Use 1 where the picture may change, 0 elsewhere.")
    if not bool((found > 0.5).any()):
        raise BadValue("The mask is empty: nothing may change. Mark what may, or leave the mask out.")
    return found[None, None]


def resized_mask(mask: Tensor, size_px: int) -> Tensor:
    """A checked mask at another size, float32 [1, 1, size_px, size_px]."""
    return F.interpolate(mask, size=(size_px, size_px), mode="area")


def far_from(ends: Tensor, around: float, size_px: int) -> Tensor:
    """How far the places of a picture are from the ways of all handles: 0 on them, near 1 from twice ``around`` on.

    Args:
        ends: [N, 2 (from, to), 2 (x, y)].
        around: In picture widths.
        size_px: Side of what comes back.

    Returns:
        float32 [1, 1, size_px, size_px].
    """
    cells = (torch.arange(size_px) + 0.5) / size_px
    y, x = torch.meshgrid(cells, cells, indexing="ij")
    places = torch.stack([x, y], dim=-1)[:, :, None]  # [R, R, 1, 2]
    start, way = ends[:, 0], ends[:, 1] - ends[:, 0]
    along = ((places - start) * way).sum(dim=-1) / way.square().sum(dim=-1).clamp_min(1e-12)  # [R, R, N]
    nearest = start + along.clamp(0, 1)[..., None] * way
    distance = (places - nearest).norm(dim=-1).amin(dim=-1)
    return (1 - torch.exp(-0.5 * (distance / around) ** 2))[None, None]
