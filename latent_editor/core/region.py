"""Regions that edits act in, and blends of several latents in one picture."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadLatent, BadValue

#: Side of stored masks: finer than the soft edges of regions.
REGION_PX = 128
#: Range of sides of masks that are read.
MIN_PX, MAX_PX = 8, 512
#: A region without a pixel of at least this weight is empty.
MIN_SHARE = 0.1
#: Maximum number of latents blended into a picture, besides the carrier.
MAX_STREAMS = 12
_FEATURES = re.compile(r"blend/features/([1-9]\d{0,3})")


@dataclass(frozen=True, eq=False)
class Region:
    """A soft mask of a part of a picture.

    Attributes:
        mask: uint8 [M, M], 0 outside to 255 inside; rows from the top of the picture.
        name: "mouth", "hair", … or "painted".

    Raises:
        BadValue: an invalid or empty mask.
    """

    mask: Tensor
    name: str = "painted"

    def __post_init__(self) -> None:
        shape = tuple(self.mask.shape)
        if self.mask.dtype != torch.uint8 or len(shape) != 2 or shape[0] != shape[1]:
            raise BadValue(
                f"The region {self.name!r} has a mask of shape {list(shape)} ({self.mask.dtype}); expected uint8 "
                "[M, M]. Use Region.of, which accepts any square picture."
            )
        if not MIN_PX <= shape[0] <= MAX_PX:
            raise BadValue(
                f"The region {self.name!r} has a mask of {shape[0]}²; expected {MIN_PX}² to {MAX_PX}². "
                "Use Region.of, which resizes masks."
            )
        if int(self.mask.max()) < MIN_SHARE * 255:
            raise BadValue(
                f"The region {self.name!r} is empty: the edit would do nothing. Paint or choose another region."
            )

    @staticmethod
    def of(values: Image.Image | np.ndarray | Tensor, name: str = "painted") -> Region:
        """A region from a square mask.

        Args:
            values: A Pillow image (white is inside), or [H, W] of integers 0..255, or floats or bools 0..1.
            name: Name of the region.

        Raises:
            BadValue: not square, values outside 0..1, too large, or empty.
        """
        array = np.asarray(values.convert("L")) if isinstance(values, Image.Image) else np.asarray(values)
        if array.ndim != 2 or array.shape[0] != array.shape[1] or not 0 < array.shape[0] <= 8192:
            raise BadValue(
                f"The region {name!r} has the shape {list(array.shape)}; expected a square, [H, W] with H = W. "
                "Paint it on the picture's square."
            )
        if array.dtype.kind not in "buif":
            raise BadValue(f"The region {name!r} holds {array.dtype}; expected numbers from 0 to 1.")
        share = array.astype(np.float32) / (255 if array.dtype.kind in "ui" else 1)
        if not np.isfinite(share).all() or share.min() < 0 or share.max() > 1:
            raise BadValue(
                f"The region {name!r} holds values outside 0..1, or no numbers. Expected 0 where the edit does "
                "nothing and 1 where it acts."
            )
        x = torch.from_numpy(np.ascontiguousarray(share))[None, None]
        x = F.interpolate(x, size=(REGION_PX, REGION_PX), mode="bilinear", antialias=True)[0, 0]
        return Region((x.clamp(0, 1) * 255).round().to(torch.uint8), name)

    @cached_property
    def share(self) -> Tensor:
        """float32 [M, M], 0..1."""
        return self.mask.float() / 255

    @cached_property
    def digest(self) -> str:
        """16 hex digits of the mask's hash."""
        return hashlib.blake2b(self.mask.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True, eq=False)
class Blend:
    """Other latents that are blended into a latent's picture, each in its own part.

    In a file, the tensors are ``blend/offsets``, ``blend/weights`` and ``blend/features/64``.

    Attributes:
        offsets: float32 [S, num_ws, w_dim], the difference of each latent's ws from the carrier's.
        weights: float32 [S, M, M], 0..1, where each is drawn; their sum is at most 1, the rest is the carrier's.
        features: By resolution: float [C, R, R], added to the activations of that block, for all latents.
    """

    offsets: Tensor
    weights: Tensor
    features: Mapping[int, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name in a file: weights in 8 bits, features in half precision."""
        weights = (self.weights * 255).round().clamp(0, 255).to(torch.uint8)
        features = {f"blend/features/{size}": tensor.half() for size, tensor in self.features.items()}
        return {"blend/offsets": self.offsets.clone(), "blend/weights": weights, **features}

    @staticmethod
    def of(tensors: Mapping[str, Tensor], name: str) -> Blend:
        """A blend from the result of :meth:`tensors`, read from the file ``name``.

        Raises:
            BadLatent: unknown names, inconsistent shapes, or values that are not finite.
        """
        again = "Save the face again from the editor."
        features = {int(m[1]): tensors[m[0]] for m in map(_FEATURES.fullmatch, tensors) if m}
        others = [key for key in tensors if not _FEATURES.fullmatch(key)]
        if set(others) != {"blend/offsets", "blend/weights"}:
            raise BadLatent(f"{name} holds {sorted(tensors)[:4]}; expected the offsets and weights of regions. {again}")
        offsets, weights = tensors["blend/offsets"], tensors["blend/weights"]
        fits = offsets.ndim == 3 and weights.ndim == 3 and len(offsets) == len(weights) <= MAX_STREAMS
        square = fits and weights.shape[1] == weights.shape[2] and MIN_PX <= weights.shape[1] <= MAX_PX
        kinds = weights.dtype == torch.uint8 and offsets.dtype == torch.float32
        if not square or not kinds or not (len(offsets) or features):
            raise BadLatent(
                f"{name} holds regions of {list(offsets.shape)} and {list(weights.shape)}; expected float32 "
                f"[S, num_ws, w_dim] and uint8 [S, M, M], S at most {MAX_STREAMS}. {again}"
            )
        for size, tensor in features.items():
            if tensor.ndim != 3 or tuple(tensor.shape[1:]) != (size, size) or tensor.dtype != torch.float16:
                raise BadLatent(
                    f"{name} holds features of {list(tensor.shape)} ({tensor.dtype}); expected float16 "
                    f"[C, {size}, {size}]. {again}"
                )
        if not all(torch.isfinite(tensor).all() for tensor in (offsets, *features.values())):
            raise BadLatent(f"{name} holds regions with values that are not finite. {again}")
        shares = weights.float() / 255
        return Blend(offsets, shares / shares.sum(dim=0).clamp_min(1), features)


def resized_share(share: Tensor, size_px: int) -> Tensor:
    """Weights [..., M, M] resampled with antialiasing: [..., size_px, size_px]."""
    if share.shape[-1] == size_px:
        return share
    x = share.reshape(-1, 1, *share.shape[-2:])
    x = F.interpolate(x, size=(size_px, size_px), mode="bilinear", antialias=True)
    return x.reshape(*share.shape[:-2], size_px, size_px)
