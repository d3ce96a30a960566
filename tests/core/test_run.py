"""The frame of a long computation, with a clock that stands still or is set by hand."""

from __future__ import annotations

import pytest
import torch

from latent_editor.core import run as run_module
from latent_editor.core.errors import Stopped
from latent_editor.core.run import Run, update
from latent_editor.core.values import Step


class Clock:
    """``time`` as the module sees it."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(run_module, "time", clock)
    return clock


def test_there_is_a_step_even_without_time(clock: Clock) -> None:
    assert list(Run(0.0).steps()) == [0]


@pytest.mark.parametrize(("seconds", "max_steps", "expected"), [(3.0, None, 3), (100.0, 2, 2), (1.0, 5, 1)])
def test_time_or_steps_end_a_run(clock: Clock, seconds: float, max_steps: int | None, expected: int) -> None:
    run = Run(seconds, max_steps=max_steps)
    for _ in run.steps():
        clock.now += 1.0
    assert (run.step, run.over) == (expected, True)


def test_a_true_answer_ends_a_run(clock: Clock) -> None:
    seen: list[Step] = []
    run = Run(60.0, lambda step: bool(seen.append(step)) or len(seen) == 3)
    for _ in run.steps():
        run.report("Working", psnr_db=30.0)
    assert [step.step for step in seen] == [1, 2, 3]
    assert (run.stopped, run.over) == (True, True)
    assert {(step.label, step.psnr_db) for step in seen} == {("Working", 30.0)}


def test_reports_estimate_what_is_left(clock: Clock) -> None:
    seen: list[Step] = []
    run = Run(10.0, seen.append)
    for _ in run.steps():
        clock.now += 2.0
        run.report(last=run.elapsed >= 10)
    assert [step.fraction for step in seen] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert [step.steps for step in seen] == [5] * 5
    assert [step.seconds for step in seen] == [2, 4, 6, 8, 10]
    bounded = Run(10.0, seen.append, max_steps=4)
    next(bounded.steps())
    bounded.report()
    assert (seen[-1].step, seen[-1].steps, seen[-1].fraction) == (1, 4, 0.25)
    endless = Run(on_step=seen.append)
    next(endless.steps())
    endless.report()
    assert (seen[-1].fraction, seen[-1].steps) == (0.0, 2)


def test_progress_without_a_partial_result_is_stopped(clock: Clock) -> None:
    seen: list[Step] = []
    run = Run(on_step=lambda step: bool(seen.append(step)) or step.step == 2)
    run.progress(1, 4, label="Counting")
    with pytest.raises(Stopped):
        run.progress(2, 4, label="Counting", fraction=7.0)
    assert [(step.step, step.steps, step.fraction) for step in seen] == [(1, 4, 0.25), (2, 4, 1.0)]
    Run().progress(1, 2, label="for nobody")


def test_update_goes_down_the_gradient() -> None:
    x = torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([x], lr=0.25)
    for expected in (1.5, 0.75):  # x − 0.25 · 2x
        update(optimizer, x.square().sum())
        assert x.item() == expected
