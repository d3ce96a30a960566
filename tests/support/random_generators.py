"""A generator whose every tensor shows in its pictures, for round trips through files."""

from __future__ import annotations

from typing import Any

import torch

from latent_editor.generators import construction
from latent_editor.generators.stylegan2 import StyleGAN2


def random_generator(**changes: Any) -> StyleGAN2:
    """A seeded StyleGAN2 of 32 pixels with other constructor arguments; its noise, biases and mean are not 0."""
    kwargs = {
        "z_dim": 24, "w_dim": 24, "img_resolution": 32, "channel_base": 256, "channel_max": 16, "conv_clamp": None,
        "mapping_kwargs": {"num_layers": 3}, **changes,
    }  # fmt: skip
    g = construction.random("stylegan2", kwargs, seed=1)
    assert isinstance(g, StyleGAN2)
    seeded = torch.Generator().manual_seed(2)
    for name, tensor in g.state_dict().items():
        if name.endswith(("noise_strength", ".bias", "w_avg")):
            tensor += torch.randn(tensor.shape, generator=seeded) * 0.3
    return g
