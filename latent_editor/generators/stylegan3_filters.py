"""Low-pass filters of StyleGAN3: Kaiser-windowed sinc and jinc (Karras et al. 2021, appendix C.1 and C.3)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def low_pass(taps: int, *, cutoff: float, width: float, rate: float, radial: bool = False) -> Tensor:
    """Designs a low-pass filter by the window method.

    1. The ideal impulse response at the taps: sinc in 1D, or jinc in 2D, whose frequency response is a disc.
    2. A Kaiser window whose transition band is ``width``.
    3. Scale to a sum of 1.

    Args:
        taps: Length of the filter.
        cutoff: Frequency where the response is about one half, in cycles per image, below ``rate / 2``.
        width: Width of the transition band, in the same unit.
        rate: Sampling rate of the grid, in pixels per image.
        radial: Design a radially symmetric filter, for configuration R.

    Returns:
        float32 [taps], a separable filter; or float32 [taps, taps] if ``radial``.
    """
    t = (np.arange(taps) - (taps - 1) / 2) / rate  # tap positions, in images
    window = np.kaiser(taps, kaiser_beta(taps, width / (rate / 2)))
    if radial:
        r = np.hypot(t[None, :], t[:, None])
        taps_2d = jinc(r, cutoff) * np.outer(window, window)
        return torch.from_numpy(taps_2d / taps_2d.sum()).float()
    taps_1d = np.sinc(2 * cutoff * t) * window
    return torch.from_numpy(taps_1d / taps_1d.sum()).float()


def kaiser_beta(taps: int, width: float) -> float:
    """The shape of the Kaiser window for a transition band, by Kaiser's formulas (Oppenheim & Schafer, eq. 7.75–7.76).

    Args:
        taps: Length of the filter.
        width: Width of the transition band as a part of the Nyquist frequency.
    """
    attenuation_db = 2.285 * (taps - 1) * math.pi * width + 7.95
    if attenuation_db > 50:
        return 0.1102 * (attenuation_db - 8.7)
    if attenuation_db > 21:
        return float(0.5842 * (attenuation_db - 21) ** 0.4 + 0.07886 * (attenuation_db - 21))
    return 0.0


def jinc(r: np.ndarray, cutoff: float) -> np.ndarray:
    """J₁(2π·cutoff·r) / (π·r): up to a factor, the inverse Fourier transform of a disc of radius ``cutoff``.

    Args:
        r: float64, any shape, distances from 0.

    Returns:
        float64 of the shape of ``r``; ``cutoff`` at 0, the limit.
    """
    bessel = torch.special.bessel_j1(torch.from_numpy(2 * math.pi * cutoff * r)).numpy()
    away = r > 0
    return np.where(away, bessel / (math.pi * np.where(away, r, 1)), cutoff)
