"""From a latent to a picture, as fast as the device allows. Preview and full size differ only in the arguments."""

from __future__ import annotations

import functools
import hashlib
import itertools
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence

import torch
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Latent
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype, to_image, to_tensor
from latent_editor.generators.preview import small
from latent_editor.generators.refined import generator_for
from latent_editor.generators.stylegan2 import BlockState, StyleGAN2

__all__ = [
    "PRECISIONS",
    "ActivationCache",
    "Renderer",
    "render",
    "render_batch",
    "render_tensor",
    "sized_images",
    "to_image",
    "to_tensor",
]

PRECISIONS = ("auto", "fp32")


def render_tensor(g: Generator, ws: Tensor, *, precision: str = "auto", transform: Tensor | None = None) -> Tensor:
    """Renders latents without noise, in batches or alone.

    Args:
        g: The generator.
        ws: [N, num_ws, w_dim].
        precision: "auto" takes the fastest, "fp32" the exact.
        transform: float32 [3, 3] or [N, 3, 3]: where to draw, for a generator that has ``has_transform``, as made by
            :func:`latent_editor.generators.base.transform_matrix`; None draws in the usual place.

    Returns:
        float32 [N, channels, size_px, size_px], clamped to −1..1, on the generator's device.

    Raises:
        BadValue: another precision, or a transform for a generator that cannot move its pictures.
    """
    dtype = _dtype(g, precision)
    if transform is not None and not g.has_transform:
        raise BadValue(f"The model {g.name!r} cannot move its pictures. Leave the transform out, or use a StyleGAN3.")
    transform = None if transform is None else transform.to(g.device)
    with torch.inference_mode():
        return g.synthesize(ws.to(g.device), noise="const", dtype=dtype, transform=transform).clamp(-1, 1)


def _dtype(g: Generator, precision: str) -> torch.dtype:
    if precision not in PRECISIONS:
        raise BadValue(f"Got the precision {precision!r}; expected one of {', '.join(PRECISIONS)}.")
    return torch.float32 if precision == "fp32" else fastest_dtype(g.device)


#: So many keys that nothing is kept for yet are remembered.
MAX_ASKED = 4096


class ActivationCache:
    """What the blocks of some generators were given, as far as it fits. Threads may share one.

    Only what is asked for a second time is kept: most pictures of a slider's way are never drawn again, and to fill
    fresh memory with them took as long as to draw them.

    Args:
        most_bytes: What is kept at most, beyond what a render itself takes; the least recently used goes first.
    """

    def __init__(self, most_bytes: int = 128 << 20) -> None:
        self.most_bytes = most_bytes
        self.bytes = 0
        self._asked: OrderedDict[Hashable, None] = OrderedDict()
        self._items: OrderedDict[Hashable, tuple[BlockState, int]] = OrderedDict()
        # Numbers, not generators: what is kept must not keep a generator in memory that nobody uses any more.
        self._numbers: weakref.WeakKeyDictionary[Generator, int] = weakref.WeakKeyDictionary()
        self._next = itertools.count()
        self._lock = threading.Lock()

    def number(self, g: Generator) -> int:
        """What tells the keys of one generator from those of others; never used again for another one."""
        with self._lock:
            if g not in self._numbers:
                self._numbers[g] = next(self._next)
            return self._numbers[g]

    def find(self, keys: Sequence[Hashable]) -> list[BlockState] | None:
        """What was kept under all of the keys; None where one is missing."""
        with self._lock:
            if not all(key in self._items for key in keys):
                return None
            for key in keys:
                self._items.move_to_end(key)
            return [self._items[key][0] for key in keys]

    def keep(self, items: Iterable[tuple[Hashable, Callable[[], BlockState]]]) -> None:
        """Keeps what was asked for before and is not there yet, and drops what was used longest ago; the last item
        counts as used last."""
        with self._lock:
            for key, make in items:
                if key in self._items:
                    self._items.move_to_end(key)
                    continue
                if not self._asked_before(key):
                    continue
                midway = make()
                size = midway.x.nbytes + (0 if midway.image is None else midway.image.nbytes)
                if size <= self.most_bytes // 2:
                    while self.bytes + size > self.most_bytes:
                        self.bytes -= self._items.popitem(last=False)[1][1]
                    self._items[key] = midway, size
                    self.bytes += size

    def _asked_before(self, key: Hashable) -> bool:
        """Whether it was; from now on it was."""
        known = key in self._asked
        self._asked[key] = None
        self._asked.move_to_end(key)
        if len(self._asked) > MAX_ASKED:
            self._asked.popitem(last=False)
        return known


