"""What the stages of an inversion share: the clock, the best so far, whom to tell, and how to descend."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.refinement import Refinement
from latent_editor.core.values import OnStep, Step

#: What each stage is called while it works.
LABELS = {
    "encoder": "Encoder",
    "restorer": "Restoring",
    "nearest": "Nearest of some random ones",
    "encoder again": "Encoder again",
    "w": "One w for all layers",
    "w+": "One w for each layer",
    "features": "Features",
    "pivotal": "Weights",
}
#: A plateau: this much better, in dB, is an improvement.
IMPROVEMENT_DB = 0.02
#: From this likeness on a higher stage's answer replaces a lower one's that is more alike still: the eye sees no more,
#: and sliders work better.
ENOUGH_DB = 33.0
#: Reading a number waits for a GPU to finish; there, only every so many steps are measured and told.
MEASURED_EVERY = 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """The best so far: ws [num_ws, w_dim], picture [channels, H, W], likeness, refinement, and which stage found it."""

    ws: Tensor
    image: Tensor
    psnr_db: float
    refinement: Refinement | None = None
    method: str = "w+"


class InversionRun:
    """One inversion while it runs.

    Args:
        began: ``time.monotonic()`` at its start.
        seconds: Its time.
        on_step: Told about every step.

    Attributes:
        best: The best so far; set before the first report.
        stopped: Whether ``on_step`` said stop.
    """

    def __init__(self, began: float, seconds: float, on_step: OnStep | None) -> None:
        self.began, self.seconds, self.on_step = began, seconds, on_step
        self.best: Candidate | None = None
        self.stopped = False
        self._told = 0

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        """Whether no more is to be done: the time is over, or somebody said stop."""
        return self.stopped or self.elapsed >= self.seconds

    def offer(self, best: Candidate) -> bool:
        """Takes what is better than the best so far; says whether it was."""
        better = self.takes(best.psnr_db, best.method)
        self.best = best if better else self.best
        return better

    def takes(self, psnr_db: float, method: str) -> bool:
        """Whether a stage's answer of this likeness is better than the best so far."""
        if self.best is None:
            return True
        least = self.best.psnr_db if self.best.method == method else min(self.best.psnr_db, ENOUGH_DB)
        return psnr_db > least

    def report(self, method: str, *, last: bool = False) -> None:
        """Tells ``on_step`` of the best so far, and of the stage that is at work."""
        assert self.best is not None
        best, elapsed, step = self.best, self.elapsed, self._told
        self._told += 1
        if self.on_step is None:
            return
        planned = step if last else max(step + 1, round(step * self.seconds / max(elapsed, 1e-6)))
        fraction = 1.0 if last else min(elapsed / max(self.seconds, 1e-6), 0.99)
        told = Step(
            step, planned, elapsed, fraction, best.psnr_db, best.image, best.ws, LABELS[method], best.refinement
        )
        self.stopped = bool(self.on_step(told)) or self.stopped


@dataclass(frozen=True)
class StoppingCriteria:
    """How long to descend.

    Attributes:
        until_s: When to end, in seconds since the climb began.
        patience: Stop after so many steps without an improvement.
        max_steps: Stop after so many steps.
        enough_db: Stop at this likeness; None never does.
    """

    until_s: float
    patience: int = 80
    max_steps: int = 1000
    enough_db: float | None = None


#: A step's picture [1, channels, S, S], and what its loss is, the number of the step given.
Draw = Callable[[int], tuple[Tensor, Tensor]]
#: What is kept of a step whose picture [channels, S, S] has this likeness.
Keep = Callable[[Tensor, float], Candidate]


def descend(
    run: InversionRun,
    groups: Sequence[tuple[Sequence[Tensor], float]],
    draw: Draw,
    keep: Keep,
    measure: Callable[[Tensor], Tensor],
    *,
    pace: StoppingCriteria,
    method: str,
) -> None:
    """Adam until the time is over, nothing improves, it is enough, or ``on_step`` says stop.

    Args:
        climb: Takes what is better, and is told of every step.
        groups: Leaf tensors, each with its highest learning rate, which rises and falls with the time.
        draw: Renders, and computes the loss.
        keep: Makes a :class:`Candidate` of the variables as they are.
        measure: Likeness of a picture, as a tensor.
        pace: When to end.
        method: A key of ``LABELS``.
    """
    adam = torch.optim.Adam([{"params": list(tensors), "lr": rate} for tensors, rate in groups], betas=(0.9, 0.99))
    rates = [rate for _, rate in groups]
    every = MEASURED_EVERY if groups[0][0][0].is_cuda else 1
    first, mark, marked_at = run.elapsed, -math.inf, 0
    for step in range(1, pace.max_steps + 1):
        done = (run.elapsed - first) / max(pace.until_s - first, 1e-6)
        for group, rate in zip(adam.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(max(done, step / pace.max_steps))
        with torch.enable_grad():
            picture, loss = draw(step)
        finished = run.elapsed >= pace.until_s or step == pace.max_steps
        if step % every == 0 or finished:
            db = float(measure(picture.detach()))
            if run.takes(db, method):
                run.best = keep(picture.detach()[0], db)
            if db > mark + IMPROVEMENT_DB:
                mark, marked_at = db, step
            finished = finished or step - marked_at >= pace.patience
            finished = finished or (pace.enough_db is not None and db >= pace.enough_db)
            run.report(method)
        if finished or run.stopped:
            break
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()


def schedule(done: float) -> float:
    """Learning rate over the time that is done, 0..1: a short ramp up, then a cosine down."""
    done = min(done, 1.0)
    return min(1.0, 0.2 + done / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done) * 0.98)
