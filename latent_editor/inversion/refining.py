"""Refinement beyond the latent: features first, then the generator's weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.refinement import Refinement
from latent_editor.generators import Generator, random_ws
from latent_editor.generators.refined import feature_shape, with_changes
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.run import Candidate, InversionRun, StoppingCriteria, descend
from latent_editor.networks.perceptual import pyramid_l1


@dataclass(frozen=True)
class RefiningConfig:
    """Options of the refinement.

    Attributes:
        feature_rate: Learning rate of features, in standard deviations of the activations.
        feature_size: Weight of the squared features, in the same unit, while weights are fixed.
        weight_rate: Learning rate of weights, whose own size is about 1.
        left_size: Weight of the squared features while weights are tuned, which shifts changes into the weights: they
            move with the face when a slider turns it, and features do not.
        locality: Weight of the loss on nearby latents.
        reach: Distance of nearby latents, relative to the distance from the mean to a random one.
        max_bytes: Limit of features and weights together, in half precision.
        feature_bytes: Limit of features.
    """

    feature_rate: float = 0.05
    feature_size: float = 0.05
    weight_rate: float = 0.006
    left_size: float = 1.0
    locality: float = 1.0
    reach: float = 0.4
    max_bytes: int = 2_900_000
    feature_bytes: int = 1 << 20


def feature_size(g: Generator, config: RefiningConfig) -> int | None:
    """The resolution of the added features, or None if the generator takes none.

    A quarter of the picture's size, at most 64, and less if that takes too many bytes. At half the size the PSNR grows
    faster, but edits tear, because the features encode single hairs; at an eighth, detail is lost.
    """
    size = min(max(g.size_px // 4, 4), 64)
    while size >= 4:
        shape = feature_shape(g, size)
        if shape is not None and 2 * shape[0] * size * size <= config.feature_bytes:
            return size
        size //= 2
    return None


def tuned_parameters(g: Generator, max_bytes: int) -> list[str]:
    """The parameters of the synthesis to tune, as many as fit, the last layers first.

    The affine layers that turn w into styles are fixed, because sliders act through them; noise is fixed too.
    """
    names, left = [], max_bytes
    for name, parameter in reversed(list(g.named_parameters())):
        fixed = not name.startswith("synthesis.") or ".affine." in name or "noise" in name or ".input." in name
        if fixed or 2 * parameter.numel() > left:
            continue
        names.append(name)
        left -= 2 * parameter.numel()
    return names[::-1]


class Refining:
    """The two stages after W+. They share the pivot, which is fixed, the features, and the rendering.

    Args:
        g: The generator.
        objective: The loss.
        run: Its best candidate is the pivot; better ones are kept.
        config: Options.
    """

    def __init__(self, g: Generator, objective: Objective, run: InversionRun, config: RefiningConfig) -> None:
        assert run.best is not None
        self.g, self.objective, self.run, self.config = g, objective, run, config
        self.pivot = run.best.ws
        self.size = feature_size(g, config)
        self.features: Tensor | None = None  # [1, C, R, R], in units of `unit`
        self.unit = torch.ones(())
        if self.size is not None:
            with torch.no_grad():
                activations = g.activations(self.pivot[None], self.size, dtype=objective.dtype)
            self.unit = activations.std().clamp_min(1e-6)
            self.features = torch.zeros_like(activations, memory_format=torch.channels_last)

    def add_features(self, *, criteria: StoppingCriteria) -> None:
        """Features (F space: Kang et al. 2021; Zhu et al. 2021) added to the activations of a middle resolution."""
        if self.features is None:
            return
        features = self.features.requires_grad_(True)

        def draw(step: int) -> tuple[Tensor, Tensor]:
            picture = self._changed({}).synthesize(self.pivot[None], dtype=self.objective.dtype)
            return picture, self.objective.distance(picture) + self.config.feature_size * features.square().mean()

        def keep(image: Tensor, psnr_db: float) -> Candidate:
            return Candidate(self.pivot, image, psnr_db, self._refinement({}), "features")

        groups = [([features], self.config.feature_rate)]
        descend(self.run, groups, draw, keep, self.objective.psnr_db, criteria=criteria, method="features")

    def tune_weights(self, *, criteria: StoppingCriteria) -> None:
        """Pivotal tuning (Roich et al. 2022): the generator's weights, around the pivot.

        1. Render the pivot and a nearby latent with the current weights.
        2. Loss: the objective, and for the nearby latent the distance to the target plus the difference that the
           untuned generator makes between the two. The paper keeps nearby pictures as they were (eq. 5); this variant
           lets them change along with the pivot's picture, and preserves the effect of edits.
        3. Adam on the weights and, with a stronger penalty, on the features.
        """
        g, objective, config = self.g, self.objective, self.config
        assert self.run.best is not None
        own = dict(g.named_parameters())
        used = 0 if self.features is None else 2 * self.features.numel()
        names = tuned_parameters(g, config.max_bytes - used)
        deltas = {name: torch.zeros_like(own[name]).requires_grad_(True) for name in names}
        anchor = objective.target if objective.degrade is None else self.run.best.image[None]
        nearby = Nearby(g, objective, self.pivot, anchor, config.reach)

        def draw(step: int) -> tuple[Tensor, Tensor]:
            ws, wanted, maps = nearby.draw(step)
            drawn = self._changed(deltas).synthesize(torch.cat([self.pivot[None], ws]), dtype=objective.dtype)
            picture, near = drawn[:1], drawn[1:]
            loss = objective.distance(picture) + config.locality * pyramid_l1(near, wanted).mean()
            if objective.discriminator is not None:
                seen = objective.discriminator.maps(near, objective.dtype)
                loss = loss + config.locality * objective.discriminator.distance(seen, maps).mean()
            if self.features is not None:
                loss = loss + config.left_size * self.features.square().mean()
            return picture, loss

        def keep(image: Tensor, psnr_db: float) -> Candidate:
            return Candidate(self.pivot, image, psnr_db, self._refinement(deltas), "pivotal")

        groups = [(list(deltas.values()), config.weight_rate)]
        if self.features is not None:
            groups.append(([self.features.requires_grad_(True)], config.feature_rate / 2))
        descend(self.run, groups, draw, keep, objective.psnr_db, criteria=criteria, method="pivotal")

    def _changed(self, deltas: Mapping[str, Tensor]) -> Generator:
        """The generator with the current changes; gradients reach the features and the deltas."""
        own = dict(self.g.named_parameters()) if deltas else {}
        features = {} if self.features is None or self.size is None else {self.size: self.features * self.unit}
        return with_changes(self.g, features, {name: own[name] + delta for name, delta in deltas.items()})

    def _refinement(self, deltas: Mapping[str, Tensor]) -> Refinement:
        features = {} if self.features is None or self.size is None else {self.size: self.features[0] * self.unit}
        return Refinement(_halves(features), _halves(deltas))


class Nearby:
    """Latents near a pivot, and the target pictures of the tuned generator for them.

    Args:
        g: The untuned generator.
        objective: Its discriminator sees the pictures.
        pivot: ws [num_ws, w_dim].
        anchor: The target picture of the pivot, [1, channels, S, S].
        reach: Distance of the latents, relative to the distance from the mean to a random latent.
    """

    def __init__(self, g: Generator, objective: Objective, pivot: Tensor, anchor: Tensor, reach: float) -> None:
        self.g, self.objective, self.pivot, self.reach = g, objective, pivot, reach
        with torch.no_grad():
            self.gap = anchor - g.synthesize(pivot[None], dtype=objective.dtype)

    @torch.no_grad()
    def draw(self, step: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        """ws [1, num_ws, w_dim], the target picture [1, channels, S, S], and the discriminator's maps of it."""
        g, objective = self.g, self.objective
        far = 2 * float(torch.rand((), generator=torch.Generator().manual_seed(step))) - 1
        ws = self.pivot + self.reach * far * (random_ws(g, [step], truncation_psi=1.0) - g.w_avg)
        wanted = (g.synthesize(ws, dtype=objective.dtype) + self.gap).clamp(-1, 1)
        maps = [] if objective.discriminator is None else objective.discriminator.maps(wanted, objective.dtype)
        return ws, wanted, maps


def _halves(tensors: Mapping) -> dict:
    """Tensors as they are kept: on the CPU, in half precision where that holds them."""
    halves = {}
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        half = tensor.half()
        halves[name] = half if bool(torch.isfinite(half).all()) else tensor.float()
    return halves
