"""Keyframes and easing: values at known times, halts, seams, and the cubic against its own definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from latent_editor.core.errors import BadValue
from latent_editor.motion.curves import EASING_NAMES, Curve, key_weights

TIMES = (0.0, 1.0, 2.5, 4.0)
VALUES = (1.0, -2.0, 3.0, 0.5)


@pytest.mark.parametrize(
    ("ease", "quarter", "half"),
    [("linear", 0.25, 0.5), ("smooth", 0.15625, 0.5), ("ease-in", 0.0625, 0.25), ("ease-out", 0.4375, 0.75)],
)
def test_easings_at_known_places(ease: str, quarter: float, half: float) -> None:
    curve = Curve((0.0, 2.0), (10.0, 20.0), ease)
    assert curve.at(0.5) == pytest.approx(10 + 10 * quarter)
    assert curve.at(1.0) == pytest.approx(10 + 10 * half)


@pytest.mark.parametrize("ease", EASING_NAMES)
@pytest.mark.parametrize("loop_s", [None, 5.0])
def test_key_frames_are_met_and_weights_sum_to_one(ease: str, loop_s: float | None) -> None:
    curve = Curve(TIMES, VALUES, ease)
    for time_s, value in zip(TIMES, VALUES, strict=True):
        assert curve.at(time_s, loop_s=loop_s) == pytest.approx(value)
    for time_s in np.linspace(-1, 9, 101):
        assert key_weights(TIMES, time_s, ease=ease, loop_s=loop_s).sum() == pytest.approx(1)


@pytest.mark.parametrize("ease", EASING_NAMES)
def test_outside_of_its_key_frames_a_number_stays(ease: str) -> None:
    curve = Curve((1.0, 2.0), (3.0, 5.0), ease)
    assert [curve.at(t) for t in (-1, 0, 1, 2, 9)] == [3, 3, 3, 5, 5]
    assert [Curve((1.0,), (3.0,), ease).at(t, loop_s=4.0) for t in (0, 1, 3)] == [3, 3, 3]


@pytest.mark.parametrize("ease", EASING_NAMES)
def test_a_loop_goes_on_where_it_began(ease: str) -> None:
    curve = Curve(TIMES, VALUES, ease)
    for time_s in np.linspace(0, 5, 23):
        assert curve.at(time_s, loop_s=5.0) == pytest.approx(curve.at(time_s + 5, loop_s=5.0))
    assert curve.at(5 - 1e-9, loop_s=5.0) == pytest.approx(curve.at(0, loop_s=5.0), abs=1e-6)


def test_even_key_frames_give_the_cubic_of_catmull_and_rom() -> None:
    p = np.array([2.0, -1.0, 4.0, 3.0])
    curve = Curve((0.0, 1.0, 2.0, 3.0), tuple(p), "spline")
    matrix = 0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1]])
    for u in np.linspace(0, 1, 11):
        assert curve.at(1 + u) == pytest.approx(np.array([1, u, u**2, u**3]) @ matrix @ p)


@pytest.mark.parametrize("loop_s", [None, 5.0])
def test_the_cubic_has_no_corners_and_a_straight_line_stays_one(loop_s: float | None) -> None:
    curve, h = Curve(TIMES, VALUES, "spline"), 1e-6
    for knot in TIMES[1:-1] if loop_s is None else TIMES:
        before = (curve.at(knot, loop_s=loop_s) - curve.at(knot - h, loop_s=loop_s)) / h
        after = (curve.at(knot + h, loop_s=loop_s) - curve.at(knot, loop_s=loop_s)) / h
        assert before == pytest.approx(after, abs=1e-3)
    line = Curve(TIMES, tuple(2 * t + 1 for t in TIMES), "spline")
    assert [line.at(t) for t in (0.3, 1.7, 3.3)] == pytest.approx([1.6, 4.4, 7.6])


def test_halts_are_halts() -> None:
    h = 1e-5
    smooth = Curve(TIMES, VALUES, "smooth")
    assert abs(smooth.at(1 + h) - smooth.at(1 - h)) < 1e-7
    linear = Curve(TIMES, VALUES, "linear")
    assert abs(linear.at(1 + h) - linear.at(1 - h)) > 1e-6


@pytest.mark.parametrize("times", [(), (1.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.0, math.nan), (0.0, math.inf)])
def test_times_that_are_none_are_refused(times: tuple[float, ...]) -> None:
    with pytest.raises(BadValue, match="keyframes"):
        Curve(times, (0.0,) * len(times))


def test_bad_values_and_easings_are_refused() -> None:
    with pytest.raises(BadValue, match="2 values for 1"):
        Curve((0.0,), (1.0, 2.0))
    with pytest.raises(BadValue, match="finite"):
        Curve((0.0,), (math.nan,))
    with pytest.raises(BadValue, match="bouncy"):
        Curve((0.0,), (1.0,), "bouncy")
