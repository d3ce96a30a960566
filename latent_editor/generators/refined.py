"""Generators modified by the refinement of a latent, for a single face.

Features are the F space of BDInvert (Kang et al. 2021) and Barbershop (Zhu et al. 2021), stored as a residual, so that
edits of the ws still have an effect; weights are pivotal tuning (Roich et al. 2022), stored as a difference.
"""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from latent_editor.core.errors import BadLatent
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import Latent
from latent_editor.generators.base import Generator
from latent_editor.generators.blending import Blended
from latent_editor.generators.following import Following, can_follow
from latent_editor.generators.layers import CachedModule, PivotGain, WeightCache
from latent_editor.generators.stylegan2 import Block, StyleGAN2, Synthesis
from latent_editor.models.bundle import Bundle
from latent_editor.models.per_model import per_model

T = TypeVar("T")

#: Refined generators cached per model: about the number of faces edited concurrently.
MAX_REFINED = 12


def generator_for(g: Generator, latent: Latent) -> Generator:
    """The generator that renders a latent: ``g``, possibly :func:`refined` and :class:`Blended`.

    Args:
        g: The latent's generator, possibly refined for another face.
        latent: The latent.

    Raises:
        BadLatent: the latent or its refinement does not fit the model.
    """
    g = original(g)
    g.check(latent)
    drawing = g if latent.refinement is None else refined(g, latent.refinement)
    if latent.blend is None:
        return drawing
    check_features(g, latent.blend.features)
    return Blended(drawing, latent.blend)


def refined(g: Generator, refinement: Refinement) -> Generator:
    """Applies a refinement to a generator, without changing ``g``; unchanged modules are shared.

    The last few are cached by the values of their refinement, so that their own caches (weights, activations, previews)
    persist too.

    Args:
        g: A StyleGAN2, or a StyleGAN3, which only supports weights.
        refinement: The changes.

    Raises:
        BadLatent: a parameter or resolution that the generator does not have, or a wrong shape.
    """
    g = original(g)
    check_refinement(g, refinement)
    return _refined_cache(g).get(refinement.digest, lambda: _build_refined(g, refinement))


def original(g: Generator) -> Generator:
    """The generator that ``g`` was refined from, or ``g`` itself."""
    if isinstance(g, Blended):
        g = g.inner
    return g.bundle.g if isinstance(g.bundle, RefinedBundle) else g


def check_refinement(g: Generator, refinement: Refinement) -> None:
    """Raises BadLatent if a refinement does not fit the generator."""
    check_features(g, refinement.features)
    if refinement.pivot is not None and tuple(refinement.pivot.shape) != (g.num_ws, g.w_dim):
        raise BadLatent(
            f"The latent has a pivot of shape {list(refinement.pivot.shape)}; the model {g.name!r} takes "
            f"{[g.num_ws, g.w_dim]}. Load the model that it was made with, or invert the photo again."
        )
    parameters = dict(g.named_parameters()) if refinement.weights else {}
    for name, tensor in refinement.weights.items():
        parameter = parameters.get(name) if name.startswith("synthesis.") else None
        if parameter is None or parameter.shape != tensor.shape:
            has = "has none of this name" if parameter is None else f"takes {list(parameter.shape)}"
            raise BadLatent(
                f"The latent changes the parameter {name[:80]!r} by {list(tensor.shape)}; the model {g.name!r} {has}. "
                "Load the model that it was made with, or invert the photo again."
            )


def check_features(g: Generator, features: Mapping[int, Tensor]) -> None:
    """Raises BadLatent if features (by resolution) do not fit the generator."""
    for size, tensor in features.items():
        wanted = feature_shape(g, size)
        if wanted is None or tuple(tensor.shape) != wanted:
            takes = "no features at this size" if wanted is None else f"{list(wanted)}"
            raise BadLatent(
                f"The latent has features of shape {list(tensor.shape)} for {size}²; the model {g.name!r} takes "
                f"{takes}. Load the model that it was made with, or invert the photo again."
            )


def feature_shape(g: Generator, size_px: int) -> tuple[int, int, int] | None:
    """The shape [C, R, R] of features that can be added at a resolution; None if unsupported.

    StyleGAN3 is unsupported: its activations move with the image, which a fixed residual cannot follow.
    """
    if not isinstance(g, StyleGAN2) or size_px not in g.config.resolutions:
        return None
    return g.config.channels_at(size_px), size_px, size_px


