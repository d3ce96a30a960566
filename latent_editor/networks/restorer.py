"""The restorer: what a damaged picture leaves to be guessed, as features of the generator that draws it whole.

A pretrained generator as the decoder of a restoring network: GLEAN (Chan et al. 2021), GFP-GAN (Wang et al. 2021).
Their features change the generator's at every resolution; here they are added at one, where the ladder's own features
are (:mod:`latent_editor.inversion.refining`), so that the answer is a latent with a refinement like any other.
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
#: How often the encoder looks before; where something is missing, so that it sees a whole face; and once where colours
#: are, because it would see its own ones again. One look more gains nothing, or half a hundredth in a hole.
LOOKS, LOOKS_AT_HOLES, LOOKS_AT_GREY = 2, 3, 1


@dataclass(frozen=True, eq=False)
class Case:
    """What the restorer is given.

    Attributes:
        picture: float32 [N, 3, S, S], −1..1, repaired in a plain way, with likely colours; 0 where it is missing.
        guess: The same with holes filled, for the encoder.
        known: float32 [1, 1, S, S], 0 where it is missing.
        looks: How often the encoder looks, at least once.
        coloured: Whether its colours are guessed.
    """

    picture: Tensor
    guess: Tensor
    known: Tensor
    looks: int = LOOKS
    coloured: bool = False


def case_of(
    damage: Degradation | None,
    damaged: Tensor,
    hidden: Tensor | None = None,
    colour: Callable[[Tensor], Tensor] | None = None,
) -> Case:
    """A case from damaged pictures.

    Args:
        damage: What is wrong but for what is missing; None for nothing.
        damaged: float32 [N, 3, S, S], −1..1.
        hidden: float32 [1, 1, S, S], 1 where it is missing; None for nowhere.
        colour: Gives likely colours to pictures, for those that have lost theirs; None leaves them grey.
    """
    known = torch.ones_like(damaged[:1, :1]) if hidden is None else 1 - hidden
    filled = damaged if hidden is None else filled_smoothly(damaged, known)
    plain = (filled if damage is None else damage.guess(filled)).clamp(-1, 1)
    if damage is None or not loses_color(damage):
        return Case(plain * known, plain, known, LOOKS if hidden is None else LOOKS_AT_HOLES)
    plain = plain if colour is None else colour(plain).clamp(-1, 1)
    return Case(plain * known, plain, known, LOOKS_AT_GREY, coloured=colour is not None)


def first_guess(
    g: Generator, encode: Callable[[Tensor], Tensor], case: Case, agree: Callable[[Tensor], Tensor]
) -> Tensor:
    """The ws that a restorer starts from: the encoder's of the plain repair, then of what came of it.

    A hole is filled by the encoder's first answer, and its second is of a whole face.

    Args:
        g: The generator.
        encode: Its encoder.
        case: What there is.
        agree: Brings pictures into agreement with what is known.

    Returns:
        float32 [N, num_ws, w_dim].
    """
    ws = encode(case.guess)
    for _ in range(case.looks - 1):
        render = g.synthesize(ws, dtype=fastest_dtype(case.guess.device)).float()
        ws = encode(agree(render.clamp(-1, 1)).clamp(-1, 1))
    return ws


class Restorer(nn.Module):
    """A damaged picture, and the activations of its first guess, to what is to be added to those.

    1. Fold the picture and the mask of what is known until they are as wide as the activations.
    2. Join both, and go down to 4² and up again, level by level (U-Net, Ronneberger et al. 2015).

    Args:
        size_px: Height and width of the pictures.
        channels, features_px: Channels and width of the activations; a power of two less than ``size_px``.
        width, max_width: Channels of the first level; later ones have more, ``max_width`` at most.
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
        """Features to be added.

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
        kept = []
        for level, narrow in itertools.zip_longest(self.down, self.narrow):
            x = level(x)
            if narrow is not None:
                kept.append(x)
                x = narrow(F.avg_pool2d(x, 2))
        for level, widen, across in zip(reversed(self.up), reversed(self.widen), reversed(kept), strict=True):
            x = level((across + F.interpolate(widen(x), scale_factor=2, mode="nearest")) * math.sqrt(0.5))
        return self.last(F.leaky_relu(x, 0.2)).float() * unit


def save_restorer(restorer: Restorer, path: str | Path) -> None:
    """Writes a restorer as safetensors in half precision."""
    save_network(restorer, path, kind="restorer")


def read_restorer(path: str | Path) -> Restorer:
    """Reads what :func:`save_restorer` wrote. Raises BadModel."""
    return read_network(path, Restorer, kind="restorer")


def load_restorer(g: Generator) -> Restorer | None:
    """The restorer that belongs to a generator, built once; None where the model comes without one."""
    if not g.bundle.has(RESTORER_FILE):
        return None
    return _read_for(g)


@per_model
def _read_for(g: Generator) -> Restorer:
    return read_restorer(g.bundle.file(RESTORER_FILE, "repairs")).to(g.device)
