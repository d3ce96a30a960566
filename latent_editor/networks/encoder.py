"""The encoder: from a picture to W+ in one pass (as e4e, Tov et al. 2021: one w, and a small offset per layer)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from latent_editor.checkpoints.foreign import ENCODER
from latent_editor.generators import Generator
from latent_editor.generators.pictures import resized
from latent_editor.models.per_model import per_model
from latent_editor.networks.network_files import read_network, save_network
from latent_editor.networks.psp_encoder import PspEncoder, build_psp_encoder
from latent_editor.networks.trunk import Trunk

ENCODER_FILE = "encoder.safetensors"


class Encoder(nn.Module):
    """A picture to ws.

    Args:
        size_px: Height and width of the pictures that it looks at; others are resized.
        num_ws, w_dim: The shape of what it gives.
        width, max_width, deep_width: Channels, as in :class:`~latent_editor.networks.trunk.Trunk`.
    """

    #: Scale of the offsets' layer, so that they start and stay small.
    OFFSET_GAIN = 0.1

    def __init__(
        self, size_px: int, num_ws: int, w_dim: int, *, width: int = 64, max_width: int = 128, deep_width: int = 0
    ) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "num_ws": num_ws, "w_dim": w_dim, "width": width, "max_width": max_width}
        if deep_width:
            self.config["deep_width"] = deep_width
        self.trunk = Trunk(size_px, width=width, max_width=max_width, deep_width=deep_width)
        self.to_w = nn.Linear(512, w_dim)
        self.to_offsets = nn.Linear(512, num_ws * w_dim)

    def parts(self, image: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """image [N, 3, H, W], −1..1, of any size → w [N, w_dim] and offsets [N, num_ws, w_dim], both float32."""
        features = self.trunk(resized(image, self.config["size_px"]), dtype)
        w = self.to_w(features)
        offsets = self.to_offsets(features) * self.OFFSET_GAIN
        return w, offsets.reshape(len(w), -1, w.shape[1])

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """image [N, 3, H, W], −1..1 → ws [N, num_ws, w_dim], float32."""
        w, offsets = self.parts(image, dtype)
        return w.unsqueeze(1) + offsets


def save_encoder(encoder: Encoder, path: str | Path) -> None:
    """Writes an encoder as safetensors in half precision."""
    save_network(encoder, path, kind="encoder")


def read_encoder(path: str | Path) -> Encoder:
    """Reads what :func:`save_encoder` wrote. Raises BadModel."""
    return read_network(path, Encoder, kind="encoder")


def has_encoder(g: Generator) -> bool:
    """Whether :func:`load_encoder` has something to load."""
    return ENCODER in g.bundle.extras or g.bundle.has(ENCODER_FILE)


@per_model
def load_encoder(g: Generator) -> Encoder | PspEncoder:
    """The encoder that belongs to a generator, built once: what came in its own file, or the one in its folder.

    Raises:
        MissingPart: the model comes without one.
        BadModel: there is one, and it is damaged.
    """
    if ENCODER in g.bundle.extras:
        return build_psp_encoder(g.bundle.extras[ENCODER], g)
    return read_encoder(g.bundle.file(ENCODER_FILE, "instant inversion")).to(g.device)
