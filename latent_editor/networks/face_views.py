"""Faces in a canonical frame without their surroundings, and augmentations of them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.face_geometry import FractionLandmarks, landmark_array, moved_template
from latent_editor.generators.pictures import resized
from latent_editor.ops import affine

#: The canonical frame, as fractions of the side: that of the pictures that the embedded CLIP was trained on.
FRAME: FractionLandmarks = moved_template(0.18)
NEEDED = frozenset(FRAME)
#: The ellipse of the face in that frame: center and half axes. Hair, clothes and background are not identity.
CENTER, HALF_AXES = (0.5, 0.70), (0.30, 0.36)
#: Scale of the squared half axes for a whole head, when the background is replaced.
HEAD = 1.45


def face_views(pictures: Tensor, points: FractionLandmarks, size_px: int) -> Tensor:
    """Warps faces into :data:`FRAME` and fades out their surroundings.

    Args:
        pictures: float32 [N, 3, S, S], −1..1.
        points: (x, y) of at least :data:`NEEDED`, as fractions of the side; the same for all pictures.
        size_px: Side of the result.

    Returns:
        float32 [N, 3, size_px, size_px], mid-gray (0) outside of the face.
    """
    to_picture = affine.similarity(landmark_array(FRAME, FRAME), landmark_array(points, FRAME))
    # From frame to picture in fractions; affine_grid counts from −1 to 1.
    theta = torch.tensor(to_picture, dtype=torch.float32, device=pictures.device)
    shift = theta[:, :2] @ theta.new_ones(2) + 2 * theta[:, 2] - 1
    theta = torch.cat([theta[:, :2], shift[:, None]], dim=1).expand(len(pictures), 2, 3)
    small = resized(pictures.float(), size_px) if pictures.shape[-1] > size_px else pictures.float()
    grid = F.affine_grid(theta, [len(small), 3, size_px, size_px], align_corners=False)
    warped = F.grid_sample(small, grid, padding_mode="reflection", align_corners=False)
    return warped * ellipse(size_px, pictures.device)


def ellipse(size_px: int, device: torch.device | str = "cpu", *, reach: float = 1.0) -> Tensor:
    """1 inside of the face, 0 outside, with a soft edge: float32 [1, 1, size_px, size_px], in :data:`FRAME`.

    Args:
        reach: Scale of the squared half axes.
    """
    along = (torch.arange(size_px, device=device) + 0.5) / size_px
    y, x = torch.meshgrid(along, along, indexing="ij")
    squared = ((x - CENTER[0]) / HALF_AXES[0]).square() + ((y - CENTER[1]) / HALF_AXES[1]).square()
    return torch.sigmoid((reach - squared) * 8)[None, None]


def augmented_views(pictures: Tensor, *, seed: int = 0) -> Tensor:
    """Augments faces: light, background, camera and position change, the person does not.

    1. Rotate by about 2°, scale by 3 % and shift by 2.4 %.
    2. Replace every other background by a uniform one or a blurred one of another picture.
    3. Gamma, white balance, exposure, side light, saturation.
    4. Blur, then noise.

    Args:
        pictures: float32 [N, 3, S, S], −1..1, with faces near :data:`FRAME`.
        seed: The same pictures and seed give the same result.

    Returns:
        float32 [N, 3, S, S], −1..1.
    """
    count, _, size, _ = pictures.shape
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int, spread: float) -> Tensor:
        return (torch.randn(*shape, generator=random) * spread).to(pictures.device)

    # 1.
    angle, scale = normal(count, spread=0.035), normal(count, spread=0.03).exp()
    cos, sin = angle.cos() * scale, angle.sin() * scale
    linear = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    theta = torch.cat([linear, normal(count, 2, 1, spread=0.024)], dim=2)
    grid = F.affine_grid(theta, [count, 3, size, size], align_corners=False)
    x = (F.grid_sample(pictures.float(), grid, padding_mode="reflection", align_corners=False) + 1) / 2
    # 2.
    plain = torch.rand(count, 3, 1, 1, generator=random).to(x.device).expand_as(x)
    others = F.avg_pool2d(x.roll(1, 0).flip(3), 9, 1, 4)
    kind = torch.rand(count, 1, 1, 1, generator=random).to(x.device)
    head = ellipse(size, x.device, reach=HEAD)
    behind = torch.where(kind < 0.3, plain, others)
    x = torch.where(kind < 0.6, x * head + behind * (1 - head), x)
    # 3.
    x = x.clamp(1e-3, 1) ** normal(count, 1, 1, 1, spread=0.3).exp()
    x = x * (normal(count, 3, 1, 1, spread=0.1) + normal(count, 1, 1, 1, spread=0.15)).exp()
    along = torch.linspace(-1, 1, size, device=x.device)
    x = (x * (1 + normal(count, 1, 1, 1, spread=0.25) * along)).clamp(0, 1)
    gray = x.mean(dim=1, keepdim=True)
    x = gray + (x - gray) * normal(count, 1, 1, 1, spread=0.25).exp()
    # 4.
    share = torch.rand(count, 1, 1, 1, generator=random).to(x.device)
    x = torch.lerp(x, blurred(x, size / 128), share)
    x = x + torch.randn(x.shape, generator=random).to(x.device) * 0.02 * share
    return x.clamp(0, 1) * 2 - 1


def blurred(pictures: Tensor, sigma_px: float) -> Tensor:
    """Gaussian blur of [N, C, H, W], mirrored at the edges."""
    reach = min(max(1, round(3 * sigma_px)), min(pictures.shape[-2:]) - 1)
    at = torch.arange(-reach, reach + 1, device=pictures.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (at / sigma_px).square())
    kernel = (kernel / kernel.sum()).to(pictures.dtype)
    channels = pictures.shape[1]
    x = F.pad(pictures, [reach] * 4, mode="reflect")
    x = F.conv2d(x, kernel.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return F.conv2d(x, kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)
