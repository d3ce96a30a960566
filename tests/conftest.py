"""What all tests share. Nothing here downloads; every model is tiny and seeded, except `portraits`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
import torch

# Tests run on the references; those of the kernels build them once and say so themselves.
os.environ.setdefault("LATENT_EDITOR_OPS", "reference")

from support.environment import SHARED, skip_outside_ci

from latent_editor.generators import Generator, load_generator
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.models.bundle import Bundle


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The folder of goldens, fixtures and photos beside a developer's checkout."""
    if not SHARED.is_dir():
        skip_outside_ci("the folder ../shared with goldens and photos is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser that the page is tested in."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        skip_outside_ci("no chromium was found on the PATH")
    return Path(str(found))


@pytest.fixture(scope="session")
def portraits() -> Generator:
    """The embedded model."""
    return load_generator("portraits")


@pytest.fixture
def tiny_generator() -> StyleGAN2:
    """A seeded random StyleGAN2 of 32 pixels that renders in a few milliseconds."""
    torch.manual_seed(0)
    config = StyleGAN2Config(z_dim=32, w_dim=32, img_resolution=32, channel_base=256, channel_max=16, mapping_layers=2)
    g = StyleGAN2(config).eval().requires_grad_(False)
    g.bundle = Bundle("tiny")
    return g
