"""An algorithm's steps as an iterator: newest first, bounded memory, the result and errors always."""

from __future__ import annotations

import threading
import time
import weakref

import pytest

from latent_editor.core.errors import BadValue
from latent_editor.core.values import OnStep, Step
from latent_editor.ui.service.streaming import stream


def count(on_step: OnStep, steps: int, pause_s: float = 0.0) -> str:
    for i in range(steps):
        if on_step(Step(i, steps, 0.0, i / steps)):
            return f"stopped at {i}"
        time.sleep(pause_s)
    return "done"


def test_steps_are_in_order_and_the_result_is_last() -> None:
    *steps, outcome = stream(lambda on_step: count(on_step, 50, 0.001))
    numbers = [s.step for s in steps if isinstance(s, Step)]
    assert numbers == sorted(set(numbers))
    assert outcome == "done"


def test_a_slow_reader_gets_the_newest_step_and_the_result() -> None:
    seen = []
    for item in stream(lambda on_step: count(on_step, 200, 0.001)):
        seen.append(item)
        time.sleep(0.03)
    assert seen[-1] == "done"
    assert len(seen) < 30


def test_a_sleeping_reader_costs_one_step_of_memory() -> None:
    resume, ended = threading.Event(), threading.Event()
    steps: weakref.WeakSet[Step] = weakref.WeakSet()

    def algorithm(on_step: OnStep) -> str:
        for i in range(1000):
            step = Step(i, 1000, 0.0, i / 1000)
            steps.add(step)
            on_step(step)
            del step
            if i == 0:
                assert resume.wait(20)
        ended.set()
        return "done"

    items = stream(algorithm)
    first = next(items)
    resume.set()
    assert ended.wait(20)
    assert len(steps) <= 2  # the one in the reader's hand and the newest
    assert isinstance(first, Step)
    newest, outcome = items
    assert isinstance(newest, Step)
    assert (newest.step, outcome) == (999, "done")


def test_a_result_may_be_none() -> None:
    assert list(stream(lambda on_step: None)) == [None]


def test_closing_stops_the_algorithm() -> None:
    outcome: list[str] = []
    ended = threading.Event()

    def algorithm(on_step: OnStep) -> str:
        outcome.append(count(on_step, 10_000, 0.001))
        ended.set()
        return outcome[0]

    items = stream(algorithm)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert ended.wait(5)
    assert outcome[0].startswith("stopped")


def test_an_error_of_the_algorithm_is_raised() -> None:
    def algorithm(on_step: OnStep) -> str:
        on_step(Step(0, 1, 0.0, 0.0))
        raise BadValue("no")

    with pytest.raises(BadValue, match="no"):
        list(stream(algorithm))
