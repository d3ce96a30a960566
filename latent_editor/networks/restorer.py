"""The restorer: predicts features with which the generator renders the restored version of a degraded picture.

A pretrained generator is the decoder of a restoration network, as in GLEAN (Chan et al. 2021) and GFP-GAN (Wang et al.
2021). Those modulate the generator's features at every resolution; here features are added at one resolution, that of
the inversion's features (:mod:`latent_editor.inversion.refining`), so the result is an ordinary latent with a
refinement.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latent_editor.degradations import Degradation, filled_smoothly, loses_color
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.models.per_model import per_model
from latent_editor.networks.network_files import read_network, save_network
from latent_editor.networks.trunk import EqualConv, Residual

RESTORER_FILE = "restorer.safetensors"
#: Passes of the encoder before the restorer: by default; for pictures with holes, which need one more to see a whole
#: face; and for grayscale pictures, whose predicted colors it would only encode again. More passes gain nothing, or
#: half a percent in a hole.
PASSES, PASSES_WITH_HOLES, PASSES_GRAYSCALE = 2, 3, 1


@dataclass(frozen=True, eq=False)
class Case:
    """The input of the restorer.

    Attributes:
        picture: float32 [N, 3, S, S], −1..1, repaired without a model, with predicted colors; 0 in holes.
        guess: The same with filled holes, for the encoder.
        known: float32 [1, 1, S, S], 0 in holes.
        passes: Number of encoder passes, at least 1.
        colored: Whether the colors are predicted.
    """

    picture: Tensor
    guess: Tensor
    known: Tensor
    passes: int = PASSES
    colored: bool = False


def case_of(
    damage: Degradation | None,
    damaged: Tensor,
    hidden: Tensor | None = None,
    color: Callable[[Tensor], Tensor] | None = None,
) -> Case:
    """A case from degraded pictures.

    Args:
        damage: The degradation without its holes; None for none.
        damaged: float32 [N, 3, S, S], −1..1.
        hidden: float32 [1, 1, S, S], 1 in holes; None for no holes.
        color: Predicts the colors of grayscale pictures; None leaves them gray.
    """
    known = torch.ones_like(damaged[:1, :1]) if hidden is None else 1 - hidden
    filled = damaged if hidden is None else filled_smoothly(damaged, known)
    plain = (filled if damage is None else damage.guess(filled)).clamp(-1, 1)
    if damage is None or not loses_color(damage):
        return Case(plain * known, plain, known, PASSES if hidden is None else PASSES_WITH_HOLES)
    plain = plain if color is None else color(plain).clamp(-1, 1)
    return Case(plain * known, plain, known, PASSES_GRAYSCALE, colored=color is not None)


def first_guess(
    g: Generator, encode: Callable[[Tensor], Tensor], case: Case, agree: Callable[[Tensor], Tensor]
) -> Tensor:
    """The ws that the restorer starts from: the encoder's result for the repaired picture, corrected in further passes.

    The first pass fills a hole; the second one sees a whole face.

    Args:
        g: The generator.
        encode: Its encoder.
        case: The input.
        agree: Makes pictures consistent with the degraded one.

    Returns:
        float32 [N, num_ws, w_dim].
    """
    ws = encode(case.guess)
    for _ in range(case.passes - 1):
        render = g.synthesize(ws, dtype=fastest_dtype(case.guess.device)).float()
        ws = encode(agree(render.clamp(-1, 1)).clamp(-1, 1))
    return ws


class Restorer(nn.Module):
    """Predicts features from a degraded picture and the generator's activations for its first guess.

    1. Fold the picture and its mask to the size of the activations.
    2. Add both, and go down to 4² and up again, level by level (U-Net, Ronneberger et al. 2015).

    Args:
        size_px: Height and width of the pictures.
        channels, features_px: Channels and width of the activations; a power of two less than ``size_px``.
        width, max_width: Channels of the first level, and of later ones at most.
    """

    def __init__(self, size_px: int, channels: int, features_px: int, *, width: int = 64, max_width: int = 128) -> None:
        super().__init__()
        shape = {"size_px": size_px, "channels": channels, "features_px": features_px}
        self.config = {**shape, "width": width, "max_width": max_width}
        self.fold = size_px // features_px
        widths = [min(width * 2**i, max_width) for i in range(int(math.log2(features_px)) - 1)]  # down to 4²
        self.stem = EqualConv(4 * self.fold**2, width)
        self.guess = EqualConv(channels, width, kernel=1)
        self.down = nn.ModuleList(nn.Sequential(Residual(w), Residual(w)) for w in widths)
        self.narrow = nn.ModuleList(EqualConv(a, b) for a, b in itertools.pairwise(widths))
        self.widen = nn.ModuleList(EqualConv(b, a, kernel=1) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(Residual(w) for w in widths[:-1])
        self.last = EqualConv(width, channels)
        nn.init.zeros_(self.last.weight)

    def forward(self, case: Case, activations: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
        """The features to add.

        Args:
            case: N pictures of ``size_px``.
            activations: [N, channels, features_px, features_px] of the first guess.
            dtype: To compute in.

        Returns:
            float32 [N, channels, features_px, features_px].
        """
        unit = activations.float().std(dim=(1, 2, 3), keepdim=True).clamp_min(1e-6)
        seen = torch.cat([case.picture, case.known.expand(len(case.picture), -1, -1, -1)], dim=1)
        seen = F.pixel_unshuffle(seen, self.fold).to(dtype).contiguous(memory_format=torch.channels_last)
        x = self.stem(seen) + self.guess((activations / unit).to(dtype))
        skips = []
        for level, narrow in itertools.zip_longest(self.down, self.narrow):
            x = level(x)
            if narrow is not None:
                skips.append(x)
                x = narrow(F.avg_pool2d(x, 2))
        for level, widen, across in zip(reversed(self.up), reversed(self.widen), reversed(skips), strict=True):
            x = level((across + F.interpolate(widen(x), scale_factor=2, mode="nearest")) * math.sqrt(0.5))
        return self.last(F.leaky_relu(x, 0.2)).float() * unit


def save_restorer(restorer: Restorer, path: str | Path) -> None:
    """Writes a restorer as safetensors in half precision."""
    save_network(restorer, path, kind="restorer")


def read_restorer(path: str | Path) -> Restorer:
    """Reads what :func:`save_restorer` wrote. Raises BadModel."""
    return read_network(path, Restorer, kind="restorer")


def load_restorer(g: Generator) -> Restorer | None:
    """The restorer of a generator, built once; None if the model has none."""
    if not g.bundle.has(RESTORER_FILE):
        return None
    return _read_for(g)


@per_model
def _read_for(g: Generator) -> Restorer:
    return read_restorer(g.bundle.file(RESTORER_FILE, "repairs")).to(g.device)
