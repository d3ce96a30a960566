"""Where the pictures of all models and visitors are drawn: one after another, and together where that is quicker."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.rendering import ActivationCache, Renderer, sized_images
from latent_editor.runtime.batching import Batcher

#: What is kept of earlier pictures, for all models and visitors together.
KEPT_BYTES = 192 << 20
#: How much is drawn together at most. On a CPU it pays while a picture is so small that starting each operation costs
#: more than the operation: eight pictures of 128² took half the time of eight single ones, eight of 256² 0.6 to 0.8 of
#: it in a narrow network and about as long in a wide one. Larger ones now gained and now lost a little
#: (``benchmarks/batching.py``), so each is drawn when its turn comes and nobody waits for another's.
MAX_PIXELS_CPU, MAX_PIXELS_GPU = 1 << 19, 8 << 20
LARGEST_TOGETHER_CPU_PX = 256
MAX_TOGETHER = 16


@dataclass(frozen=True, eq=False)
class _RenderRequest:
    """What one caller wants to have drawn: ws [N, num_ws, w_dim] and a transform [3, 3] or None."""

    ws: Tensor
    transform: Tensor | None


class FrameRenderer:
    """Draws for all visitors of a server. Safe to use from threads.

    What the visitors of a model ask for at the same time is drawn together, and what is like an earlier picture starts
    from what was kept of it.
    """

    def __init__(self, *, most_bytes: int = KEPT_BYTES) -> None:
        self.kept = ActivationCache(most_bytes)
        self._batcher: Batcher[tuple[Generator, bool], _RenderRequest, Tensor] = Batcher(
            self._draw, most=lambda key: most_together(key[0])
        )

    def draw(self, g: Generator, ws: Tensor, *, transform: Tensor | None = None) -> Tensor:
        """Renders latents in the fastest precision.

        Args:
            g: Any generator.
            ws: [N, num_ws, w_dim].
            transform: float32 [3, 3]: where to draw, or None.

        Returns:
            float32 [N, channels, g.size_px, g.size_px], −1..1.

        Raises:
            BadValue: a transform for a generator that cannot move its pictures.
        """
        return self._batcher((g, transform is not None), _RenderRequest(ws, transform), size=len(ws))

    def images(
        self, g: Generator, ws: Tensor, *, size_px: int | None = None, transform: Tensor | None = None
    ) -> list[Image.Image]:
        """The same as N RGB images, in another size where one is given."""
        return sized_images(self.draw(g, ws, transform=transform), size_px)

    def _draw(self, key: tuple[Generator, bool], orders: Sequence[_RenderRequest]) -> list[Tensor]:
        g, _ = key
        transforms = [o.transform.expand(len(o.ws), 3, 3) for o in orders if o.transform is not None]
        ws = torch.cat([order.ws for order in orders])
        transform = torch.cat(transforms) if transforms else None
        pictures = Renderer(g, kept=self.kept).render_tensor(ws, transform=transform)
        return list(pictures.split([len(order.ws) for order in orders]))


def most_together(g: Generator) -> int:
    """How many pictures of a generator are drawn together at most."""
    on_cpu = g.device.type == "cpu"
    if on_cpu and g.size_px > LARGEST_TOGETHER_CPU_PX:
        return 1
    return max(1, min((MAX_PIXELS_CPU if on_cpu else MAX_PIXELS_GPU) // g.size_px**2, MAX_TOGETHER))
