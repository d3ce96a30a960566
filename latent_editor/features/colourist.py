"""The colourist: which colours a picture without them most likely had.

A network that has learned portraits guesses what lamp and film left out: skin and hair are mostly told by their place
and lightness, a background is not. Where somebody knows better, a few dabs of colour are taken into account
(Zhang et al. 2017, "Real-time user-guided image colorization with learned deep priors", §3).
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.degradations import luminance
from latent_editor.degradations.damage import LUMA
from latent_editor.features.network_files import read_network, save_network
from latent_editor.features.trunk import EqualConv, Residual, Trunk
from latent_editor.generators import Generator
from latent_editor.generators.pictures import resized

COLOURIST_FILE = "colourist.safetensors"
#: What one unit of the last layer is in colours: about what pictures have beside their luminance.
UNIT = 0.3


class Colourist(nn.Module):
    """A grey picture to one in colours, with the same luminance.

    1. The trunk that encoder and critic have too looks at the picture and at where its colours are known.
    2. From its last map, up again level by level (U-Net, Ronneberger et al. 2015).
    3. Red and blue less luminance at half the size; green follows, since luminance is what it was.

    Args:
        size_px: Height and width of the pictures that it looks at; others are resized.
        width, max_width: As of :class:`Trunk`.
    """

    def __init__(self, size_px: int, *, width: int = 64, max_width: int = 128) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "width": width, "max_width": max_width}
        self.trunk = Trunk(size_px, width=width, max_width=max_width, channels=4, features=max_width)
        widths = [min(width * 2**i, max_width) for i in range(len(self.trunk.levels) + 1)]
        self.whole = EqualConv(max_width, widths[-1], kernel=1)
        self.widen = nn.ModuleList(EqualConv(b, a, kernel=1) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(Residual(w) for w in widths[:-1])
        self.last = EqualConv(width, 2)
        nn.init.zeros_(self.last.weight)

    def colours(self, picture: Tensor, known: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """What is beside luminance, at half of ``size_px``.

        Args:
            picture: [N, 3, S, S], −1..1, grey but where its colours are known.
            known: [N, 1, S, S], 1 there and 0 elsewhere.
            dtype: To compute in.

        Returns:
            float32 [N, 3, size_px / 2, size_px / 2].
        """
        seen = torch.cat([picture, known.expand(len(picture), -1, -1, -1)], dim=1)
        maps = self.trunk.maps(resized(seen, self.config["size_px"]), dtype)
        x = maps[-1] + self.whole(self.trunk.vector(maps[-1])[:, :, None, None].to(dtype))
        for level, widen, across in zip(reversed(self.up), reversed(self.widen), maps[-2::-1], strict=True):
            x = level((across + F.interpolate(widen(x), scale_factor=2, mode="nearest")) * math.sqrt(0.5))
        red, blue = (UNIT * self.last(F.leaky_relu(x, 0.2)).float()).chunk(2, dim=1)
        return torch.cat([red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue], dim=1)

    def forward(self, picture: Tensor, known: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """The picture in colours; arguments as of :meth:`colours`, nothing known by default: [N, 3, S, S] float32."""
        known = torch.zeros_like(picture[:, :1]) if known is None else known
        colours = self.colours(picture, known, dtype)
        size = picture.shape[-2:]
        return luminance(picture) + F.interpolate(colours, size=size, mode="bilinear", align_corners=False)


def save_colourist(colourist: Colourist, path: str | Path) -> None:
    """Writes a colourist as safetensors in half precision."""
    save_network(colourist, path, kind="colourist")


def read_colourist(path: str | Path) -> Colourist:
    """Reads what :func:`save_colourist` wrote. Raises BadModel."""
    return read_network(path, Colourist, kind="colourist")


def load_colourist(g: Generator) -> Colourist | None:
    """The colourist that belongs to a generator, built once; None where the model comes without one."""
    if not g.bundle.has(COLOURIST_FILE):
        return None
    path = g.bundle.file(COLOURIST_FILE, "colours of grey pictures")
    found: Colourist = g.bundle.part("colourist", lambda: read_colourist(path).to(g.device))
    return found
