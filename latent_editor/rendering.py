"""Rendering: latents to images, as fast as the device allows. Previews and full size differ only in arguments."""

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

from latent_editor.core.errors import BadLatent, BadValue
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
    """Renders ws by the generator as it is given: the low level of :func:`render`, without a latent's refinement.

    Args:
        g: The generator.
        ws: [N, num_ws, w_dim].
        precision: "auto" is the fastest on the device, "fp32" exact.
        transform: float32 [3, 3] or [N, 3, 3]: where to draw, for a generator that has ``has_transform``, as made by
            :func:`latent_editor.generators.base.transform_matrix`; None draws in the normal place.

    Returns:
        float32 [N, channels, size_px, size_px], clamped to −1..1, on the generator's device.

    Raises:
        BadValue: an unknown precision, or a transform for a generator that cannot move its pictures.
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


#: How many keys the cache remembers having been asked for, beyond those it holds.
MAX_REQUESTED_KEYS = 4096


class ActivationCache:
    """LRU cache of synthesis-block inputs, bounded in bytes. Thread-safe; renderers may share one.

    An item is stored when it is requested for the second time: most frames of a slider's motion are never drawn again,
    and filling fresh memory with them took as long as drawing them.

    Args:
        max_bytes: Upper bound on what is stored; the least recently used items go first. An item larger than half of
            it is never stored.
    """

    def __init__(self, max_bytes: int = 128 << 20) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._requested: OrderedDict[Hashable, None] = OrderedDict()
        self._items: OrderedDict[Hashable, tuple[BlockState, int]] = OrderedDict()
        # Numbers, not generators: the cache must not keep a generator alive that nobody uses any more.
        self._ids: weakref.WeakKeyDictionary[Generator, int] = weakref.WeakKeyDictionary()
        self._next_id = itertools.count()
        self._lock = threading.Lock()

    def generator_id(self, g: Generator) -> int:
        """Distinguishes the keys of one generator from those of others; never reused."""
        with self._lock:
            if g not in self._ids:
                self._ids[g] = next(self._next_id)
            return self._ids[g]

    def get(self, keys: Sequence[Hashable]) -> list[BlockState] | None:
        """The states stored under all of the keys; None if any is missing."""
        with self._lock:
            if not all(key in self._items for key in keys):
                return None
            for key in keys:
                self._items.move_to_end(key)
            return [self._items[key][0] for key in keys]

    def put(self, items: Iterable[tuple[Hashable, Callable[[], BlockState]]]) -> None:
        """Stores items that were requested before, and evicts the least recently used; the last item counts as the
        most recent."""
        with self._lock:
            for key, make in items:
                if key in self._items:
                    self._items.move_to_end(key)
                elif self._requested_before(key):
                    self._store(key, make())

    def _store(self, key: Hashable, state: BlockState) -> None:
        size = state.x.nbytes + (0 if state.image is None else state.image.nbytes)
        if size > self.max_bytes // 2:
            return
        while self.bytes + size > self.max_bytes:
            self.bytes -= self._items.popitem(last=False)[1][1]
        self._items[key] = state, size
        self.bytes += size

    def _requested_before(self, key: Hashable) -> bool:
        """True if the key is remembered; it is from now on."""
        known = key in self._requested
        self._requested[key] = None
        self._requested.move_to_end(key)
        if len(self._requested) > MAX_REQUESTED_KEYS:
            self._requested.popitem(last=False)
        return known


class Renderer:
    """Renders latents of one generator that mostly differ from an earlier one in their last rows only.

    The block inputs of a StyleGAN2 are cached by the values of the rows they depend on, so that an edit of the layers
    from k on computes only those. Other generators render everything. Thread-safe.

    Args:
        g: The generator, whose weights must not change.
        cache: Where block inputs are stored, shared between renderers; None makes a new cache.
    """

    def __init__(self, g: Generator, *, cache: ActivationCache | None = None) -> None:
        self.g = g
        self.cache = ActivationCache() if cache is None else cache
        self._id = self.cache.generator_id(g)

    def render_tensor(self, ws: Tensor, *, precision: str = "auto", transform: Tensor | None = None) -> Tensor:
        """As :func:`render_tensor`, with the same result."""
        g, dtype = self.g, _dtype(self.g, precision)
        if not isinstance(g, StyleGAN2) or transform is not None:
            return render_tensor(g, ws, precision=precision, transform=transform)
        prefixes = self._prefixes(ws)
        with torch.inference_mode():
            start = self._start(prefixes, dtype)
            picture, passed = g.synthesize_from(ws.to(g.device), start, noise="const", dtype=dtype)
            self._put(prefixes, dtype, passed)
            return picture.clamp_(-1, 1)

    def _prefixes(self, ws: Tensor) -> list[dict[int, bytes]]:
        """For each of ws [N, num_ws, w_dim], digests of its first rows, by how many rows."""
        found = []
        for rows in ws.detach().float().cpu().contiguous().numpy():
            digest, prefixes = hashlib.blake2b(digest_size=16), {}
            for i, row in enumerate(rows, start=1):
                digest.update(row)
                prefixes[i] = digest.digest()
            found.append(prefixes)
        return found

    def _key(self, dtype: torch.dtype, resolution: int, digest: bytes) -> Hashable:
        return self._id, dtype, resolution, digest

    def _start(self, prefixes: list[dict[int, bytes]], dtype: torch.dtype) -> BlockState | None:
        """The last block whose input is cached for every sample; a hit for one sample of a batch would save nothing."""
        assert isinstance(self.g, StyleGAN2)
        for resolution, first, _ in reversed(list(self.g.synthesis.blocks())):
            for rows in (first + 1, first):  # with the image so far, and without
                found = self.cache.get([self._key(dtype, resolution, known.get(rows, b"")) for known in prefixes])
                if found is None:
                    continue
                if len(found) == 1:
                    return found[0]
                images = [state.image for state in found if state.image is not None]
                return BlockState(
                    resolution, rows, torch.cat([state.x for state in found]), torch.cat(images) if images else None
                )
        return None

    def _put(self, prefixes: list[dict[int, bytes]], dtype: torch.dtype, passed: list[BlockState]) -> None:
        """Stores what fits; the low resolutions, which serve most edits, count as the most recent."""
        self.cache.put(
            (self._key(dtype, state.resolution, known[state.rows]), functools.partial(_sample, state, i))
            for state in reversed(passed)
            for i, known in enumerate(prefixes)
        )


def _sample(state: BlockState, i: int) -> BlockState:
    """One sample of a batch, without holding on to the memory of the others."""
    if len(state.x) == 1:
        return state
    image = None if state.image is None else state.image[i : i + 1].clone()
    return BlockState(state.resolution, state.rows, state.x[i : i + 1].clone(), image)


def render(
    g: Generator,
    latent: Latent,
    *,
    size_px: int | None = None,
    precision: str = "auto",
    transform: Tensor | None = None,
    alpha: bool = False,
    moving: bool = False,
) -> Image.Image:
    """Renders a latent, edited or not, always with its refinement and its regions.

    Args:
        g: The latent's generator, or one that was refined for any face.
        latent: What to render. Wrap a plain tensor of ws in a latent with ``g.latent(ws, method=…)``.
        size_px: Side of the result; None keeps the generator's.
        precision: "auto" or "fp32".
        transform: float32 [3, 3], where to draw, as in :func:`render_tensor`.
        alpha: Keep the alpha channel of a model that has one; otherwise it is composited on middle gray.
        moving: The picture is one frame of a motion: below the generator's size it may be drawn without the last
            layers, by a preview that is fitted at first use.

    Returns:
        RGB, or RGBA.

    Raises:
        BadLatent: a tensor, or a latent of another model.
        BadValue: an unknown precision, or a transform for a generator that cannot move its pictures.
    """
    return render_batch(
        g, [latent], size_px=size_px, precision=precision, transform=transform, alpha=alpha, moving=moving
    )[0]


def render_batch(
    g: Generator,
    latents: Sequence[Latent],
    *,
    size_px: int | None = None,
    precision: str = "auto",
    transform: Tensor | None = None,
    alpha: bool = False,
    moving: bool = False,
) -> list[Image.Image]:
    """Renders several latents of a generator, those that share its weights in one batch; otherwise as :func:`render`.

    Returns:
        One image per latent, in order.
    """
    groups: dict[Generator, list[int]] = {}  # generators are keyed by identity
    for i, latent in enumerate(latents):
        if not isinstance(latent, Latent):
            raise BadLatent(
                f"Got a {type(latent).__name__} to render; expected a Latent, which also holds its refinement and its "
                "regions. Use edited(latent, edits), or g.latent(ws, method=…) for a plain tensor."
            )
        groups.setdefault(generator_for(g, latent), []).append(i)
    images: dict[int, Image.Image] = {}
    for drawing, indices in groups.items():
        if moving and size_px is not None and size_px < g.size_px and transform is None:
            drawing = small(drawing, max(1 << (size_px - 1).bit_length(), 4))
        ws = torch.stack([latents[i].ws for i in indices])
        pictures = render_tensor(drawing, ws, precision=precision, transform=transform)
        images.update(zip(indices, sized_images(pictures, size_px, alpha=alpha), strict=True))
    return [images[i] for i in range(len(latents))]


def sized_images(pictures: Tensor, size_px: int | None = None, *, alpha: bool = False) -> list[Image.Image]:
    """Rendered pictures [N, channels, S, S] in −1..1 to N images; ``size_px`` and ``alpha`` as in :func:`render`."""
    images = [to_image(picture, alpha=alpha) for picture in pictures]
    if size_px is not None and size_px != pictures.shape[-1]:
        filter_ = Image.Resampling.LANCZOS if size_px < pictures.shape[-1] else Image.Resampling.BICUBIC
        images = [i.resize((size_px, size_px), filter_) for i in images]
    return images
