"""Feature patches: features added to a generator's activations, which draw a part of another face."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.errors import BadValue

#: Maximum sides of activations and of pictures.
MAX_FEATURES_PX, MAX_PICTURE_PX = 256, 4096


@dataclass(frozen=True, eq=False)
class FeaturePatch:
    """F-space features that make one face show a part of another, fitted to that face.

    Attributes:
        features: float16 [C, h, w], added to the activations.
        size_px: Side of the activations.
        top, left: Position in the activations, in their pixels.
        picture: uint8 [S, S, 3], the other face, aligned; for fitting the part to yet another face.

    Raises:
        BadValue: invalid features or picture, values that are not finite, or a position outside the activations.
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
                f"A feature patch has the shape {list(f.shape)} ({f.dtype}); expected finite float16 [C, h, w]. "
                "Transfer the part again."
            )
        bottom, right = self.top + f.shape[1], self.left + f.shape[2]
        if not (0 <= self.top < bottom <= size <= MAX_FEATURES_PX and 0 <= self.left < right <= size):
            raise BadValue(
                f"A feature patch reaches from {self.left}, {self.top} to {right}, {bottom} of {size}² activations; "
                f"expected it inside at most {MAX_FEATURES_PX}². Transfer the part again."
            )
        if p.ndim != 3 or p.shape[0] != p.shape[1] or p.shape[2] != 3 or p.dtype != torch.uint8:
            raise BadValue(
                f"A feature patch has a picture of shape {list(p.shape)} ({p.dtype}); expected uint8 [S, S, 3]."
            )
        if not 0 < len(p) <= MAX_PICTURE_PX:
            raise BadValue(f"A feature patch has a picture of {len(p)}²; expected at most {MAX_PICTURE_PX}².")

    @staticmethod
    def of(features: Tensor, picture: Tensor) -> FeaturePatch:
        """Crops whole features [C, R, R] to the part that is not 0; ``picture`` as above."""
        acting = features.abs().amax(dim=0) > 0
        rows, columns = acting.any(dim=1).nonzero().flatten(), acting.any(dim=0).nonzero().flatten()
        if not len(rows):
            raise BadValue(
                "The feature patch is empty: the part already looks the same. Choose another part, or another face."
            )
        top, left = int(rows[0]), int(columns[0])
        part = features[:, top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
        return FeaturePatch(part.detach().cpu().half().contiguous(), features.shape[-1], top, left, picture)

    def padded(self) -> Tensor:
        """float32 [C, size_px, size_px]: the features in place, 0 elsewhere."""
        _, high, wide = self.features.shape
        right, bottom = self.size_px - self.left - wide, self.size_px - self.top - high
        return F.pad(self.features.float(), (self.left, right, self.top, bottom))
