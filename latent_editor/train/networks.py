"""The jointly trained networks, their weight averages, and their files."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from latent_editor.core.errors import BadModel
from latent_editor.generators import save_generator
from latent_editor.generators.loading import GENERATOR_FILE, read_generator
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.networks.encoder import ENCODER_FILE, Encoder, read_encoder, save_encoder
from latent_editor.networks.perceptual import DISCRIMINATOR_FILE, Discriminator, read_discriminator, save_discriminator


@dataclass
class Networks:
    """A generator, its encoder and its discriminator."""

    generator: StyleGAN2
    encoder: Encoder
    discriminator: Discriminator

    @staticmethod
    def new(size_px: int) -> Networks:
        """Untrained networks, small enough for two CPU cores."""
        g = StyleGAN2(StyleGAN2Config(img_resolution=size_px, channel_base=4096, channel_max=128, mapping_layers=0))
        return Networks(g, Encoder(size_px, g.num_ws, g.w_dim), Discriminator(size_px))

    @staticmethod
    def read(folder: str | Path) -> Networks:
        """Reads the networks of a model folder.

        Raises:
            BadModel: a file is missing, damaged, or not a StyleGAN2.
        """
        folder = Path(folder)
        g = read_generator(folder / GENERATOR_FILE)
        if not isinstance(g, StyleGAN2):
            raise BadModel(
                f"{folder} holds a {type(g).__name__}; only a StyleGAN2 can be trained. Choose another folder."
            )
        return Networks(g, read_encoder(folder / ENCODER_FILE), read_discriminator(folder / DISCRIMINATOR_FILE))

    def write(self, folder: str | Path) -> None:
        """Writes all three in half precision."""
        folder = Path(folder)
        save_generator(self.generator, folder / GENERATOR_FILE)
        save_encoder(self.encoder, folder / ENCODER_FILE)
        save_discriminator(self.discriminator, folder / DISCRIMINATOR_FILE)

    def modules(self) -> dict[str, nn.Module]:
        return {"generator": self.generator, "encoder": self.encoder, "discriminator": self.discriminator}

    def copy(self) -> Networks:
        return copy.deepcopy(self)

    def trainable(self, learn_from: int = 4) -> Networks:
        """Unfreezes all parameters or, if ``learn_from`` > 4, only the discriminator and the generator blocks from that
        resolution on."""
        for module in self.modules().values():
            module.train().requires_grad_(learn_from <= 4)
        self.discriminator.requires_grad_(True)
        for resolution, _, block in self.generator.synthesis.blocks():
            block.requires_grad_(resolution >= learn_from)
        return self


@torch.no_grad()
def average(into: Networks, live: Networks, decay: float) -> None:
    """Updates the moving averages of the weights; buffers are copied."""
    for name, module in live.modules().items():
        target = into.modules()[name]
        for a, b in zip(target.parameters(), module.parameters(), strict=True):
            a.lerp_(b, 1 - decay)
        for mine, theirs in zip(target.buffers(), module.buffers(), strict=True):
            mine.copy_(theirs)


def save_state(path: Path, state: dict[str, object]) -> None:
    """Writes a training state atomically."""
    temporary = path.with_suffix(".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, temporary)
    temporary.replace(path)


def load_state(path: Path) -> dict[str, object]:
    """Reads a training state; accepts only tensors and plain values."""
    state: dict[str, object] = torch.load(path, map_location="cpu", weights_only=True)
    return state
