"""What the stages of an inversion share: the best candidate so far, reports, and gradient descent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latent_editor.core.refinement import Refinement
from latent_editor.core.run import Run, update

#: The label of each stage in reports.
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
#: A gain of less than this, in dB, is a plateau.
IMPROVEMENT_DB = 0.02
#: From this PSNR on, a higher stage's candidate replaces a lower stage's better one: the eye sees no difference, and
#: sliders work better.
ENOUGH_DB = 33.0
#: Reading a number waits for a GPU to finish; there, only every so many steps are measured and reported.
MEASURED_EVERY = 8


@dataclass(frozen=True, eq=False)
class Candidate:
    """A possible result.

    Attributes:
        ws: float32 [num_ws, w_dim].
        image: Its picture, [channels, H, W], about −1..1.
        psnr_db: Of the picture against the target.
        refinement: What it changes in the generator, or None.
        method: The stage that found it, a key of ``LABELS``.
    """

    ws: Tensor
    image: Tensor
    psnr_db: float
    refinement: Refinement | None = None
    method: str = "w+"


class InversionRun(Run):
    """One inversion while it runs. ``step`` counts its reports.

    Attributes:
        best: The best candidate so far; set before the first report.
    """

    best: Candidate | None = None

    def offer(self, candidate: Candidate) -> bool:
        """Keeps a candidate if it is better than the best so far, and returns whether it was."""
        better = self.accepts(candidate.psnr_db, candidate.method)
        self.best = candidate if better else self.best
        return better

    def accepts(self, psnr_db: float, method: str) -> bool:
        """Whether a stage's candidate of this PSNR is better than the best so far."""
        if self.best is None:
            return True
        required = self.best.psnr_db if self.best.method == method else min(self.best.psnr_db, ENOUGH_DB)
        return psnr_db > required

    def report_best(self, method: str, *, last: bool = False) -> None:
        """Reports the best candidate so far, and the stage that is at work."""
        assert self.best is not None
        best = self.best
        self.report(
            LABELS[method], last=last, psnr_db=best.psnr_db, image=best.image, ws=best.ws, refinement=best.refinement
        )
        self.step += 1


@dataclass(frozen=True)
class StoppingCriteria:
    """When a descent ends.

    Attributes:
        until_s: In seconds since the run began.
        patience: Stop after so many steps without an improvement.
        max_steps: Stop after so many steps.
        enough_db: Stop at this PSNR; None never does.
    """

    until_s: float
    patience: int = 80
    max_steps: int = 1000
    enough_db: float | None = None


class _Plateau:
    """Notices when a descent stops improving."""

    def __init__(self, patience: int) -> None:
        self.patience, self.best_db, self.best_step = patience, -math.inf, 0

    def reached(self, psnr_db: float, step: int) -> bool:
        if psnr_db > self.best_db + IMPROVEMENT_DB:
            self.best_db, self.best_step = psnr_db, step
        return step - self.best_step >= self.patience


#: Step number → picture [1, channels, S, S] and loss.
Draw = Callable[[int], tuple[Tensor, Tensor]]
#: Picture [channels, S, S] and its PSNR → the candidate that the variables are at.
Keep = Callable[[Tensor, float], Candidate]


def descend(
    run: InversionRun,
    groups: Sequence[tuple[Sequence[Tensor], float]],
    draw: Draw,
    keep: Keep,
    measure: Callable[[Tensor], Tensor],
    *,
    criteria: StoppingCriteria,
    method: str,
) -> None:
    """Adam until the criteria are met or ``on_step`` asks to stop.

    Args:
        run: Keeps the best candidate and reports every measured step.
        groups: Leaf tensors, each with its peak learning rate; :func:`schedule` scales it.
        draw: Renders, and computes the loss.
        keep: Makes a :class:`Candidate` of the variables as they are.
        measure: PSNR of a picture [1, channels, S, S], as a tensor.
        criteria: When to end.
        method: A key of ``LABELS``.
    """
    adam = torch.optim.Adam([{"params": list(tensors), "lr": rate} for tensors, rate in groups], betas=(0.9, 0.99))
    every = MEASURED_EVERY if groups[0][0][0].is_cuda else 1
    start_s, plateau = run.elapsed, _Plateau(criteria.patience)
    for step in range(1, criteria.max_steps + 1):
        done = (run.elapsed - start_s) / max(criteria.until_s - start_s, 1e-6)
        for group, (_, rate) in zip(adam.param_groups, groups, strict=True):
            group["lr"] = rate * schedule(max(done, step / criteria.max_steps))
        with torch.enable_grad():
            picture, loss = draw(step)
        finished = run.elapsed >= criteria.until_s or step == criteria.max_steps
        if step % every == 0 or finished:
            psnr_db = float(measure(picture.detach()))
            if run.accepts(psnr_db, method):
                run.best = keep(picture.detach()[0], psnr_db)
            enough = criteria.enough_db is not None and psnr_db >= criteria.enough_db
            finished = plateau.reached(psnr_db, step) or enough or finished
            run.report_best(method)
        if finished or run.stopped:
            break
        update(adam, loss)


def schedule(done: float) -> float:
    """Learning rate at a share of the time, 0..1: a short ramp up, then a cosine down."""
    done = min(done, 1.0)
    return min(1.0, 0.2 + done / 0.05) * (0.5 + 0.5 * math.cos(math.pi * done) * 0.98)
