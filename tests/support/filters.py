"""Arguments of the filtered leaky ReLU for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from latent_editor.generators.stylegan3_filters import low_pass

OPTIONS: list[dict[str, Any]] = [
    {"up": 2, "down": 2, "padding": [10, 11, 10, 11]},
    {"up": 4, "down": 2, "padding": [3, 4, 21, 20], "gain": 1.0, "slope": 0.1, "clamp": 0.5},
    {"up": 2, "down": 4, "padding": 9, "slope": 0.0, "clamp": 1.0},
    {"up": 3, "down": 2, "padding": (12, 11), "flip_filter": True},
    {"up": 2, "down": 2, "padding": [-2, 9, 12, -3], "gain": -1.5, "clamp": 0.7},
    {"up": 2, "down": 1, "padding": 8, "gain": 0.0, "clamp": 0.7},
    {"padding": 12},
]


def noise(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def filters(kind: str) -> tuple[Tensor | None, Tensor | None]:
    skew = torch.tensor([1.0, 4.0, 3.0, 2.0, 0.5, 0.1, 0.7]) / 11  # so that flipping matters
    if kind == "any":  # not separable, not symmetric, not square
        return noise(4, 5, dtype=torch.float32) / 5, noise(6, 3, dtype=torch.float32) / 5
    radial = low_pass(12, cutoff=4.0, width=6.0, rate=32.0, radial=True)
    up, down = skew, radial if kind == "radial" else skew.flip(0)
    return None if kind == "down only" else up, None if kind == "up only" else down