class Renderer:
    """Renders latents of one generator, of which most differ from an earlier one in their last rows only.

    What the blocks of a StyleGAN2 are given is kept by the value of the rows that it depends on, so that an edit of
    the layers from k on computes those alone. Other generators render everything. Threads may share a renderer.

    Args:
        g: The generator, whose weights stay as they are.
        kept: Where it is kept, which renderers may share; None makes a place of its own.
    """

    def __init__(self, g: Generator, *, kept: ActivationCache | None = None) -> None:
        self.g = g
        self.kept = ActivationCache() if kept is None else kept
        self._number = self.kept.number(g)

    def render_tensor(self, ws: Tensor, *, precision: str = "auto", transform: Tensor | None = None) -> Tensor:
        """As :func:`render_tensor`, with the same result."""
        g, dtype = self.g, _dtype(self.g, precision)
        if not isinstance(g, StyleGAN2) or transform is not None:
            return render_tensor(g, ws, precision=precision, transform=transform)
        prefixes = self._prefixes(ws)
        with torch.inference_mode():
            start = self._start(prefixes, dtype)
            picture, passed = g.synthesize_from(ws.to(g.device), start, noise="const", dtype=dtype)
            self._keep(prefixes, dtype, passed)
            return picture.clamp_(-1, 1)

    def _prefixes(self, ws: Tensor) -> list[dict[int, bytes]]:
        """For each of ws [N, num_ws, w_dim], digests of its first rows by their number."""
        found = []
        for rows in ws.detach().float().cpu().contiguous().numpy():
            digest, prefixes = hashlib.blake2b(digest_size=16), {}
            for i, row in enumerate(rows, start=1):
                digest.update(row)
                prefixes[i] = digest.digest()
            found.append(prefixes)
        return found

    def _key(self, dtype: torch.dtype, resolution: int, digest: bytes) -> Hashable:
        return self._number, dtype, resolution, digest

    def _start(self, prefixes: list[dict[int, bytes]], dtype: torch.dtype) -> BlockState | None:
        """The last block before which all samples were seen already; one sample of a batch alone would save nothing."""
        assert isinstance(self.g, StyleGAN2)
        for resolution, first, _ in reversed(list(self.g.synthesis.blocks())):
            for rows in (first + 1, first):  # with a picture so far, and without
                found = self.kept.find([self._key(dtype, resolution, known.get(rows, b"")) for known in prefixes])
                if found is None:
                    continue
                if len(found) == 1:
                    return found[0]
                images = [m.image for m in found if m.image is not None]
                return BlockState(
                    resolution, rows, torch.cat([m.x for m in found]), torch.cat(images) if images else None
                )
        return None

    def _keep(self, prefixes: list[dict[int, bytes]], dtype: torch.dtype, passed: list[BlockState]) -> None:
        """Keeps what fits; the small pictures, which are of use to most edits, count as used last."""
        self.kept.keep(
            (self._key(dtype, midway.resolution, known[midway.rows]), functools.partial(_sample, midway, i))
            for midway in reversed(passed)
            for i, known in enumerate(prefixes)
        )


def _sample(midway: BlockState, i: int) -> BlockState:
    """One sample of a batch, which does not hold the memory of the others."""
    if len(midway.x) == 1:
        return midway
    image = None if midway.image is None else midway.image[i : i + 1].clone()
    return BlockState(midway.resolution, midway.rows, midway.x[i : i + 1].clone(), image)


def render(
    g: Generator,
    latent: Latent | Tensor,
    *,
    size_px: int | None = None,
    precision: str = "auto",
    transform: Tensor | None = None,
    alpha: bool = False,
    moving: bool = False,
) -> Image.Image:
    """Renders one latent.

    Args:
        g: The generator.
        latent: A latent of this generator, drawn with its refinement; or ws [num_ws, w_dim] or [1, num_ws, w_dim],
            such as those of an edited latent, which go with ``generator_for(g, latent)``.
        size_px: Side of the result; None keeps the generator's.
        precision: "auto" or "fp32".
        transform: Where to draw, as in :func:`render_tensor`.
        alpha: Keep the alpha of a model that has it; otherwise it is laid on middle grey.
        moving: The picture is one of a motion: below the generator's size it may be drawn without its last layers,
            by a preview that is fitted when it is first used.

    Returns:
        RGB, or RGBA.

    Raises:
        BadLatent: a latent of another model.
    """
    if isinstance(latent, Latent):
        g, latent = generator_for(g, latent), latent.ws
    ws = latent if latent.ndim == 3 else latent[None]
    return render_batch(g, ws, size_px=size_px, precision=precision, transform=transform, alpha=alpha, moving=moving)[0]


def render_batch(
    g: Generator,
    ws: Tensor,
    *,
    size_px: int | None = None,
    precision: str = "auto",
    transform: Tensor | None = None,
    alpha: bool = False,
    moving: bool = False,
) -> list[Image.Image]:
    """Renders ws [N, num_ws, w_dim] to N pictures; arguments as in :func:`render`."""
    if moving and size_px is not None and size_px < g.size_px and transform is None:
        g = small(g, max(1 << (size_px - 1).bit_length(), 4))
    pictures = render_tensor(g, ws, precision=precision, transform=transform)
    return sized_images(pictures, size_px, alpha=alpha)


def sized_images(pictures: Tensor, size_px: int | None = None, *, alpha: bool = False) -> list[Image.Image]:
    """Rendered pictures [N, channels, S, S], −1..1, as N images; ``size_px`` and ``alpha`` as in :func:`render`."""
    images = [to_image(picture, alpha=alpha) for picture in pictures]
    if size_px is not None and size_px != pictures.shape[-1]:
        filter_ = Image.Resampling.LANCZOS if size_px < pictures.shape[-1] else Image.Resampling.BICUBIC
        images = [i.resize((size_px, size_px), filter_) for i in images]
    return images
