"""GAN inversion: from an aligned image to the latent that renders it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import torch
from PIL import Image
from torch import Tensor

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Crop, Latent, OnStep
from latent_editor.generators import Generator
from latent_editor.generators.pictures import as_rgb, from_rgb, to_tensor
from latent_editor.inversion.editability import Editability, editability
from latent_editor.inversion.gain import with_gain
from latent_editor.inversion.initialization import best_start, in_units_of_w
from latent_editor.inversion.iterative_encoder import iterate_encoder
from latent_editor.inversion.loss_weights import pixel_weights
from latent_editor.inversion.objective import Degradation, Objective
from latent_editor.inversion.optimization import EDITABLE, OptimizationConfig, optimize
from latent_editor.inversion.refining import Refining, RefiningConfig
from latent_editor.inversion.run import LABELS, Candidate, InversionRun, StoppingCriteria
from latent_editor.networks.encoder import ENCODER_FILE, has_encoder, load_encoder
from latent_editor.networks.perceptual import load_discriminator

__all__ = ["LABELS", "METHODS", "Degradation", "Editability", "Plan", "editability", "invert"]


@dataclass(frozen=True)
class Plan:
    """The stages of a method.

    Attributes:
        optimization: How the latent is optimized; None leaves it as the encoder gave it.
        iterate: Whether the encoder is applied to its own result.
        until: Shares of the time by which the latent and then the features are done; 1 skips the later stages.
    """

    optimization: OptimizationConfig | None = None
    iterate: bool = True
    until: tuple[float, float] = (1.0, 1.0)


METHODS: Mapping[str, Plan] = MappingProxyType(
    {
        "auto": Plan(EDITABLE, until=(0.35, 0.55)),
        "encoder": Plan(iterate=False),
        "encoder again": Plan(),
        "w": Plan(OptimizationConfig(space="w", pull=0.0)),
        "w+": Plan(OptimizationConfig(rate=0.6, pull=0.003)),
        "features": Plan(EDITABLE, until=(0.5, 1.0)),
        "pivotal": Plan(EDITABLE, until=(0.25, 0.4)),
    }
)
#: Share of the time for iterating the encoder.
ITERATION_SHARE = 0.1


def invert(
    g: Generator,
    crop: Crop | Image.Image,
    *,
    method: str = "auto",
    seconds: float = 20.0,
    max_steps: int | None = None,
    class_index: int | None = None,
    degradation: Degradation | None = None,
    on_step: OnStep | None = None,
) -> Latent:
    """Finds the latent of a picture in stages, each starting from the result of the one before.

    1. "encoder": one pass of the encoder; in models without one, the nearest of the mean and some random latents.
    2. "encoder again": the encoder corrects its own result, iteratively (ReStyle, Alaluf et al. 2021).
    3. "w+": pixel and perceptual loss by Adam, one w per layer (Abdal et al. 2019); "w": one w for all layers.
    4. "features": a residual is added to the activations of a middle layer; edits still act on them.
    5. "pivotal": the generator's weights are tuned around the latent (Roich et al. 2022).

    "auto" goes through all of them in the given time. A stage ends early if nothing improves.

    Args:
        g: The generator.
        crop: The result of :func:`align`, or a picture that is aligned already.
        method: A key of ``METHODS``.
        seconds: Time limit, from 0.
        max_steps: Limit of optimization steps in each stage; None leaves it to the time.
        class_index: In a conditional model without an encoder, the class to start from; None finds it.
        degradation: What turned the wanted picture into ``crop``. It is applied to rendered pictures before they are
            compared; "auto" then ends with W+, because features and weights would reproduce the degradation.
        on_step: Called after every step with the best candidate so far; a true answer stops and keeps it. The step's
            label is one of ``LABELS``.

    Returns:
        The latent, with its ``psnr_db``, the ``method`` of the stage that found it, and from stage 4 on its refinement.

    Raises:
        BadValue: an unknown method, a time that is not a number from 0, fewer than 1 step, a class that the model does
            not have, or a degradation that changes the picture's shape.
        MissingPart: method "encoder" or "encoder again" with a model that has none.
    """
    if method not in METHODS:
        raise BadValue(f"Got the method {method!r}; expected one of {', '.join(METHODS)}.")
    if not 0 <= seconds < float("inf"):
        raise BadValue(f"Got {seconds} seconds; expected a number from 0, usually 5 to 60.")
    if max_steps is not None and max_steps < 1:
        raise BadValue(f"Got max_steps={max_steps}; expected 1 or more, or None for no limit.")
    plan = METHODS[method]
    if method == "auto" and degradation is not None:
        plan = replace(plan, until=(1.0, 1.0))
    run = InversionRun(seconds, on_step)
    objective = Objective(
        picture_tensor(g, crop), load_discriminator(g), weights=pixel_weights(g, crop), degrade=degradation
    )
    with torch.inference_mode(False):
        _start(g, objective, run, plan, class_index)
        if seconds > 0 and not run.stopped:
            _run_stages(g, objective, run, plan, max_steps)
        assert run.best is not None
        best = with_gain(g, run.best)
    return g.latent(best.ws, method=best.method, psnr_db=best.psnr_db, refinement=best.refinement)


def _start(g: Generator, objective: Objective, run: InversionRun, plan: Plan, class_index: int | None) -> None:
    """The first stage."""
    target = objective.target
    encoded = plan.optimization is None or has_encoder(g)
    with torch.no_grad():
        if encoded:
            start = load_encoder(g)(as_rgb(target))
        else:
            start = best_start(g, target, objective.discriminator, seconds=run.seconds, class_index=class_index)
        picture = g.synthesize(start)
        method = "encoder" if encoded else "nearest"
        run.offer(Candidate(start[0], picture[0], float(objective.psnr_db(picture)), method=method))
    run.report_best(method, last=plan.optimization is None and not plan.iterate)


def _run_stages(g: Generator, objective: Objective, run: InversionRun, plan: Plan, max_steps: int | None) -> None:
    """The stages after the first."""
    config = plan.optimization

    def until(share: float) -> StoppingCriteria:
        criteria = StoppingCriteria(share * run.seconds)
        return criteria if max_steps is None else replace(criteria, max_steps=max_steps)

    if plan.iterate and has_encoder(g):
        iterate_encoder(g, objective, run, load_encoder(g), until_s=ITERATION_SHARE * run.seconds)
    refined = plan.until[0] < 1
    if config is not None and not run.over:
        if not g.bundle.has(ENCODER_FILE):  # the project's own training gives w a spread of 1
            config = in_units_of_w(g, config)
        assert run.best is not None
        optimize(g, objective, run, run.best.ws[None], config, criteria=until(plan.until[0]))
    if refined and not run.over:
        refining = Refining(g, objective, run, RefiningConfig())
        refining.add_features(criteria=until(plan.until[1]))
        if plan.until[1] < 1 and not run.over:
            refining.tune_weights(criteria=until(1.0))
    if (plan.iterate or config is not None) and not run.stopped:
        assert run.best is not None
        run.report_best(run.best.method, last=True)


def picture_tensor(g: Generator, crop: Crop | Image.Image) -> Tensor:
    """The picture as the generator would render it: float32 [1, channels, size_px, size_px], −1..1."""
    image = crop.image if isinstance(crop, Crop) else crop
    picture = to_tensor(image, g.size_px, g.device)
    return from_rgb(picture, g.channels)
