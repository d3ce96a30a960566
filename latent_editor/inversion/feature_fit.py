"""Fits features that draw another picture in one region: F space restricted to a part."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from latent_editor.core.region import resized_share
from latent_editor.core.values import Latent, OnStep
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.generators.refined import generator_for, with_changes
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.refining import RefiningConfig, feature_size
from latent_editor.inversion.run import Candidate, InversionRun, StoppingCriteria, descend
from latent_editor.networks.perceptual import load_discriminator

#: Limit of steps: later ones have no visible effect.
MAX_STEPS = 60
#: Learning rate, and the weight of the squared features, in standard deviations of the activations.
RATE, SIZE = 0.1, 0.02
#: Width of the surroundings with full weight, relative to the picture, and the weight of pixels farther away.
_REACH, _ELSEWHERE = 1 / 64, 0.02


def fit_part(
    g: Generator, latent: Latent, target: Tensor, share: Tensor, *, seconds: float = 4.0, on_step: OnStep | None = None
) -> Tensor:
    """Finds the features that, added to a latent's activations in a region, draw the target there.

    Args:
        g: The latent's generator, which takes features (:func:`feature_size`).
        latent: The face; a refinement of it stays as it is.
        target: float32 [1, channels, size_px, size_px], −1..1: the picture to draw.
        share: float32 [M, M], 0..1: the region.
        seconds: Time limit.
        on_step: Called with the best step so far; a true answer stops and keeps it.

    Returns:
        float32 [C, R, R], 0 outside of the region.
    """
    size = feature_size(g, RefiningConfig())
    assert size is not None
    drawing = generator_for(g, replace(latent, blend=None))
    refinement, ws = latent.refinement, latent.ws[None].to(g.device)
    run = InversionRun(seconds, on_step)
    with torch.inference_mode(False):
        with torch.no_grad():
            activations = drawing.activations(ws, size, dtype=fastest_dtype(g.device))
            first = drawing.synthesize(ws, dtype=fastest_dtype(g.device))
        own = torch.zeros_like(activations)
        if refinement is not None and size in refinement.features:
            own = refinement.features[size].to(own)[None]
        acting = resized_share(share.to(g.device), size) * activations.std().clamp_min(1e-6)
        features = torch.zeros_like(activations).requires_grad_(True)
        objective = Objective(target, load_discriminator(g), weights=_weights(share.to(g.device), g.size_px))
        run.best = Candidate(latent.ws, first[0], float(objective.psnr_db(first)), method="features")
        best = [features.detach().clone()]

        def draw(step: int) -> tuple[Tensor, Tensor]:
            changed_here = with_changes(drawing, {size: own + features * acting}, {})
            picture = changed_here.synthesize(ws, dtype=objective.dtype)
            return picture, objective.distance(picture) + SIZE * (features * acting).square().mean()

        def keep(image: Tensor, psnr_db: float) -> Candidate:
            best[0] = features.detach().clone()
            return Candidate(latent.ws, image, psnr_db, method="features")

        criteria = StoppingCriteria(seconds, patience=15, max_steps=MAX_STEPS)
        descend(run, [([features], RATE)], draw, keep, objective.psnr_db, criteria=criteria, method="features")
        run.report_best("features", last=True)
    return (best[0] * acting)[0].float().cpu()


def _weights(share: Tensor, size_px: int) -> Tensor:
    """Weights of pixels, highest in and next to the region: [1, 1, size_px, size_px] with mean 1."""
    reach = 2 * max(1, round(_REACH * size_px)) + 1
    wide = F.max_pool2d(resized_share(share, size_px)[None, None], reach, 1, reach // 2)
    return (wide + _ELSEWHERE) / (wide + _ELSEWHERE).mean()
