"""Projection by gradient descent: the latent whose picture is nearest to the target."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.features.perceptual import Critic, psnr_db, pyramid_l1
from latent_editor.generators import Generator
from latent_editor.generators.pictures import fastest_dtype
from latent_editor.types import OnStep, Step


@dataclass(frozen=True)
class OptimizationConfig:
    """How to optimize.

    Attributes:
        space: "w" moves one vector for all layers, "w+" one for each.
        rate: Learning rate of Adam at its highest, in units of w.
        pixels: Weight of the squared error, beside the pyramid's 1.
        perceptual: Weight of the critic's distance. Less of it gains half a decibel and smears hair and skin.
        pull: Weight of the squared distance to the start, which keeps the latent where edits work.
        patience: Stop after so many steps without an improvement of 0.02 dB.
        max_steps: Stop after so many steps.
    """

    space: str = "w+"
    rate: float = 0.25
    pixels: float = 6.0
    perceptual: float = 2.0
    pull: float = 0.01
    patience: int = 80
    max_steps: int = 1000


@dataclass(frozen=True, eq=False)
class Best:
    """The best latent so far: ws [num_ws, w_dim], picture [channels, H, W], likeness."""

    ws: Tensor
    image: Tensor
    psnr_db: float


class Optimization:
    """Adam on a latent, with pixel and perceptual terms.

    Args:
        g: The generator.
        critic: For the perceptual term; None leaves it out.
        config: How to optimize.
        weights: How much each pixel counts in the pixel terms, [1, 1, S, S] with mean 1; None for all alike.
    """

    def __init__(
        self, g: Generator, critic: Critic | None, config: OptimizationConfig, *, weights: Tensor | None = None
    ) -> None:
        self.g, self.critic, self.config = g, critic, config
        self.weights = torch.ones((), device=g.device) if weights is None else weights
        self.dtype = fastest_dtype(g.device)

    def run(self, target: Tensor, start: Tensor, *, began: float, seconds: float, on_step: OnStep | None) -> Best:
        """Optimizes until the time is over, nothing improves, or ``on_step`` says stop.

        Args:
            target: [1, channels, S, S], −1..1.
            start: ws [1, num_ws, w_dim].
            began: ``time.monotonic()`` at the start of the whole inversion.
            seconds: Time for the whole inversion.
            on_step: Called after each step.
        """
        with torch.enable_grad():
            return self._run(target, start, began, seconds, on_step)

    def _run(self, target: Tensor, start: Tensor, began: float, seconds: float, on_step: OnStep | None) -> Best:
        c = self.config
        variable = (start.mean(dim=1, keepdim=True) if c.space == "w" else start).detach().clone().requires_grad_(True)
        adam = torch.optim.Adam([variable], betas=(0.9, 0.99))
        maps = None if self.critic is None else self._maps(target)
        best = self._measure(start[0], self.g.synthesize(start), target)
        mark, marked_at, first = best.psnr_db, 0, time.monotonic() - began
        for step in range(1, c.max_steps + 1):
            done = (time.monotonic() - began - first) / max(seconds - first, 1e-6)
            adam.param_groups[0]["lr"] = c.rate * schedule(max(done, step / c.max_steps))
            ws = variable.expand(-1, self.g.num_ws, -1)
            image = self.g.synthesize(ws, dtype=self.dtype)
            loss = self._loss(image, target, maps) + c.pull * (ws - start).square().mean()
            now = self._measure(ws[0], image, target)
            best = now if now.psnr_db > best.psnr_db else best
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            if best.psnr_db > mark + 0.02:
                mark, marked_at = best.psnr_db, step
            elapsed = time.monotonic() - began
            finished = elapsed >= seconds or step == c.max_steps or step - marked_at >= c.patience
            planned = step if finished else max(step + 1, round(step * seconds / max(elapsed, 1e-6)))
            fraction = 1.0 if finished else min(elapsed / seconds, 0.99)
            report = Step(step, planned, elapsed, fraction, best.psnr_db, best.image, best.ws)
            if (on_step is not None and on_step(report)) or finished:
                break
        return best

    def _maps(self, image: Tensor) -> list[Tensor]:
        assert self.critic is not None
        return self.critic.maps(image, self.dtype)

    def _loss(self, image: Tensor, target: Tensor, maps: list[Tensor] | None) -> Tensor:
        w = self.weights
        loss = pyramid_l1(image * w, target * w).mean() + self.config.pixels * (w * (image - target).square()).mean()
        if self.critic is not None and maps is not None:
            loss = loss + self.config.perceptual * self.critic.distance(self._maps(image), maps).mean()
        return loss

    def _measure(self, ws: Tensor, image: Tensor, target: Tensor) -> Best:
        image = image.detach()
        return Best(ws.detach().clone(), image[0], psnr_db(image, target).item())


def schedule(done: float) -> float:
    """Learning rate over the time that is done, 0..1: a short ramp up, then a cosine down."""
    done = min(done, 1.0)
    return min(1.0, 0.2 + done / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done) * 0.98)
