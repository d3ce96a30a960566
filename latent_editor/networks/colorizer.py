"""The colorizer: which colours a picture without them most likely had.

A network that has learned portraits guesses what was left out: skin and hair are mostly told by their place and
lightness, a background is not. Where somebody knows better, dabs of colour are spread over what looks alike to the
network: colours follow from its features as in colourisation by example (Welsh et al. 2002) and by scribbles (Levin et
al. 2004), where lightness and nearness did the same. Teaching it dabs (Zhang et al. 2017) takes a million pictures:
after ten thousand it passed over them.
"""

from __future__ import annotations

import itertools
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.degradations import LUMA, luminance
from latent_editor.generators import Generator
from latent_editor.generators.pictures import resized
from latent_editor.models.per_model import per_model
from latent_editor.networks.network_files import read_network, save_network
from latent_editor.networks.trunk import EqualConv, Residual, Trunk

COLORIZER_FILE = "colorizer.safetensors"
#: What one unit of the last layer is in colours: about what pictures have beside their luminance.
UNIT = 0.3
#: How unlike two places may look and still have one colour, in standard deviations of features. On 64 portraits three
#: dabs left 43 % of grey's error at 0.6 and 0.7, 44 at 0.85, 46 at 0.35; of a network that had learned less 52 %, and
#: 58 with nearness or lightness in place of features.
ALIKE = 0.7


class Colorizer(nn.Module):
    """A grey picture to one in colours, with the same luminance.

    1. The trunk that encoder and discriminator have too looks at the picture.
    2. From its last map, up again level by level (U-Net, Ronneberger et al. 2015).
    3. Red and blue less luminance at half the size; green follows, since luminance is what it was.
    4. What known colours differ from that is added wherever the last map is like it is there.

    Args:
        size_px: Height and width of the pictures that it looks at; others are resized.
        width, max_width: As of :class:`Trunk`.
    """

    def __init__(self, size_px: int, *, width: int = 64, max_width: int = 128) -> None:
        super().__init__()
        self.config = {"size_px": size_px, "width": width, "max_width": max_width}
        self.trunk = Trunk(size_px, width=width, max_width=max_width, features=max_width)
        widths = [min(width * 2**i, max_width) for i in range(len(self.trunk.levels) + 1)]
        self.whole = EqualConv(max_width, widths[-1], kernel=1)
        self.widen = nn.ModuleList(EqualConv(b, a, kernel=1) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(Residual(w) for w in widths[:-1])
        self.last = EqualConv(width, 2)
        nn.init.zeros_(self.last.weight)

    def colours(self, picture: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Steps 1 to 3.

        Args:
            picture: [N, 3, S, S], −1..1; its colours are not looked at.
            dtype: To compute in.

        Returns:
            What is beside luminance, float32 [N, 3, size_px / 2, size_px / 2], and the last map, [N, width, …].
        """
        grey = resized(luminance(picture), self.config["size_px"]).expand(-1, 3, -1, -1)
        maps = self.trunk.maps(grey, dtype)
        x = maps[-1] + self.whole(self.trunk.vector(maps[-1])[:, :, None, None].to(dtype))
        for level, widen, across in zip(reversed(self.up), reversed(self.widen), maps[-2::-1], strict=True):
            x = level((across + F.interpolate(widen(x), scale_factor=2, mode="nearest")) * math.sqrt(0.5))
        x = F.leaky_relu(x, 0.2)
        red, blue = (UNIT * self.last(x).float()).chunk(2, dim=1)
        return torch.cat([red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue], dim=1), x

    def forward(self, picture: Tensor, known: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """A picture in colours.

        Args:
            picture: [N, 3, S, S], −1..1.
            known: [N, 1, S, S], 1 where the picture's own colours are right and 0 elsewhere; None for nowhere.
            dtype: To compute in.

        Returns:
            float32 [N, 3, S, S], with the picture's luminance.
        """
        colours, features = self.colours(picture, dtype)
        if known is not None:
            side = colours.shape[-1]
            share = F.adaptive_avg_pool2d(known, side)
            told = F.adaptive_avg_pool2d((picture - luminance(picture)) * known, side) / share.clamp_min(1e-6)
            colours = colours + spread(told - colours, share > 0, features.float())
        size = picture.shape[-2:]
        return luminance(picture) + F.interpolate(colours, size=size, mode="bilinear", align_corners=False)


def spread(values: Tensor, known: Tensor, features: Tensor) -> Tensor:
    """Known values, wherever it looks like it does there: the mean of all, each by how alike it is.

    Args:
        values: [N, C, H, W].
        known: bool [N, 1, H, W].
        features: [N, F, H, W], what the likeness is told by.

    Returns:
        [N, C, H, W]; 0 where nothing that is known is alike.
    """
    features = features - features.mean(dim=(2, 3), keepdim=True)
    features = features / features.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
    found = torch.zeros_like(values)
    for out, value, here, feature in zip(found, values, known, features, strict=True):
        if bool(here.any()):
            places, anchors = feature.flatten(1).t(), feature[:, here[0]].t()  # [H·W, F], [K, F]
            apart = torch.cdist(places, anchors).square() / (len(feature) * 2 * ALIKE**2)
            weights = (-apart).exp()  # [H·W, K]
            mean = weights @ value[:, here[0]].t() / weights.sum(dim=1, keepdim=True).clamp_min(1e-12)
            out.copy_((mean * weights.amax(dim=1, keepdim=True)).t().view_as(out))
    return found


def save_colorizer(colorizer: Colorizer, path: str | Path) -> None:
    """Writes a colorizer as safetensors in half precision."""
    save_network(colorizer, path, kind="colorizer")


def read_colorizer(path: str | Path) -> Colorizer:
    """Reads what :func:`save_colorizer` wrote. Raises BadModel."""
    return read_network(path, Colorizer, kind="colorizer")


def load_colorizer(g: Generator) -> Colorizer | None:
    """The colorizer that belongs to a generator, built once; None where the model comes without one."""
    if not g.bundle.has(COLORIZER_FILE):
        return None
    return _read_for(g)


@per_model
def _read_for(g: Generator) -> Colorizer:
    return read_colorizer(g.bundle.file(COLORIZER_FILE, "colours of grey pictures")).to(g.device)
