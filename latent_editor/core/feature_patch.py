"""A part of another face's picture, as what it adds to the activations of a generator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue

#: Sides of activations and of pictures that are taken.
MAX_FEATURES_PX, MAX_PICTURE_PX = 256, 4096


@dataclass(frozen=True, eq=False)
class FeaturePatch:
    """What makes one face show a part of another: features (F space), fitted to it where that part is.

    Attributes:
        features: float16 [C, h, w], what is added to the activations there.
        size_px: Side of the activations.
        top, left: Where in them, in their pixels.
        picture: uint8 [S, S, 3], the other face, aligned; to fit the part to another face again.

    Raises:
        BadValue: features of another kind or beyond the activations, values that are not finite, or no such picture.
    """

    features: Tensor
    size_px: int
    top: int
    left: int
    picture: Tensor

    def __post_init__(self) -> None:
        f, p, size = self.features, self.picture, self.size_px
        if f.ndim != 3 or f.dtype != torch.float16 or f.numel() == 0 or not torch.isfinite(f).all():
            raise BadValue(
                f"A graft has features of shape {list(f.shape)} ({f.dtype}); expected finite float16 [C, h, w]. "
                "Take the part again."
            )
        bottom, right = self.top + f.shape[1], self.left + f.shape[2]
        if not (0 <= self.top < bottom <= size <= MAX_FEATURES_PX and 0 <= self.left < right <= size):
            raise BadValue(
                f"A graft reaches from {self.left}, {self.top} to {right}, {bottom} of {size}² activations; expected "
                f"it inside of {MAX_FEATURES_PX}² at most. Take the part again."
            )
        if p.ndim != 3 or p.shape[0] != p.shape[1] or p.shape[2] != 3 or p.dtype != torch.uint8:
            raise BadValue(f"A graft has a picture of shape {list(p.shape)} ({p.dtype}); expected uint8 [S, S, 3].")
        if not 0 < len(p) <= MAX_PICTURE_PX:
            raise BadValue(f"A graft has a picture of {len(p)}²; expected at most {MAX_PICTURE_PX}².")

    @staticmethod
    def of(features: Tensor, picture: Tensor) -> FeaturePatch:
        """From whole features [C, R, R], of which the part that is not 0 is kept; ``picture`` as above."""
        acting = features.abs().amax(dim=0) > 0
        rows, columns = acting.any(dim=1).nonzero().flatten(), acting.any(dim=0).nonzero().flatten()
        if not len(rows):
            raise BadValue("A graft adds nothing: the part looks alike already. Take another part, or another face.")
        top, left = int(rows[0]), int(columns[0])
        part = features[:, top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
        return FeaturePatch(part.detach().cpu().half().contiguous(), features.shape[-1], top, left, picture)

    def laid(self) -> Tensor:
        """float32 [C, size_px, size_px]: the features in their place, 0 around them."""
        _, high, wide = self.features.shape
        right, bottom = self.size_px - self.left - wide, self.size_px - self.top - high
        return F.pad(self.features.float(), (self.left, right, self.top, bottom))
