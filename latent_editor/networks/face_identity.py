"""A small face recognition network of a model's own, so that "the same person" is measured by what tells people apart.

``python -m latent_editor.train identity`` distills it from a large one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.core.face_geometry import FractionLandmarks
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, fastest_dtype
from latent_editor.models.per_model import per_model
from latent_editor.networks.face_views import face_views
from latent_editor.networks.network_files import read_network, save_network
from latent_editor.networks.trunk import Trunk

IDENTITY_FILE = "identity.safetensors"
_BATCH = 32


class FaceIdentity(nn.Module):
    """Turns faces into vectors whose cosine says how alike two people are (an ``IdentityNet``).

    Args:
        size_px: Size of the views (:func:`~latent_editor.networks.face_views.face_views`) that it sees.
        dim: Length of the vectors.
        width, max_width: Channels, as in :class:`~latent_editor.networks.trunk.Trunk`.

    Attributes:
        fingerprint: Changes when the weights do.
    """

    recognizes_people = True

    def __init__(self, size_px: int = 128, dim: int = 256, *, width: int = 32, max_width: int = 96) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "dim": dim, "width": width, "max_width": max_width}
        self.trunk = Trunk(size_px, width=width, max_width=max_width, features=512)
        self.project = nn.Linear(512, dim)
        self.fingerprint = "memory"

    def forward(self, views: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """views [N, 3, size_px, size_px], −1..1 → float32 unit vectors [N, dim]."""
        return F.normalize(self.project(self.trunk(views, dtype)), dim=1)

    def embed(self, pictures: Tensor, points: FractionLandmarks) -> Tensor:
        """pictures [N, C, S, S], −1..1, with landmarks as fractions of the side → float32 [N, dim], on the CPU."""
        dtype, size = fastest_dtype(pictures.device), self.config["size_px"]
        with torch.inference_mode():
            views = (face_views(as_rgb(some), points, size) for some in pictures.split(_BATCH))
            return torch.cat([self(view, dtype).cpu() for view in views]).clone()


def save_identity(net: FaceIdentity, path: str | Path) -> None:
    """Writes the network as safetensors in half precision."""
    save_network(net, path, kind="identity")


def read_identity(path: str | Path) -> FaceIdentity:
    """Reads what :func:`save_identity` wrote. Raises BadModel."""
    net = read_network(path, FaceIdentity, kind="identity")
    with Path(path).open("rb") as f:
        net.fingerprint = hashlib.file_digest(f, "sha256").hexdigest()[:12]
    return net


@per_model
def load_face_identity(g: Generator) -> FaceIdentity | None:
    """The network in a model's folder, built once; None without one.

    Raises:
        BadModel: the file is damaged.
    """
    if not g.bundle.has(IDENTITY_FILE):
        return None
    return read_identity(g.bundle.file(IDENTITY_FILE, "identity")).to(g.device)
