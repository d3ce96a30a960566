"""Where in a picture an edit acts, and pictures of several latents, each drawn in its own part."""

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

#: Side of the masks that are kept: finer than the soft edges that a region has.
REGION_PX = 128
#: Sides of masks that are read.
MIN_PX, MAX_PX = 8, 512
#: A region in which no pixel reaches this share is empty.
MIN_SHARE = 0.1
#: How many latents a picture is drawn of at most, beside the one that carries them.
MAX_STREAMS = 12
_FEATURES = re.compile(r"blend/features/([1-9]\d{0,3})")


@dataclass(frozen=True, eq=False)
class Region:
    """A soft part of a picture.

    Attributes:
        mask: uint8 [M, M], 0 outside to 255 inside; rows from the top of the picture.
        name: What it is: "mouth", "hair", … or "painted".

    Raises:
        BadValue: a mask of another shape or kind, or one that is empty.
    """

    mask: Tensor
    name: str = "painted"

    def __post_init__(self) -> None:
        shape = tuple(self.mask.shape)
        if self.mask.dtype != torch.uint8 or len(shape) != 2 or shape[0] != shape[1]:
            raise BadValue(
                f"The region {self.name!r} has a mask of shape {list(shape)} ({self.mask.dtype}); expected uint8 "
                "[M, M]. Make it with Region.of, which takes any square picture."
            )
        if not MIN_PX <= shape[0] <= MAX_PX:
            raise BadValue(
                f"The region {self.name!r} has a mask of {shape[0]}²; expected {MIN_PX}² to {MAX_PX}². "
                "Make it with Region.of, which brings any size to a fitting one."
            )
        if int(self.mask.max()) < MIN_SHARE * 255:
            raise BadValue(f"The region {self.name!r} is empty: the edit would do nothing. Paint or choose another.")

    @staticmethod
    def of(values: Image.Image | np.ndarray | Tensor, name: str = "painted") -> Region:
        """A region from a square picture of it.

        Args:
            values: A Pillow image (white is inside), or [H, W]: of whole numbers 0..255 or floats or bools 0..1.
            name: What it is.

        Raises:
            BadValue: not square, not numbers from 0 to 1, too large, or empty.
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
                f"The region {name!r} holds values that are not from 0 to 1, or no numbers. Expected 0 where the edit "
                "does nothing and 1 where it acts."
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
        """16 hex digits that tell regions apart by where they are."""
        return hashlib.blake2b(self.mask.contiguous().numpy().tobytes(), digest_size=8).hexdigest()


@dataclass(frozen=True, eq=False)
class Blend:
    """What else is drawn in a latent's picture: other latents, each in its own part of it.

    In a file the tensors are ``blend/offsets``, ``blend/weights`` and ``blend/features/64``.

    Attributes:
        offsets: float32 [S, num_ws, w_dim], what each adds to the ws of the latent that carries them.
        weights: float32 [S, M, M], 0..1, where each is drawn; together at most 1, and the rest is the carrier's.
        features: By resolution: float [C, R, R], added to the activations of that block, of all that is drawn.
    """

    offsets: Tensor
    weights: Tensor
    features: Mapping[int, Tensor] = field(default_factory=dict)

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names in a file, the weights in 8 bits and the features in half precision."""
        weights = (self.weights * 255).round().clamp(0, 255).to(torch.uint8)
        features = {f"blend/features/{size}": tensor.half() for size, tensor in self.features.items()}
        return {"blend/offsets": self.offsets.clone(), "blend/weights": weights, **features}

    @staticmethod
    def of(tensors: Mapping[str, Tensor], name: str) -> Blend:
        """From what :meth:`tensors` gave, read from the file called ``name``.

        Raises:
            BadLatent: unknown names, shapes that do not go together, or values that are not finite.
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
    """Shares [..., M, M] at another resolution, smaller ones averaged: [..., size_px, size_px]."""
    if share.shape[-1] == size_px:
        return share
    x = share.reshape(-1, 1, *share.shape[-2:])
    x = F.interpolate(x, size=(size_px, size_px), mode="bilinear", antialias=True)
    return x.reshape(*share.shape[:-2], size_px, size_px)
