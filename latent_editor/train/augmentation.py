"""Random augmentations of training images, all on tensors [N, 3, S, S] in −1..1."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def uniform(like: Tensor, low: float, high: float) -> Tensor:
    """One uniform random number per image, [N, 1, 1, 1]."""
    return torch.empty(len(like), 1, 1, 1, device=like.device).uniform_(low, high)


def mirror(x: Tensor) -> Tensor:
    """Flips each image horizontally with a probability of one half."""
    return torch.where(uniform(x, 0, 1) < 0.5, x.flip(3), x)


def shift_turn_scale(x: Tensor, *, shift: float, angle_deg: float, scale: float, padding: str = "reflection") -> Tensor:
    """Translates each image by up to ``shift`` of its side, rotates it, and scales it by up to ``1 ± scale``."""
    n = len(x)
    angle = torch.empty(n, device=x.device).uniform_(-angle_deg, angle_deg) * (math.pi / 180)
    size = torch.empty(n, device=x.device).uniform_(1 - scale, 1 + scale)
    move = torch.empty(n, 2, device=x.device).uniform_(-2 * shift, 2 * shift)
    cos, sin = angle.cos() / size, angle.sin() / size
    rows = [torch.stack([cos, -sin, move[:, 0]], 1), torch.stack([sin, cos, move[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def relight(x: Tensor) -> Tensor:
    """Varies exposure, contrast, saturation, white balance and light direction, as cameras and rooms do."""
    light = (x + 1) / 2
    light = light.clamp_min(1e-4) ** uniform(x, -0.45, 0.45).exp()  # gamma
    gray = light.mean(dim=1, keepdim=True)
    light = gray + (light - gray) * uniform(x, 0.35, 1.25)  # saturation; photographs are paler than the paintings
    balance = torch.empty(len(x), 3, 1, 1, device=x.device).uniform_(-0.16, 0.16).exp()
    light = light * balance * uniform(x, -0.35, 0.3).exp()
    axis = torch.linspace(-1, 1, x.shape[-1], device=x.device)
    ramp = axis.view(1, 1, 1, -1) * uniform(x, -0.35, 0.35) + axis.view(1, 1, -1, 1) * uniform(x, -0.25, 0.25)
    light = light * (1 + ramp)
    mean = light.mean(dim=[1, 2, 3], keepdim=True)
    light = mean + (light - mean) * uniform(x, 0.7, 1.2)
    return (light * 2 - 1).clamp(-1, 1)


def degrade(x: Tensor) -> Tensor:
    """Blurs by resampling and adds sensor noise, like a weaker camera; for the encoder's input only."""
    small = F.interpolate(x, scale_factor=float(torch.empty([]).uniform_(0.4, 0.9)), mode="bilinear", antialias=True)
    soft = F.interpolate(small, size=x.shape[-2:], mode="bilinear")
    x = torch.where(uniform(x, 0, 1) < 0.4, soft, x)
    return (x + torch.randn_like(x) * uniform(x, 0, 0.08)).clamp(-1, 1)


def strange_background(x: Tensor) -> Tensor:
    """Replaces the background outside a soft oval around each face with another image, rotated and scaled."""
    size = x.shape[-1]
    axis = (torch.arange(size, device=x.device) + 0.5) / size
    # The oval covers face and hair at the dataset's canonical position.
    distance = ((axis.view(1, -1) - 0.5) / 0.40) ** 2 + ((axis.view(-1, 1) - 0.58) / 0.52) ** 2
    keep = torch.sigmoid((1.0 - distance) * 8).view(1, 1, size, size)
    other = shift_turn_scale(x.roll(1, 0), shift=0.4, angle_deg=180, scale=0.6)
    return x * keep + other * (1 - keep)


def photographic(x: Tensor) -> Tensor:
    """Makes a portrait look photographed: varies lighting, background and alignment."""
    moved = shift_turn_scale(x, shift=0.025, angle_deg=4, scale=0.06)
    placed = torch.where(uniform(x, 0, 1) < 0.35, strange_background(moved), moved)
    return relight(placed)


def for_discriminator(x: Tensor, strength: float) -> Tensor:
    """Differentiable augmentations of the discriminator's input, which keep it from memorizing a small dataset.

    The transforms of Zhao et al. 2020 (DiffAugment), each applied with the probability set by adaptive augmentation
    (Karras et al. 2020, "Training GANs with Limited Data").

    Args:
        x: [N, 3, S, S].
        strength: Probability of each transform, 0..1.
    """
    n, size = len(x), x.shape[-1]
    chosen = [(torch.rand(n, 1, 1, 1, device=x.device) < strength).float() for _ in range(3)]
    brightness = uniform(x, -0.4, 0.4) * chosen[0]
    gray = x.mean(dim=1, keepdim=True)
    x = gray + (x - gray) * (1 + uniform(x, -0.8, 0.8) * chosen[0]) + brightness
    moved = shift_turn_scale(x, shift=0.1, angle_deg=8, scale=0.12)
    x = x + (moved - x) * chosen[1]
    axis = torch.arange(size, device=x.device)
    cx, cy = uniform(x, 0, size), uniform(x, 0, size)
    hole = ((axis.view(1, 1, 1, -1) - cx).abs() < size / 5) & ((axis.view(1, 1, -1, 1) - cy).abs() < size / 5)
    return x * (1 - hole.float() * chosen[2])
