"""How alike two pictures are: PSNR, and a perceptual distance in the features of the model's own critic.

The critic is the discriminator that the generator was trained against. Its features are as useful as those of a
classifier (Larsen et al. 2016, "Autoencoding beyond pixels using a learned similarity metric"), fit the model's own
domain, and carry no foreign licence, which is why no VGG is used here.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor import files
from latent_editor.errors import BadModel
from latent_editor.features.trunk import Trunk
from latent_editor.generators import Generator

CRITIC_FILE = "critic.safetensors"


class Critic(nn.Module):
    """The discriminator: a picture to one number, real (positive) or not."""

    def __init__(self, size_px: int, *, width: int = 48, max_width: int = 96, channels: int = 3) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "width": width, "max_width": max_width, "channels": channels}
        self.trunk = Trunk(size_px, width=width, max_width=max_width, channels=channels)
        self.to_logit = nn.Linear(512, 1)

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """image [N, C, H, W], −1..1 → logits [N, 1], float32."""
        logits: Tensor = self.to_logit(self.trunk(image, dtype))
        return logits

    def distance(self, maps_a: list[Tensor], maps_b: list[Tensor]) -> Tensor:
        """Mean absolute difference of two lists of :meth:`Trunk.maps`, averaged over the levels: [N] float32."""
        each = [(a.float() - b.float()).abs().mean(dim=[1, 2, 3]) for a, b in zip(maps_a, maps_b, strict=True)]
        return torch.stack(each).mean(dim=0)


def perceptual_distance(critic: Critic, a: Tensor, b: Tensor) -> Tensor:
    """Distance of two batches of pictures in the critic's features.

    Args:
        a, b: [N, C, H, W], −1..1.

    Returns:
        [N], 0 for equal pictures.
    """
    return critic.distance(critic.trunk.maps(a), critic.trunk.maps(b))


def psnr_db(a: Tensor, b: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB of pictures in −1..1, clamped as they are when saved.

    Args:
        a, b: [N, C, H, W].

    Returns:
        [N]; 100 where the pictures are equal.
    """
    mse = (a.clamp(-1, 1) - b.clamp(-1, 1)).square().mean(dim=[1, 2, 3]) / 4
    return -10 * mse.clamp_min(1e-10).log10()


def pyramid_l1(a: Tensor, b: Tensor, *, levels: int = 4) -> Tensor:
    """Mean absolute difference at ``levels`` scales, each half the one before, averaged: [N]."""
    total = torch.zeros(len(a), device=a.device)
    for level in range(levels):
        total = total + (a - b).abs().mean(dim=[1, 2, 3])
        if level + 1 < levels:
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
    return total / levels


def save_critic(critic: Critic, path: str | Path, *, dtype: torch.dtype = torch.float16) -> None:
    """Writes a critic as safetensors, by default in half precision."""
    tensors = {k: v.to(dtype) for k, v in critic.state_dict().items()}
    files.write_tensors(path, tensors, {"kind": "critic", "config": json.dumps(critic.config)})


def read_critic(path: str | Path) -> Critic:
    """Reads what :func:`save_critic` wrote.

    Raises:
        BadModel: the file is damaged or not a critic.
    """
    tensors, metadata = files.read_tensors(path)
    try:
        critic = Critic(**json.loads(metadata["config"]))
        critic.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (KeyError, ValueError, TypeError, RuntimeError) as e:
        raise BadModel(f"{Path(path).name} is not a critic of this version ({e}). Get the model's files again.") from e
    return critic.eval().requires_grad_(False)


def load_critic(g: Generator) -> Critic | None:
    """The critic that belongs to a generator, built once; None where the model comes without one."""
    if not g.bundle.has(CRITIC_FILE):
        return None
    return g.bundle.part(
        "critic", lambda: read_critic(g.bundle.file(CRITIC_FILE, "the perceptual distance")).to(g.device)
    )
