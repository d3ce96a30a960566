from __future__ import annotations

import threading
import time

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


def test_steps_come_in_order_and_the_outcome_last() -> None:
    *steps, outcome = stream(lambda on_step: count(on_step, 50, 0.001))
    numbers = [s.step for s in steps if isinstance(s, Step)]
    assert numbers == sorted(set(numbers))
    assert outcome == "done"


def test_a_slow_reader_gets_the_newest_and_the_outcome() -> None:
    seen = []
    for item in stream(lambda on_step: count(on_step, 200, 0.001)):
        seen.append(item)
        time.sleep(0.03)
    assert seen[-1] == "done"
    assert len(seen) < 30


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


def test_what_the_algorithm_raises_arrives() -> None:
    def algorithm(on_step: OnStep) -> str:
        on_step(Step(0, 1, 0.0, 0.0))
        raise BadValue("no")

    with pytest.raises(BadValue, match="no"):
        list(stream(algorithm))
