"""A generator seen small: for what needs hundreds of pictures and no detail, at a fraction of the cost."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from latent_editor.generators.base import Generator, random_ws
from latent_editor.generators.blend_masks import BlendMasks
from latent_editor.generators.blending import Blended
from latent_editor.generators.pictures import fastest_dtype, resized
from latent_editor.generators.refined import original
from latent_editor.generators.wrapped import Wrapped
from latent_editor.models.per_model import per_generator

#: Finished pictures that the colours of early ones are fitted to, and the share of their variance that has to be met.
FITTED, MIN_FIT = 6, 0.5
#: Pixels that are rendered together, whole and early (which have more channels each).
_MAX_PIXELS, _MAX_EARLY_PIXELS = 2 << 20, 1 << 18
_LARGEST_PX = 256


class Preview(Wrapped):
    """The same latents as another generator's, and its pictures in a smaller size.

    1. A network that sums pictures of growing size (the skip architecture) is left at ``size_px``. What it has there
       lacks the later summands; a linear map of its colours, fitted to a few finished pictures, stands for their mean.
    2. Where there is no such picture, or the fit is poor, the finished picture is reduced.

    Args:
        g: The whole generator.
        size_px: Size of the small pictures, a power of two.
    """

    def __init__(self, g: Generator, size_px: int) -> None:
        super().__init__(g)
        self.size_px = size_px
        self._colours: Tensor | None = None  # [channels + 1, channels]
        self.fit = self._fit_colours()

    def synthesize(
        self, ws: Tensor, *, noise: str = "const", dtype: torch.dtype | None = None, transform: Tensor | None = None
    ) -> Tensor:
        """As the whole generator's, in ``size_px``; ``noise`` and ``transform`` are used where that renders."""
        if self._colours is not None:
            few = max(1, _MAX_EARLY_PIXELS // self.size_px**2)
            early = [self.inner.early_picture(some, self.size_px, dtype=dtype) for some in ws.split(few)]
            return torch.cat([_recoloured(picture, self._colours) for picture in early if picture is not None])
        g = self.inner
        few = max(1, _MAX_PIXELS // g.size_px**2)  # large pictures a few at a time, lest they fill the memory
        whole = (g.synthesize(some, noise=noise, dtype=dtype, transform=transform) for some in ws.split(few))
        return torch.cat([resized(pictures, self.size_px) for pictures in whole])

    def blended(
        self,
        ws: Tensor,
        shares: BlendMasks,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
        until: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As the whole generator's; the picture at the end is in ``size_px``."""
        g = self.inner
        if until is not None:
            return g.blended(ws, shares, noise=noise, dtype=dtype, until=until)
        if self._colours is not None:
            x, picture = g.blended(ws, shares, noise=noise, dtype=dtype, until=self.size_px)
            assert picture is not None
            return x, _recoloured(picture, self._colours)
        x, picture = g.blended(ws, shares, noise=noise, dtype=dtype, transform=transform)
        assert picture is not None
        return x, resized(picture, self.size_px)

    def refined(self, g: Generator) -> Preview:
        """The preview of ``g``, a refined one of this preview's whole generator, with the colours fitted already."""
        other = copy.copy(self)
        other._inner, other.bundle = [g], g.bundle
        return other

    @torch.no_grad()
    def _fit_colours(self) -> float:
        """Fits the colours of early pictures; returns the share of the variance that they tell, 0 where unused."""
        g, dtype = self.inner, fastest_dtype(self.device)
        ws = random_ws(g, list(range(FITTED)))
        early = g.early_picture(ws[:1], self.size_px, dtype=dtype) if self.size_px < g.size_px else None
        if early is None:
            return 0.0
        early = g.early_picture(ws, self.size_px, dtype=dtype)
        assert early is not None
        finished: Tensor = _finished(g)
        x = _with_one(early.double().permute(0, 2, 3, 1).flatten(0, 2))
        y = resized(finished, self.size_px).double().permute(0, 2, 3, 1).flatten(0, 2)
        penalty = 1e-6 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device) * len(x)
        colours = torch.linalg.solve(x.t() @ x + penalty, x.t() @ y)
        unexplained = (x @ colours - y).var(dim=0).sum() / y.var(dim=0).sum().clamp_min(1e-12)
        fit = 1 - float(unexplained)
        if fit < MIN_FIT:
            return 0.0
        self._colours = colours.float()
        return fit


@per_generator
def _finished(g: Generator) -> Tensor:
    """Whole pictures of seeded random ws, reduced to a size that all previews can be compared with."""
    ws = random_ws(g, list(range(FITTED)))
    size = min(g.size_px, _LARGEST_PX)
    pictures = (g.synthesize(w, dtype=fastest_dtype(g.device)).clamp(-1, 1) for w in ws.split(1))
    return torch.cat([resized(picture, size) for picture in pictures])


def _with_one(colours: Tensor) -> Tensor:
    return torch.cat([colours, torch.ones_like(colours[..., :1])], dim=-1)


def _recoloured(picture: Tensor, colours: Tensor) -> Tensor:
    return (_with_one(picture.permute(0, 2, 3, 1)) @ colours).permute(0, 3, 1, 2).contiguous()


def small(g: Generator, size_px: int) -> Generator:
    """A generator of pictures of about ``size_px``, built once: ``g`` itself where it has no more, else a preview."""
    if g.size_px <= size_px:
        return g
    if isinstance(g, Blended):
        return Blended(small(g.inner, size_px), g.blend)
    return preview_of(g, size_px)


@per_generator
def preview_of(g: Generator, size_px: int) -> Preview:
    """:func:`small` of a generator that has more pixels than that; a refined one takes over what its model's fitted."""
    whole = original(g)
    return Preview(g, size_px) if whole is g else preview_of(whole, size_px).refined(g)
