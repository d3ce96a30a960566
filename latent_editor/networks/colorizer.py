"""The colorizer: the most likely colors of grayscale pictures, and the propagation of color hints.

A network trained on portraits predicts the colors: those of skin and hair mostly follow from position and lightness,
those of a background do not. Color hints are propagated to places with similar features, as colorization by example
(Welsh et al. 2002) and by scribbles (Levin et al. 2004) do with lightness and distance. Training the network on hints
(Zhang et al. 2017) takes a million pictures: after ten thousand it ignored them.
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
#: Scale of the last layer: about the standard deviation of chroma in pictures.
UNIT = 0.3
#: Bandwidth of the propagation of hints, in standard deviations of features. On 64 portraits three hints left 43 % of
#: grayscale's error at 0.6 and 0.7, 44 at 0.85, 46 at 0.35; with a less trained network 52 %, and 58 with distance or
#: lightness instead of features.
BANDWIDTH = 0.7


class Colorizer(nn.Module):
    """Colorizes grayscale pictures, preserving their luminance.

    1. The trunk, the same architecture as in the encoder and the discriminator, encodes the picture.
    2. A decoder with skip connections goes up from its last map (U-Net, Ronneberger et al. 2015).
    3. Red and blue minus luminance at half the size; green follows from the luminance.
    4. The error at known colors is propagated to places with similar features.

    Args:
        size_px: Height and width of the input; other pictures are resized.
        width, max_width: As for :class:`Trunk`.
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

    def chroma(self, picture: Tensor, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        """Steps 1 to 3.

        Args:
            picture: [N, 3, S, S], −1..1; its colors are ignored.
            dtype: To compute in.

        Returns:
            Color minus luminance, float32 [N, 3, size_px / 2, size_px / 2], and the last map, [N, width, …].
        """
        gray = resized(luminance(picture), self.config["size_px"]).expand(-1, 3, -1, -1)
        maps = self.trunk.maps(gray, dtype)
        x = maps[-1] + self.whole(self.trunk.vector(maps[-1])[:, :, None, None].to(dtype))
        for level, widen, across in zip(reversed(self.up), reversed(self.widen), maps[-2::-1], strict=True):
            x = level((across + F.interpolate(widen(x), scale_factor=2, mode="nearest")) * math.sqrt(0.5))
        x = F.leaky_relu(x, 0.2)
        red, blue = (UNIT * self.last(x).float()).chunk(2, dim=1)
        return torch.cat([red, -(LUMA[0] * red + LUMA[2] * blue) / LUMA[1], blue], dim=1), x

    def forward(self, picture: Tensor, known: Tensor | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
        """Colorizes pictures.

        Args:
            picture: [N, 3, S, S], −1..1.
            known: [N, 1, S, S], 1 where the picture's own colors are known, 0 elsewhere; None for nowhere.
            dtype: To compute in.

        Returns:
            float32 [N, 3, S, S], with the picture's luminance.
        """
        chroma, features = self.chroma(picture, dtype)
        if known is not None:
            side = chroma.shape[-1]
            share = F.adaptive_avg_pool2d(known, side)
            hints = F.adaptive_avg_pool2d((picture - luminance(picture)) * known, side) / share.clamp_min(1e-6)
            chroma = chroma + propagated(hints - chroma, share > 0, features.float())
        size = picture.shape[-2:]
        return luminance(picture) + F.interpolate(chroma, size=size, mode="bilinear", align_corners=False)


def propagated(values: Tensor, known: Tensor, features: Tensor) -> Tensor:
    """Propagates known values to places with similar features: their mean, weighted by similarity.

    Args:
        values: [N, C, H, W].
        known: bool [N, 1, H, W].
        features: [N, F, H, W], compared by their distance.

    Returns:
        [N, C, H, W]; 0 where nothing known is similar.
    """
    features = features - features.mean(dim=(2, 3), keepdim=True)
    features = features / features.std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
    found = torch.zeros_like(values)
    for out, value, here, feature in zip(found, values, known, features, strict=True):
        if bool(here.any()):
            places, anchors = feature.flatten(1).t(), feature[:, here[0]].t()  # [H·W, F], [K, F]
            distances = torch.cdist(places, anchors).square() / (len(feature) * 2 * BANDWIDTH**2)
            weights = (-distances).exp()  # [H·W, K]
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
    """The colorizer of a generator, built once; None if the model has none."""
    if not g.bundle.has(COLORIZER_FILE):
        return None
    return _read_for(g)


@per_model
def _read_for(g: Generator) -> Colorizer:
    return read_colorizer(g.bundle.file(COLORIZER_FILE, "colors of grayscale pictures")).to(g.device)
