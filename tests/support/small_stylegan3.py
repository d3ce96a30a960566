"""Small StyleGAN3 generators for tests."""

from __future__ import annotations

from typing import Any

from latent_editor.generators import construction
from latent_editor.generators.stylegan3 import StyleGAN3

SMALL_STYLEGAN3 = {
    "z_dim": 16, "w_dim": 16, "img_resolution": 32, "channel_base": 512, "channel_max": 16, "num_layers": 6,
    "mapping_kwargs": {"num_layers": 2},
}  # fmt: skip
R = {"conv_kernel": 1, "use_radial_filters": True}


def small_stylegan3(**kwargs: Any) -> StyleGAN3:
    g = construction.random("stylegan3", {**SMALL_STYLEGAN3, **kwargs}, seed=0)
    assert isinstance(g, StyleGAN3)
    return g
