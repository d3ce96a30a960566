"""Low-resolution previews of a generator, for computations that need hundreds of images but no detail."""

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

#: Images that the color map is fitted to, and the minimum R² of the fit.
FIT_SAMPLES, MIN_FIT = 6, 0.5
#: Pixels per batch for full images, and for intermediate ones (whose pixels have more channels).
_MAX_PIXELS, _MAX_EARLY_PIXELS = 2 << 20, 1 << 18
_MAX_SIZE_PX = 256


class Preview(Wrapped):
    """Renders the latents of another generator at a lower resolution.

    1. The skip architecture is stopped at ``size_px``. The RGB sum so far lacks the later summands; a linear color map,
       fitted to a few full images, corrects for their mean.
    2. Without skip connections, or if the fit is poor, the full image is downscaled.

    Args:
        g: The full generator.
        size_px: Resolution of the preview, a power of two.
    """

    def __init__(self, g: Generator, size_px: int) -> None:
        super().__init__(g)
        self.size_px = size_px
        self._color_map: Tensor | None = None  # [channels + 1, channels]
        self.fit = self._fit_color_map()

    def synthesize(
        self, ws: Tensor, *, noise: str = "const", dtype: torch.dtype | None = None, transform: Tensor | None = None
    ) -> Tensor:
        """As in the base class; ``noise`` and ``transform`` only have an effect if full images are downscaled."""
        if self._color_map is not None:
            few = max(1, _MAX_EARLY_PIXELS // self.size_px**2)
            early = [self.inner.intermediate_image(some, self.size_px, dtype=dtype) for some in ws.split(few)]
            return torch.cat([_apply_color_map(picture, self._color_map) for picture in early if picture is not None])
        g = self.inner
        few = max(1, _MAX_PIXELS // g.size_px**2)  # large images in small batches, to limit memory
        whole = (g.synthesize(some, noise=noise, dtype=dtype, transform=transform) for some in ws.split(few))
        return torch.cat([resized(pictures, self.size_px) for pictures in whole])

    def blended(
        self,
        ws: Tensor,
        masks: BlendMasks,
        *,
        noise: str = "const",
        dtype: torch.dtype | None = None,
        transform: Tensor | None = None,
        until: int | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """As in the base class; the final image has the size ``size_px``."""
        g = self.inner
        if until is not None:
            return g.blended(ws, masks, noise=noise, dtype=dtype, until=until)
        if self._color_map is not None:
            x, picture = g.blended(ws, masks, noise=noise, dtype=dtype, until=self.size_px)
            assert picture is not None
            return x, _apply_color_map(picture, self._color_map)
        x, picture = g.blended(ws, masks, noise=noise, dtype=dtype, transform=transform)
        assert picture is not None
        return x, resized(picture, self.size_px)

    def refined(self, g: Generator) -> Preview:
        """The preview of a refined generator, which reuses the color map of its model."""
        other = copy.copy(self)
        other._inner, other.bundle = [g], g.bundle
        return other

    @torch.no_grad()
    def _fit_color_map(self) -> float:
        """Fits the color map of intermediate images; returns R², or 0 if it is not used."""
        g, dtype = self.inner, fastest_dtype(self.device)
        ws = random_ws(g, list(range(FIT_SAMPLES)))
        early = g.intermediate_image(ws[:1], self.size_px, dtype=dtype) if self.size_px < g.size_px else None
        if early is None:
            return 0.0
        early = g.intermediate_image(ws, self.size_px, dtype=dtype)
        assert early is not None
        finished: Tensor = _reference_images(g)
        x = _append_one(early.double().permute(0, 2, 3, 1).flatten(0, 2))
        y = resized(finished, self.size_px).double().permute(0, 2, 3, 1).flatten(0, 2)
        penalty = 1e-6 * torch.eye(x.shape[1], dtype=x.dtype, device=x.device) * len(x)
        colors = torch.linalg.solve(x.t() @ x + penalty, x.t() @ y)
        unexplained = (x @ colors - y).var(dim=0).sum() / y.var(dim=0).sum().clamp_min(1e-12)
        fit = 1 - float(unexplained)
        if fit < MIN_FIT:
            return 0.0
        self._color_map = colors.float()
        return fit


@per_generator
def _reference_images(g: Generator) -> Tensor:
    """Full images of seeded random ws, downscaled to at most ``_MAX_SIZE_PX``."""
    ws = random_ws(g, list(range(FIT_SAMPLES)))
    size = min(g.size_px, _MAX_SIZE_PX)
    pictures = (g.synthesize(w, dtype=fastest_dtype(g.device)).clamp(-1, 1) for w in ws.split(1))
    return torch.cat([resized(picture, size) for picture in pictures])


def _append_one(colors: Tensor) -> Tensor:
    return torch.cat([colors, torch.ones_like(colors[..., :1])], dim=-1)


def _apply_color_map(picture: Tensor, colors: Tensor) -> Tensor:
    return (_append_one(picture.permute(0, 2, 3, 1)) @ colors).permute(0, 3, 1, 2).contiguous()


def small(g: Generator, size_px: int) -> Generator:
    """A generator of about ``size_px``, cached: ``g`` itself if it is not larger, else a preview."""
    if g.size_px <= size_px:
        return g
    if isinstance(g, Blended):
        return Blended(small(g.inner, size_px), g.blend)
    return preview_of(g, size_px)


@per_generator
def preview_of(g: Generator, size_px: int) -> Preview:
    """The preview of a larger generator; refined ones reuse the color map of their model."""
    whole = original(g)
    return Preview(g, size_px) if whole is g else preview_of(whole, size_px).refined(g)
