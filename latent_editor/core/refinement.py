"""What a latent changes in its generator, so that one face comes out more alike."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from latent_editor.core.errors import BadLatent

#: How many times as far a refinement may stretch what sliders do.
MAX_GAIN = 4.0
#: In a file: tensors of a refinement, and their bytes. What this project writes stays under 3 MB.
MAX_REFINED, MAX_REFINEMENT_BYTES = 512, 32 << 20


@dataclass(frozen=True, eq=False)
class Refinement:
    """What a latent changes in its generator, so that one face comes out more alike.

    Its tensors are never changed. In a file they are ``features/32``, ``weights/<parameter>``, ``pivot`` and ``gain``.

    Attributes:
        features: By resolution: float [C, R, R], added to the activations of that block.
        weights: By the name of a parameter: float of its shape, added to it.
        pivot: float [num_ws, w_dim], the latent that was refined; None where ``gain`` is 1.
        gain: How many times as far from the pivot each latent is drawn, so that a slider does on this face what it
            does on others.
    """

    features: Mapping[int, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    pivot: Tensor | None = None
    gain: float = 1.0

    @cached_property
    def digest(self) -> str:
        """32 hex digits that tell refinements apart by their values."""
        found = hashlib.blake2b(digest_size=16)
        for name, tensor in sorted(self.tensors().items()):
            found.update(f"{name}{tuple(tensor.shape)}".encode())
            found.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return found.hexdigest()

    @property
    def nbytes(self) -> int:
        """What the tensors take, in a file too."""
        return sum(t.nbytes for t in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """The tensors by their names in a file."""
        features = {f"features/{size}": tensor for size, tensor in self.features.items()}
        weights = {f"weights/{name}": tensor for name, tensor in self.weights.items()}
        stretch = {} if self.pivot is None else {"pivot": self.pivot, "gain": torch.tensor(self.gain)}
        return {**features, **weights, **stretch}

    @staticmethod
    def of(tensors: Mapping[str, Tensor], name: str) -> Refinement:
        """From what :meth:`tensors` gave, read from the file called ``name``.

        Raises:
            BadLatent: an unknown name, a shape that no network has, values that are not finite, or too many of them.
        """
        features, weights, stretch = {}, {}, {}
        for key, tensor in tensors.items():
            size = re.fullmatch(r"features/([1-9]\d{0,3})", key)
            weight = re.fullmatch(r"weights/([A-Za-z_][\w.]{0,119})", key)
            right_shape = tuple(tensor.shape[1:]) == (int(size[1]),) * 2 if size else weight is not None
            right_shape = right_shape or tensor.ndim == {"pivot": 2, "gain": 0}.get(key, -1)
            if not right_shape or tensor.numel() == 0 or tensor.ndim > 5:
                raise BadLatent(
                    f"{name} holds {key[:60]!r} of shape {list(tensor.shape)}, which no refinement has. "
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
                f"{name} stretches what sliders do {gain:g} times, by {' and '.join(stretch)}; expected 0 to "
                f"{MAX_GAIN:g} times, by a pivot and a gain. Invert the photo again."
            )
        found = Refinement(features, weights, stretch.get("pivot"), gain)
        if len(tensors) > MAX_REFINED or found.nbytes > MAX_REFINEMENT_BYTES:
            raise BadLatent(
                f"{name} changes {len(tensors)} tensors of the generator by {found.nbytes:,} bytes; at most "
                f"{MAX_REFINED} and {MAX_REFINEMENT_BYTES:,} are read. Invert the photo again."
            )
        return found
