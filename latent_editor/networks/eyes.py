"""The eye network: where in an eye is the middle of its iris? It looks at one eye at a time, closely."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.networks.heatmaps import Block, soft_argmax
from latent_editor.ops import affine

#: Side of the square that it looks at, in distances between the eyes; its middle is where the pupil is thought to be.
VIEW_SIDE = 0.9
VIEW_PX = 48

#: Each look is taken at these sizes of the view, and averaged.
ZOOMS = (0.9, 1.1)


class FoundEyes(NamedTuple):
    """What the network says about a batch of eyes.

    Attributes:
        points: float32 [N, 2], (x, y) of the middle of the iris, fractions of the view's side.
        spread: float32 [N], standard deviation of the heat map, as a fraction of the side.
        heat: float32 [N, 1, S/2, S/2], logits of the heat map.
    """

    points: Tensor
    spread: Tensor
    heat: Tensor


class EyeNet(nn.Module):
    """A small U-net with one heat map, for eyes on the left of the picture; those on the right come mirrored.

    Args:
        width: Channels at half the size; 2 and 3 times as many at the smaller ones.
    """

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.width = width
        w = [width, width * 2, width * 3]
        self.stem = nn.Sequential(Block(12, w[0]), Block(w[0], w[0]))
        self.down = nn.ModuleList(nn.Sequential(Block(w[i], w[i + 1]), Block(w[i + 1], w[i + 1])) for i in range(2))
        self.lift = nn.ModuleList(Block(w[i + 1], w[i], kernel=1) for i in range(2))
        self.up = nn.ModuleList(Block(w[i], w[i]) for i in range(2))
        self.to_heat = nn.Conv2d(w[0], 1, 1)

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> FoundEyes:
        """image [N, 3, VIEW_PX, VIEW_PX], −1..1 → :class:`FoundEyes`."""
        x = F.pixel_unshuffle(image, 2).to(dtype).contiguous(memory_format=torch.channels_last)
        maps = [self.stem(x)]
        for level in self.down:
            maps.append(level(F.avg_pool2d(maps[-1], 2)))
        x = maps[2]
        for i in (1, 0):
            x = self.up[i](F.interpolate(self.lift[i](x), scale_factor=2, mode="nearest") + maps[i])
        heat = self.to_heat(x.float())  # [N, 1, S/2, S/2]
        points, spread = soft_argmax(heat)
        return FoundEyes(points[:, 0], spread[:, 0], heat)


def eye_frames(pupils: np.ndarray) -> list[np.ndarray]:
    """The two views around pupils [2, 2], float64 [2, 3] from view to picture pixels; the right one is mirrored."""
    along = (pupils[1] - pupils[0]) * (VIEW_SIDE / VIEW_PX)
    down = np.array([-along[1], along[0]])
    frames = []
    for pupil, x in zip(pupils, (along, -along), strict=True):
        linear = np.stack([x, down], axis=1)
        frames.append(np.column_stack([linear, pupil - linear @ [VIEW_PX / 2, VIEW_PX / 2]]))
    return frames


def look_into_eyes(
    net: EyeNet, picture: np.ndarray, pupils: np.ndarray, *, rounds: int = 2
) -> tuple[np.ndarray, float]:
    """Finds the middles of both irises: looks, moves the views there, and looks again.

    Args:
        net: The eye network.
        picture: uint8 [H, W, 3], RGB.
        pupils: float64 [2, 2], where they are thought to be, in picture pixels; left in the picture first.
        rounds: How many looks.

    Returns:
        float64 [2, 2]; and the spread of the heat maps, averaged over the last looks into the worse eye, as a fraction
        of the view's side: 0.05 to 0.085 in photographs of faces, 0.12 and more elsewhere.
    """
    pupils, spread = np.asarray(pupils, np.float64), np.zeros(2)
    for _ in range(rounds):
        frames = [affine.composed(frame, _zoom(zoom)) for zoom in ZOOMS for frame in eye_frames(pupils)]
        views = np.stack([affine.warp(picture, frame, (VIEW_PX, VIEW_PX)) for frame in frames])
        with torch.inference_mode():
            found = net(torch.from_numpy(views).permute(0, 3, 1, 2).float() / 127.5 - 1)
        at = found.points.double().numpy() * VIEW_PX
        seen = [affine.transformed(frame, point[None])[0] for frame, point in zip(frames, at, strict=True)]
        pupils = np.stack(seen).reshape(len(ZOOMS), 2, 2).mean(0)
        spread = found.spread.double().numpy().reshape(len(ZOOMS), 2).mean(0)
    return pupils, float(spread.max())


def _zoom(factor: float) -> np.ndarray:
    """The view enlarged around its middle."""
    shift = VIEW_PX / 2 * (1 - factor)
    return np.array([[factor, 0, shift], [0, factor, shift]])
