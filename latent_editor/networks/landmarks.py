"""The landmark network: five points of a face and how sure it is that there is one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.core.face_geometry import LANDMARKS, MEAN_FACE, MIRRORED_ORDER, landmark_array, to_pupils
from latent_editor.generators import Generator
from latent_editor.models.per_model import per_model
from latent_editor.networks.eyes import EyeNet, look_into_eyes
from latent_editor.networks.heatmaps import Block, soft_argmax
from latent_editor.networks.network_files import read_network, save_network
from latent_editor.ops import affine

LANDMARKS_FILE = "landmarks.safetensors"


class Found(NamedTuple):
    """What the network says about a batch of frames.

    Attributes:
        points: float32 [N, 5, 2], (x, y) as fractions of the frame's side, pixel-edge coordinates, inside 0..1.
        spread: float32 [N, 5], standard deviation of each point's heat map, as a fraction of the side.
        logit: float32 [N]; above 0 it is rather a face than not.
        heat: float32 [N, 5, S/2, S/2], logits of the heat maps.
    """

    points: Tensor
    spread: Tensor
    logit: Tensor
    heat: Tensor


class LandmarkNet(nn.Module):
    """A small U-net that ends in one heat map a point, read by a soft argmax (Sun et al. 2018, integral regression).

    Refused: regressing the coordinates from a flattened map. It fits the portraits, all alike, as well, and moves
    less truly with the face under rotation and scale.

    1. Fold 2×2 pixels into channels; a convolution at half the size.
    2. Three halvings, two convolutions each.
    3. Back up to half the size, adding the maps of the way down.
    4. Five heat maps; the softmax-weighted mean of the pixel centers is the point.
    5. From the smallest map, mean and maximum over space give the logit of "this is a face".

    Args:
        size_px: Side of the frames it takes, a multiple of 16.
        width: Channels at half the size; 2, 3 and 4 times as many at the smaller ones.
        eye_width: Channels of the eye network that comes along; 0: none does.

    Attributes:
        eyes: The eye network, or None. It is not part of ``forward``.
    """

    def __init__(self, size_px: int = 96, *, width: int = 32, eye_width: int = 0) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "width": width}
        self.eyes: EyeNet | None = None
        self.size_px = size_px
        w = [width, width * 2, width * 3, width * 4]
        self.stem = Block(12, w[0])
        self.down = nn.ModuleList(nn.Sequential(Block(w[i], w[i + 1]), Block(w[i + 1], w[i + 1])) for i in range(3))
        self.lift = nn.ModuleList(Block(w[i + 1], w[i], kernel=1) for i in range(3))
        self.up = nn.ModuleList(Block(w[i], w[i]) for i in range(3))
        self.to_heat = nn.Conv2d(w[0], len(LANDMARKS), 1)
        self.to_logit = nn.Sequential(nn.Linear(w[3] * 2, 64), nn.ReLU(), nn.Linear(64, 1))
        if eye_width:
            self.use_eyes(EyeNet(eye_width))

    def use_eyes(self, eyes: EyeNet) -> None:
        """Takes an eye network along, in place of the one before."""
        self.eyes = eyes
        self.config["eye_width"] = eyes.width

    def forward(self, image: Tensor, dtype: torch.dtype = torch.float32) -> Found:
        """image [N, 3, size_px, size_px], −1..1 → :class:`Found`."""
        # 1.
        x = F.pixel_unshuffle(image, 2).to(dtype).contiguous(memory_format=torch.channels_last)
        maps = [self.stem(x)]
        # 2.
        for level in self.down:
            maps.append(level(F.avg_pool2d(maps[-1], 2)))
        # 3.
        x = maps[3]
        for i in (2, 1, 0):
            x = self.up[i](F.interpolate(self.lift[i](x), scale_factor=2, mode="nearest") + maps[i])
        # 4.
        heat = self.to_heat(x.float())  # [N, 5, S/2, S/2]
        points, spread = soft_argmax(heat)
        # 5.
        last = maps[3].float()
        logit = self.to_logit(torch.cat([last.mean((2, 3)), last.amax((2, 3))], 1))[:, 0]
        return Found(points, spread, logit, heat)


def save_landmark_net(net: LandmarkNet, path: str | Path) -> None:
    """Writes the network as safetensors in half precision."""
    save_network(net, path, kind="landmarks", points=json.dumps(LANDMARKS))


def read_landmark_net(path: str | Path) -> LandmarkNet:
    """Reads what :func:`save_landmark_net` wrote. Raises BadModel."""
    return read_network(path, LandmarkNet, kind="landmarks")


@per_model
def load_landmark_net(g: Generator) -> LandmarkNet:
    """The landmark network that comes with a generator's model, built once.

    Raises:
        MissingPart: the model comes without one.
    """
    return read_landmark_net(g.bundle.file(LANDMARKS_FILE, "aligning faces"))


class Located(NamedTuple):
    """A face in a picture.

    Attributes:
        points: float64 [5, 2], in the order of LANDMARKS, picture pixels; the eyes are the middles of their irises.
        score: 0..1, how sure the network is that this is a face.
        frame_to_picture: float64 [2, 3], the frame that was looked at last, of ``size_px`` pixels.
        blur: How unsure the eye network is of the worse eye (see ``networks.eyes.look_into_eyes``); 0 where it was
            not asked.
    """

    points: np.ndarray
    score: float
    frame_to_picture: np.ndarray
    blur: float = 0.0


#: The eye network is not asked about what is hardly a face.
MIN_SCORE_FOR_EYES = 0.3

#: How much each point counts when the next frame is laid: the chin is often hidden and the nose moves with the pose.
FRAME_WEIGHTS = (1.0, 1.0, 0.3, 1.0, 0.3)


def frame_from_points(points: np.ndarray, size_px: int) -> np.ndarray:
    """The frame, float64 [2, 3] from frame to picture pixels, that shows points [5, 2] where MEAN_FACE says."""
    return affine.similarity(landmark_array(MEAN_FACE) * size_px, points, np.array(FRAME_WEIGHTS))


def locate(net: LandmarkNet, picture: np.ndarray, frame_to_picture: np.ndarray, *, rounds: int = 3) -> Located:
    """Finds the points of the face near a frame: looks, lays the frame anew by what it saw, and looks again.

    The last look is taken twice, once mirrored, and averaged. Then the eye network, where there is one, looks into
    each eye; else the pupils are thought to be where they are on average.

    Args:
        net: The landmark network.
        picture: uint8 [H, W, 3], RGB.
        frame_to_picture: float64 [2, 3], from pixels of the network's frame to picture pixels.
        rounds: How many looks.
    """
    frame = np.asarray(frame_to_picture, np.float64)
    for _ in range(rounds - 1):
        frame = frame_from_points(_look(net, picture, frame, twice=False)[0], net.size_px)
    points, score = _look(net, picture, frame, twice=True)
    points, blur = to_pupils(points), 0.0
    if net.eyes is not None and score >= MIN_SCORE_FOR_EYES:
        points[:2], blur = look_into_eyes(net.eyes, picture, points[:2])
    return Located(points, score, frame, blur)


def _look(net: LandmarkNet, picture: np.ndarray, frame: np.ndarray, *, twice: bool) -> tuple[np.ndarray, float]:
    """Points [5, 2] in picture pixels, their eyes the middles of the corners, and the score."""
    size = net.size_px
    view = affine.warp(picture, frame, (size, size))
    image = torch.from_numpy(view).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        found = net(torch.cat([image, image.flip(3)]) if twice else image)
    seen = found.points.double()
    if twice:
        back = torch.stack([1 - seen[1, :, 0], seen[1, :, 1]], -1)[list(MIRRORED_ORDER)]
        seen = (seen[:1] + back) / 2
    return affine.transformed(frame, seen[0].numpy() * size), float(found.logit.mean().sigmoid())