def with_changes(
    g: Generator,
    features: Mapping[int, Tensor],
    parameters: Mapping[str, Tensor],
    *,
    pivot: Tensor | None = None,
    gain: float = 1.0,
) -> Generator:
    """A copy of ``g`` with replaced parameters and added features, which shares all other modules.

    Args:
        g: The generator.
        features: By resolution: float32 [1, C, R, R] on the generator's device, added to the activations.
        parameters: Replacements by name; differentiable.
        pivot, gain: As in :class:`Refinement`, on the generator's device.
    """
    copies: dict[str, nn.Module] = {}

    def own(path: str) -> nn.Module:
        """The copy of the module at a path, created together with copies of its parents."""
        if path not in copies:
            parent, _, name = path.rpartition(".")
            copies[path] = _shallow_copy(own(parent).get_submodule(name) if path else g)
            if path:
                own(parent)._modules[name] = copies[path]
        return copies[path]

    for size, residual in features.items():
        block = own(f"synthesis.b{size}")
        assert isinstance(block, Block)
        block._buffers["residual"] = residual
    for name, parameter in parameters.items():
        path, _, last = name.rpartition(".")
        own(path)._parameters[last] = parameter  # type: ignore[assignment]
    if pivot is not None:
        synthesis = own("synthesis")
        assert isinstance(synthesis, PivotGain)
        synthesis._buffers["pivot"], synthesis.gain = pivot, gain
    copy = own("")
    assert isinstance(copy, Generator)
    return copy


def _shallow_copy(module: nn.Module) -> nn.Module:
    """Copies a module, sharing its parameters and submodules."""
    copy = module.__class__.__new__(module.__class__)
    copy.__dict__.update(module.__dict__)
    for kind in ("_parameters", "_buffers", "_modules"):
        copy.__dict__[kind] = dict(module.__dict__[kind])
    if isinstance(copy, CachedModule):
        copy.weight_cache = WeightCache()
    return copy


def _build_refined(g: Generator, refinement: Refinement) -> Generator:
    """Builds a refined generator from a valid refinement."""
    parameters = dict(g.named_parameters())
    with torch.inference_mode(False), torch.no_grad():
        features = {
            size: tensor.to(g.device).float()[None].contiguous(memory_format=torch.channels_last)
            for size, tensor in refinement.features.items()
        }
        weights: dict[str, Tensor] = {
            name: nn.Parameter(parameters[name] + tensor.to(parameters[name]), requires_grad=False)
            for name, tensor in refinement.weights.items()
        }
        pivot = None if refinement.pivot is None else refinement.pivot.to(g.device).float()
    copy = with_changes(g, features, weights, pivot=pivot, gain=refinement.gain)
    copy.bundle = RefinedBundle(g)
    if pivot is not None:
        _let_follow(copy, features, pivot)
    return copy


def _let_follow(g: Generator, sizes: Iterable[int], pivot: Tensor) -> None:
    """Lets the features of a new refined generator follow the face, if its architecture shows where that is."""
    for size in sizes:
        assert isinstance(g, StyleGAN2)  # no other generator takes features
        block = getattr(g.synthesis, f"b{size}")
        if can_follow(size, block.has_rgb):
            block.following = Following(functools.partial(_render_pivot, _without_features(g, size), pivot, size))


def _without_features(g: StyleGAN2, size: int) -> Synthesis:
    """The synthesis network of a refined generator without the features of one resolution."""
    synthesis = _shallow_copy(g.synthesis)
    block = _shallow_copy(getattr(g.synthesis, f"b{size}"))
    block._buffers["residual"] = None
    synthesis._modules[f"b{size}"] = block
    assert isinstance(synthesis, Synthesis)
    return synthesis


def _render_pivot(synthesis: Synthesis, pivot: Tensor, size: int, noise: str, dtype: torch.dtype) -> Tensor:
    _, image = synthesis(pivot[None], noise, dtype, until=size)
    assert image is not None
    return image


class RefinedBundle(Bundle):
    """The bundle of a refined generator: the model's, but for what is made of this generator's own pictures."""

    def __init__(self, g: Generator) -> None:
        super().__init__(g.bundle.name, g.bundle.folder, g.bundle.about, g.bundle.extras)
        _ = g.fingerprint  # a latent's refinement belongs to the model, whose fingerprint stays the refined one's too
        self.g = g
        self.parts = g.bundle.parts


class _RefinedCache:
    """LRU cache of refined generators by the digest of their refinement. Thread-safe."""

    def __init__(self) -> None:
        self._generators: OrderedDict[str, Generator] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, digest: str, build: Callable[[], Generator]) -> Generator:
        with self._lock:
            if digest not in self._generators:
                self._generators[digest] = build()
            self._generators.move_to_end(digest)
            while len(self._generators) > MAX_REFINED:
                self._generators.popitem(last=False)
            return self._generators[digest]


@per_model
def _refined_cache(g: Generator) -> _RefinedCache:
    return _RefinedCache()
