"""The frame of a long computation: its clock, its steps, its reports, and when to stop.

Inversion, text, statistics and drags share it. It lies in the lowest room because each of them stands on another floor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from latent_editor.core.errors import Stopped
from latent_editor.core.refinement import Refinement
from latent_editor.core.values import OnStep, Step

#: What a report says of a run that has not ended, at most.
_ALMOST_DONE = 0.99


class Run:
    """A long computation while it runs. Its clock starts when it is built.

    Args:
        seconds: Time limit.
        on_step: Called with every report; a true answer stops the run.
        max_steps: Limit of steps; None leaves it to the time.

    Attributes:
        step: Number of the latest step, from 1; 0 before the first.
        stopped: Whether ``on_step`` gave a true answer.
    """

    def __init__(self, seconds: float = math.inf, on_step: OnStep | None = None, *, max_steps: int | None = None):
        self.seconds, self.on_step, self.max_steps = seconds, on_step, max_steps
        self.step, self.stopped = 0, False
        self._began = time.monotonic()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._began

    @property
    def over(self) -> bool:
        """Whether the time or the steps are used up, or the caller asked to stop."""
        out_of_steps = self.max_steps is not None and self.step >= self.max_steps
        return self.stopped or out_of_steps or self.elapsed >= self.seconds

    @property
    def fraction(self) -> float:
        """Share of the run that is done, by time or by steps, whichever is further: 0..0.99."""
        by_time = self.elapsed / max(self.seconds, 1e-6)
        by_steps = self.step / self.max_steps if self.max_steps else 0.0
        return min(max(by_time, by_steps), _ALMOST_DONE)

    def steps(self) -> Iterator[int]:
        """Counts steps from 0 until the run is over; there is at least one."""
        while self.step == 0 or not self.over:
            self.step += 1
            yield self.step - 1

    def report(
        self,
        label: str = "",
        *,
        last: bool = False,
        psnr_db: float | None = None,
        image: Tensor | None = None,
        ws: Tensor | None = None,
        refinement: Refinement | None = None,
    ) -> None:
        """Reports the current step. Arguments are those of :class:`~latent_editor.core.values.Step`.

        Args:
            last: Whether the run ends with this report.
        """
        if self.on_step is None:
            return
        elapsed, fraction = self.elapsed, 1.0 if last else self.fraction
        steps = self.step if last else self._planned(elapsed)
        step = Step(self.step, steps, elapsed, fraction, psnr_db, image, ws, label, refinement)
        self.stopped = bool(self.on_step(step)) or self.stopped

    def _planned(self, elapsed: float) -> int:
        if self.max_steps is not None:
            return self.max_steps
        by_time = self.step * self.seconds / max(elapsed, 1e-6)
        return max(self.step + 1, round(by_time)) if math.isfinite(by_time) else self.step + 1

    def progress(self, done: int, total: int, *, label: str, fraction: float | None = None) -> None:
        """Reports the progress of a computation without a partial result.

        Args:
            done, total: Steps.
            label: What is being done.
            fraction: 0..1; None for done / total.

        Raises:
            Stopped: ``on_step`` gave a true answer.
        """
        if self.on_step is None:
            return
        share = done / total if fraction is None else min(fraction, 1.0)
        self.stopped = bool(self.on_step(Step(done, total, self.elapsed, share, label=label)))
        if self.stopped:
            raise Stopped


def update(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    """One step of an optimizer down the gradient of a loss."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
