"""Projection by gradient descent: the latent whose picture is nearest to the target."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.generators import Generator
from latent_editor.generators.stylespace import style_axes
from latent_editor.inversion.objective import Objective
from latent_editor.inversion.run import Candidate, InversionRun, StoppingCriteria, descend, schedule

__all__ = ["EDITABLE", "OptimizationConfig", "optimize", "schedule"]


@dataclass(frozen=True)
class OptimizationConfig:
    """Options of the optimization.

    Attributes:
        space: "w" moves one vector for all layers, "w+" one for each.
        rate: Peak learning rate of Adam, in units of w.
        pull: Weight of the squared distance to the start, which keeps the latent editable.
        center: Weight of the squared distance of the mean over the layers to the mean latent.
        spread: Weight of the squared distance of each layer's w to the mean over the layers.
    """

    space: str = "w+"
    rate: float = 0.25
    pull: float = 0.01
    center: float = 0.0
    spread: float = 0.0


#: For latents that are refined afterwards: it costs a decibel, which the refinement more than recovers, and sliders
#: have an effect one and a half times as large as on latents optimized for PSNR alone.
EDITABLE = OptimizationConfig(pull=0.0, center=0.1, spread=0.6)


def optimize(
    g: Generator,
    objective: Objective,
    run: InversionRun,
    start: Tensor,
    config: OptimizationConfig,
    *,
    criteria: StoppingCriteria,
) -> None:
    """Adam on a latent, with pixel and perceptual terms (Abdal et al. 2019; "w": Karras et al. 2020, §5).

    Args:
        g: The generator.
        objective: The loss, besides the configuration's regularizers.
        run: Keeps the best candidate.
        start: ws [1, num_ws, w_dim].
        config: How to optimize.
        criteria: When to end.
    """
    single = config.space == "w"
    begin = start.mean(dim=1, keepdim=True).expand(-1, g.num_ws, -1) if single else start
    axes = torch.eye(g.w_dim, device=start.device)[None] if single else style_axes(g).to(start.device)
    variable = torch.zeros(len(axes), 1, g.w_dim, device=start.device, requires_grad=True)  # along the axes

    if single:
        run.best = None  # one w for all layers is wanted, even if one per layer has a higher PSNR

    def latent() -> Tensor:
        return begin + torch.bmm(variable, axes).transpose(0, 1)

    def draw(step: int) -> tuple[Tensor, Tensor]:
        ws = latent()
        picture = g.synthesize(ws, dtype=objective.dtype)
        middle = ws.mean(dim=1, keepdim=True)
        pulls = config.pull * (ws - start).square().mean() + config.center * (middle - g.w_avg).square().mean()
        return picture, objective.distance(picture) + pulls + config.spread * (ws - middle).square().mean()

    def keep(image: Tensor, psnr_db: float) -> Candidate:
        return Candidate(latent().detach()[0], image, psnr_db, method=config.space)

    descend(run, [([variable], config.rate)], draw, keep, objective.psnr_db, criteria=criteria, method=config.space)
