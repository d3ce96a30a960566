"""Handles and masks of a point drag: their validation, and the reported step."""

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

#: (x, y) as fractions of the picture's side, from the top left: 0..1.
Point = tuple[float, float]
#: Handle point and target.
Handle = tuple[Point, Point]

MAX_HANDLES = 16


@dataclass(frozen=True, eq=False)
class DragStep(Step):
    """A step of a drag.

    Attributes:
        points: Where each handle point is now, as fractions of the side.
        remaining: Their mean distance to the targets, as a fraction of the side.
    """

    points: tuple[Point, ...] = ()
    remaining: float = 0.0


def check_handles(handles: Sequence[Handle]) -> Tensor:
    """Validates handles.

    Args:
        handles: ((x, y), (x, y)) each: handle point and target, as fractions of the side.

    Returns:
        float32 [N, 2 (handle, target), 2 (x, y)].

    Raises:
        BadValue: none, more than :data:`MAX_HANDLES`, a wrong shape, a number that is not finite, a point outside the
            picture, two handles at one point, or none that moves.
    """
    if not 1 <= len(handles) <= MAX_HANDLES:
        raise BadValue(
            f"Got {len(handles)} handles; expected 1 to {MAX_HANDLES}. Give at least one point and its target."
        )
    for i, handle in enumerate(handles, 1):
        try:
            numbers = [float(number) for x, y in handle for number in (x, y)]
        except (TypeError, ValueError) as e:
            raise BadValue(f"Handle {i} is {str(handle)[:60]}; expected ((x, y), (x, y)): point and target.") from e
        if len(numbers) != 4 or not all(math.isfinite(n) and 0 <= n <= 1 for n in numbers):
            raise BadValue(
                f"Handle {i} is {str(handle)[:80]}; expected two points inside the picture, x and y each from 0 "
                "(left, top) to 1 (right, bottom)."
            )
    found = torch.tensor([[list(start), list(end)] for start, end in handles], dtype=torch.float32)
    if len({(x, y) for x, y in found[:, 0].tolist()}) < len(found):
        raise BadValue("Two handles start at the same point. Leave one of them out.")
    if bool((found[:, 0] == found[:, 1]).all()):
        raise BadValue("Every handle ends where it starts. Give at least one of them another target.")
    return found


def check_mask(mask: Tensor | np.ndarray, size_px: int) -> Tensor:
    """Validates a mask of what may change.

    Args:
        mask: [size_px, size_px] of bool, 0..1 or 0..255 (uint8); high where the picture may change.
        size_px: Side of the generator's pictures.

    Returns:
        float32 [1, 1, size_px, size_px], 0..1.

    Raises:
        BadValue: another shape, values that are not finite or out of range, or an empty mask.
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
        raise BadValue("The mask is empty: nothing may change. Mark what may change, or leave the mask out.")
    return found[None, None]


def resized_mask(mask: Tensor, size_px: int) -> Tensor:
    """A checked mask at another size, float32 [1, 1, size_px, size_px]."""
    return F.interpolate(mask, size=(size_px, size_px), mode="area")


def distance_mask(ends: Tensor, reach: float, size_px: int) -> Tensor:
    """Distance of each pixel from the handles' paths: 0 on them, near 1 beyond twice ``reach``.

    Args:
        ends: [N, 2 (handle, target), 2 (x, y)].
        reach: In picture widths.
        size_px: Side of the result.

    Returns:
        float32 [1, 1, size_px, size_px].
    """
    cells = (torch.arange(size_px) + 0.5) / size_px
    y, x = torch.meshgrid(cells, cells, indexing="ij")
    places = torch.stack([x, y], dim=-1)[:, :, None]  # [R, R, 1, 2]
    start, path = ends[:, 0], ends[:, 1] - ends[:, 0]
    along = ((places - start) * path).sum(dim=-1) / path.square().sum(dim=-1).clamp_min(1e-12)  # [R, R, N]
    nearest = start + along.clamp(0, 1)[..., None] * path
    distance = (places - nearest).norm(dim=-1).amin(dim=-1)
    return (1 - torch.exp(-0.5 * (distance / reach) ** 2))[None, None]
