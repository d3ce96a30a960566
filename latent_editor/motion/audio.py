"""Audio-reactive sliders: driven by the loudness of a track, or of one of its frequency bands."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction
from latent_editor.media.decode import Track
from latent_editor.motion.animation import SliderTrack
from latent_editor.motion.curves import Curve

#: Frequency bands in Hz: drums and bass, voices, hiss and cymbals.
BANDS: Mapping[str, tuple[float, float]] = {
    "all": (20.0, math.inf),
    "low": (20.0, 250.0),
    "mid": (250.0, 4000.0),
    "high": (4000.0, math.inf),
}
#: Window around each frame's time.
WINDOW_S = 0.06
#: 0 is this far below the loudest level, which is 1; the loudest level is this percentile of the windows.
RANGE_DB, LOUDEST_PERCENT = 36.0, 98.0
#: Tracks below this amplitude are silent.
SILENCE = 1e-4
#: Time constants of rising and falling levels: 63 % of the change.
ATTACK_S, RELEASE_S = 0.02, 0.2


def loudness_envelope(
    track: Track,
    fps: float,
    count: int,
    *,
    band: str = "all",
    attack_s: float = ATTACK_S,
    release_s: float = RELEASE_S,
) -> np.ndarray:
    """The loudness of a track at each frame of a video.

    1. Root mean square of the band in a Hann window around each frame's time, from its spectrum.
    2. In decibels, from :data:`RANGE_DB` below the loudest level to the loudest, mapped to 0..1.
    3. Smoothed: fast attack, slow release.

    Args:
        track: The audio.
        fps: Frames per second.
        count: Number of frames; those after the track's end decay to 0.
        band: "all", "low", "mid" or "high".
        attack_s, release_s: Time constants of rising and falling; 0 follows at once.

    Returns:
        float64 [count], 0..1; all 0 for silence.

    Raises:
        BadValue: an unknown band, or a negative or infinite time constant.
    """
    if band not in BANDS:
        raise BadValue(f"Got the band {band!r}; expected one of {', '.join(BANDS)}.")
    if not (0 <= attack_s < math.inf and 0 <= release_s < math.inf):
        raise BadValue(f"Got an attack of {attack_s:g} s and a release of {release_s:g} s; expected numbers from 0.")
    # 1.
    loudness = _root_mean_squares(track, fps, count, BANDS[band])
    # 2.
    loudest = float(np.percentile(loudness, LOUDEST_PERCENT))
    if loudest < SILENCE:
        return np.zeros(count)
    wanted = np.clip(1 + 20 * np.log10(np.maximum(loudness, 1e-9) / loudest) / RANGE_DB, 0, 1)
    # 3.
    rise, fall = (1 - math.exp(-1 / (fps * s)) if s > 0 else 1.0 for s in (attack_s, release_s))
    smooth, now = np.empty(count), float(wanted[0])
    for i, level in enumerate(wanted):
        now += (level - now) * (rise if level > now else fall)
        smooth[i] = now
    return smooth


def loudness_track(direction: Direction, low: float, high: float, loudness: np.ndarray, fps: float) -> SliderTrack:
    """A slider at ``low`` in silence and at ``high`` where the track is loudest, as :func:`loudness_envelope` says."""
    times = tuple(i / fps for i in range(len(loudness)))
    return SliderTrack(direction, Curve(times, tuple((low + (high - low) * loudness).tolist()), "linear"))


def _root_mean_squares(track: Track, fps: float, count: int, band: tuple[float, float]) -> np.ndarray:
    """Root mean square of a band around each frame's time: float64 [count]."""
    size = max(64, 2 * round(track.rate_hz * WINDOW_S / 2))
    window = np.hanning(size)
    frequencies = np.fft.rfftfreq(size, 1 / track.rate_hz)
    inside = (frequencies >= band[0]) & (frequencies < band[1])
    padded = np.pad(track.samples, (size // 2, size))
    found = np.zeros(count)
    for i in range(count):
        start = round(i / fps * track.rate_hz)
        if start >= len(track.samples):
            break
        spectrum = np.fft.rfft(padded[start : start + size] * window)
        # Parseval: both halves of the spectrum, divided by the window's energy.
        found[i] = math.sqrt(2 * float((np.abs(spectrum[inside]) ** 2).sum()) / size / float((window**2).sum()))
    return found
