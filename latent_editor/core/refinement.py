"""Refinements: what a latent changes in its generator to reproduce one face more closely."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent

#: Maximum gain of a refinement.
MAX_GAIN = 4.0
#: Maximum number of tensors and bytes of a refinement in a file. This project writes under 3 MB.
MAX_REFINED, MAX_REFINEMENT_BYTES = 512, 32 << 20


@dataclass(frozen=True, eq=False)
class Refinement:
    """What a latent changes in its generator to reproduce one face more closely.

    Its tensors are immutable. In a file they are ``features/32``, ``weights/<parameter>``, ``pivot`` and ``gain``.

    Attributes:
        features: By resolution: float [C, R, R], added to the activations of that block.
        weights: By parameter name: float of its shape, added to it.
        pivot: float [num_ws, w_dim], the latent that was refined; None if ``gain`` is 1.
        gain: Factor on each latent's distance from the pivot, so that sliders have their usual effect on this face.
    """

    features: Mapping[int, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    pivot: Tensor | None = None
    gain: float = 1.0

    @cached_property
    def digest(self) -> str:
        """32 hex digits of the tensors' hash."""
        found = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.tensors().items()):
            found.update(f"{name}{tuple(tensor.shape)}".encode())
            found.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    @property
    def nbytes(self) -> int:
        """Size of the tensors, in a file too."""
        return sum(t.nbytes for t in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by name in a file."""
        features = {f"features/{size}": tensor for size, tensor in self.features.items()}
        weights = {f"weights/{name}": tensor for name, tensor in self.weights.items()}
        stretch = {} if self.pivot is None else {"pivot": self.pivot, "gain": torch.tensor(self.gain)}
        return {**features, **weights, **stretch}

    @staticmethod
    def of(tensors: Mapping[str, Tensor], name: str) -> Refinement:
        """A refinement from the result of :meth:`tensors`, read from the file ``name``.

        Raises:
            BadLatent: an unknown name, an invalid shape, values that are not finite, or too many tensors.
        """
        features, weights, stretch = {}, {}, {}
        for key, tensor in tensors.items():
            size = re.fullmatch(r"features/([1-9]\d{0,3})", key)
            weight = re.fullmatch(r"weights/([A-Za-z_][\w.]{0,119})", key)
            right_shape = tuple(tensor.shape[1:]) == (int(size[1]),) * 2 if size else weight is not None
            right_shape = right_shape or tensor.ndim == {"pivot": 2, "gain": 0}.get(key, -1)
            if not right_shape or tensor.numel() == 0 or tensor.ndim > 5:
                raise BadLatent(
                    f"{name} holds {key[:60]!r} of shape {list(tensor.shape)}, which is not part of a refinement. "
                    "Invert the photo again."
                )
            if tensor.dtype not in (torch.float16, torch.float32) or not torch.isfinite(tensor).all():
                raise BadLatent(f"{name} holds {key[:60]!r} with values that are not finite. Invert the photo again.")
            if size:
                features[int(size[1])] = tensor
            elif weight:
                weights[weight[1]] = tensor
            else:
                stretch[key] = tensor
        gain = float(stretch.get("gain", 1.0))
        if len(stretch) == 1 or not 0 < gain <= MAX_GAIN:
            raise BadLatent(
                f"{name} has a gain of {gain:g} and the tensors {' and '.join(stretch)}; expected a gain of 0 to "
                f"{MAX_GAIN:g} and a pivot. Invert the photo again."
            )
        found = Refinement(features, weights, stretch.get("pivot"), gain)
        if len(tensors) > MAX_REFINED or found.nbytes > MAX_REFINEMENT_BYTES:
            raise BadLatent(
                f"{name} changes {len(tensors)} tensors of the generator by {found.nbytes:,} bytes; at most "
                f"{MAX_REFINED} and {MAX_REFINEMENT_BYTES:,} are read. Invert the photo again."
            )
        return found
