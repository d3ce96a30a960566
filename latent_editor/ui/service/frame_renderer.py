"""Serializes and micro-batches rendering for all sessions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.rendering import ActivationCache, Renderer, sized_images
from latent_editor.runtime.batching import Batcher

#: Size of the activation cache, shared by all models and sessions.
CACHE_BYTES = 192 << 20
#: Limits of a batch. On a CPU batching pays while pictures are so small that launching an operation costs more than
#: computing it: eight pictures of 128² took half the time of eight single ones; eight of 256² took 0.6 to 0.8 of it in
#: a narrow network and about the same time in a wide one. For larger pictures the gain was small either way
#: (``benchmarks/batching.py``), so each is drawn alone and no caller waits for another's.
MAX_PIXELS_CPU, MAX_PIXELS_GPU = 1 << 19, 8 << 20
MAX_BATCHED_PX_CPU = 256
MAX_BATCH = 16


@dataclass(frozen=True, eq=False)
class _RenderRequest:
    """One caller's pictures: ws [N, num_ws, w_dim] and a transform [3, 3] or None."""

    ws: Tensor
    transform: Tensor | None


class FrameRenderer:
    """Renders for all sessions of a server. Thread-safe.

    Concurrent requests for the same model are batched, and pictures that share leading activations with an earlier one
    start from the cache.
    """

    def __init__(self, *, max_bytes: int = CACHE_BYTES) -> None:
        self.cache = ActivationCache(max_bytes)
        self._batcher: Batcher[tuple[Generator, bool], _RenderRequest, Tensor] = Batcher(
            self._draw, max_size=lambda key: max_batch(key[0])
        )

    def draw(self, g: Generator, ws: Tensor, *, transform: Tensor | None = None) -> Tensor:
        """Renders latents in the fastest precision.

        Args:
            g: Any generator.
            ws: [N, num_ws, w_dim].
            transform: float32 [3, 3], see :class:`Placement`; None for the identity.

        Returns:
            float32 [N, channels, g.size_px, g.size_px], −1..1.

        Raises:
            BadValue: the generator has no transform.
        """
        return self._batcher((g, transform is not None), _RenderRequest(ws, transform), size=len(ws))

    def images(
        self, g: Generator, ws: Tensor, *, size_px: int | None = None, transform: Tensor | None = None
    ) -> list[Image.Image]:
        """Like :meth:`draw`, as N RGB images, resized to ``size_px`` if given."""
        return sized_images(self.draw(g, ws, transform=transform), size_px)

    def _draw(self, key: tuple[Generator, bool], requests: Sequence[_RenderRequest]) -> list[Tensor]:
        g, _ = key
        transforms = [r.transform.expand(len(r.ws), 3, 3) for r in requests if r.transform is not None]
        ws = torch.cat([r.ws for r in requests])
        transform = torch.cat(transforms) if transforms else None
        pictures = Renderer(g, cache=self.cache).render_tensor(ws, transform=transform)
        return list(pictures.split([len(r.ws) for r in requests]))


def max_batch(g: Generator) -> int:
    """The largest number of a generator's pictures that are rendered as one batch."""
    on_cpu = g.device.type == "cpu"
    if on_cpu and g.size_px > MAX_BATCHED_PX_CPU:
        return 1
    return max(1, min((MAX_PIXELS_CPU if on_cpu else MAX_PIXELS_GPU) // g.size_px**2, MAX_BATCH))
