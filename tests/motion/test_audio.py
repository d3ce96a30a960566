"""Sliders that follow a sound of known loudness and known bands."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from support.media_files import tone

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction
from latent_editor.media.decode import Track
from latent_editor.motion.audio import BANDS, RANGE_DB, loudness_envelope, loudness_track

FPS = 25


def at_once(track: Track, count: int, band: str = "all") -> np.ndarray:
    return loudness_envelope(track, FPS, count, band=band, attack_s=0, release_s=0)


@pytest.mark.parametrize("band_hz", [("all", 440), ("low", 100), ("mid", 1000), ("high", 8000)])
def test_half_the_amplitude_is_six_decibels_less(band_hz: tuple[str, int]) -> None:
    band, hz = band_hz
    parts = [tone(hz, 1.0, amplitude) for amplitude in (0.8, 0.4, 0.1, 0.0)]
    found = at_once(Track(np.concatenate(parts), 32_000), 100, band)
    for i, amplitude in enumerate((0.8, 0.4, 0.1)):
        below_db = 20 * math.log10(0.8 / amplitude)
        assert found[i * 25 + 3 : i * 25 + 22] == pytest.approx(1 - below_db / RANGE_DB, abs=0.02)
    assert (found[78:] == 0).all()


def test_bands_hear_their_own_part() -> None:
    parts = {"low": tone(80, 1.0), "mid": tone(1000, 1.0), "high": tone(9000, 1.0)}
    track = Track(np.concatenate(list(parts.values())), 32_000)
    for i, band in enumerate(parts):
        found = at_once(track, 75, band)
        inside = found[i * 25 + 3 : i * 25 + 22]
        outside = np.concatenate([found[j * 25 + 3 : j * 25 + 22] for j in range(3) if j != i])
        assert inside.min() > 0.98
        assert outside.max() < 0.1
    assert at_once(track, 75)[3:72].min() > 0.95
    assert set(BANDS) == {"all", "low", "mid", "high"}


def test_it_rises_quickly_and_falls_slowly() -> None:
    track = Track(np.concatenate([tone(440, 1.0, 0.0), tone(440, 1.0), tone(440, 2.0, 0.0)]), 32_000)
    found = loudness_envelope(track, FPS, 100, attack_s=0.02, release_s=0.4)
    assert found[23] == 0
    assert found[28] > 0.98
    falling = found[52:90]
    # 63 % of the way in every 0.4 s, which is ten pictures.
    assert falling[10] / falling[0] == pytest.approx(math.exp(-1), rel=1e-3)
    assert falling[20] / falling[10] == pytest.approx(math.exp(-1), rel=1e-3)


def test_the_level_does_not_depend_on_the_volume() -> None:
    samples = np.concatenate([tone(440, 1.0, a) for a in (0.8, 0.2)])
    loud, quiet = (at_once(Track(samples * gain, 32_000), 50) for gain in (1.0, 0.1))
    assert loud == pytest.approx(quiet, abs=1e-4)


def test_silence_and_what_follows_a_track_is_at_nothing() -> None:
    assert (loudness_envelope(Track(np.zeros(32_000, np.float32), 32_000), FPS, 50) == 0).all()
    found = at_once(Track(tone(440, 0.4), 32_000), 50)
    assert found[:8].min() > 0.9
    assert (found[12:] == 0).all()


def test_a_slider_goes_from_its_low_to_its_high() -> None:
    heights = np.array([0.0, 0.5, 1.0])
    slide = loudness_track(Direction("smile", torch.zeros(1, 1)), -1.0, 3.0, heights, FPS)
    assert [slide.curve.at(i / FPS) for i in range(3)] == pytest.approx([-1, 1, 3])
    assert slide.curve.at(0.5 / FPS) == pytest.approx(0)
    assert slide.curve.at(9.0) == 3


def test_bad_bands_and_times_are_refused() -> None:
    track = Track(tone(440, 0.1), 32_000)
    with pytest.raises(BadValue, match="all, low, mid, high"):
        loudness_envelope(track, FPS, 3, band="treble")
    for seconds in (-1.0, math.nan, math.inf):
        with pytest.raises(BadValue, match="attack"):
            loudness_envelope(track, FPS, 3, attack_s=seconds)
