"""Interpolation between keyframes, of numbers or of faces."""

from __future__ import annotations

import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from latent_editor.core.errors import BadValue

#: Progress from one keyframe to the next at a fraction u of the time between them.
EASINGS: Mapping[str, Callable[[float], float]] = {
    "linear": lambda u: u,
    "smooth": lambda u: u * u * (3 - 2 * u),
    "ease-in": lambda u: u * u,
    "ease-out": lambda u: u * (2 - u),
}
#: Through the keyframes without stopping.
SPLINE = "spline"
EASING_NAMES = (*EASINGS, SPLINE)


def key_weights(
    times_s: Sequence[float], at_s: float, *, ease: str = "smooth", loop_s: float | None = None
) -> np.ndarray:
    """The weight of each keyframe at a time; the interpolated value is the sum with these weights.

    "spline" is the Catmull-Rom cubic (1974): its slope at a keyframe is that from the one before to the one after, so
    that it may overshoot. The others, except "linear", stop at each keyframe.

    Args:
        times_s: Times of the keyframes, ascending.
        at_s: When to interpolate.
        ease: One of :data:`EASING_NAMES`.
        loop_s: Duration of a loop, in which the first keyframe follows the last; None for no loop.

    Returns:
        float64 [len(times_s)], summing to 1.
    """
    count = len(times_s)
    weights = np.zeros(count)
    if loop_s is None:
        if at_s <= times_s[0] or at_s >= times_s[-1]:
            weights[0 if at_s <= times_s[0] else -1] = 1
            return weights
    else:
        at_s = (at_s - times_s[0]) % loop_s + times_s[0]
    i = bisect_right(times_s, at_s) - 1

    def time_of(k: int) -> float:
        """The time of keyframe k, counted beyond the ends of a loop."""
        turns, k = divmod(k, count)
        return times_s[k] + turns * (loop_s or 0.0)

    step = time_of(i + 1) - time_of(i)
    u = (at_s - time_of(i)) / step if step > 0 else 0.0
    if ease != SPLINE:
        done = EASINGS[ease](u)
        weights[i % count] += 1 - done
        weights[(i + 1) % count] += done
        return weights
    # Hermite form: the values at both ends, and the slopes there.
    weights[i % count] += (1 + 2 * u) * (1 - u) ** 2
    weights[(i + 1) % count] += u * u * (3 - 2 * u)
    for k, share in ((i, u * (1 - u) ** 2), (i + 1, u * u * (u - 1))):
        before, after = (k - 1, k + 1) if loop_s is not None else (max(k - 1, 0), min(k + 1, count - 1))
        slope = share * step / (time_of(after) - time_of(before))
        weights[after % count] += slope
        weights[before % count] -= slope
    return weights


@dataclass(frozen=True)
class Curve:
    """A number that changes over time.

    Attributes:
        times_s: Times of the keyframes, from 0, ascending; constant before the first and after the last.
        values: The number at these times.
        ease: One of :data:`EASING_NAMES`.
    """

    times_s: tuple[float, ...]
    values: tuple[float, ...]
    ease: str = "smooth"

    def __post_init__(self) -> None:
        check_times(self.times_s, self.ease)
        if len(self.values) != len(self.times_s) or not all(map(math.isfinite, self.values)):
            raise BadValue(
                f"Got {len(self.values)} values for {len(self.times_s)} times; expected one finite value each."
            )

    def at(self, time_s: float, *, loop_s: float | None = None) -> float:
        """The number at a time; arguments as in :func:`key_weights`."""
        return float(key_weights(self.times_s, time_s, ease=self.ease, loop_s=loop_s) @ np.array(self.values))


def check_times(times_s: Sequence[float], ease: str) -> None:
    """Raises BadValue for invalid keyframe times or an unknown easing."""
    if ease not in EASING_NAMES:
        raise BadValue(f"Got the easing {ease!r}; expected one of {', '.join(EASING_NAMES)}.")
    if not times_s or not all(math.isfinite(t) and t >= 0 for t in times_s):
        raise BadValue(f"Got keyframes at {_listed(times_s)} seconds; expected at least one, at finite times from 0.")
    if any(b <= a for a, b in itertools.pairwise(times_s)):
        raise BadValue(f"Got keyframes at {_listed(times_s)} seconds; expected each later than the one before.")


def _listed(times_s: Sequence[float]) -> str:
    return ", ".join(f"{t:g}" for t in times_s[:8]) or "no"
