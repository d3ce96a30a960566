"""Small files of sound and moving pictures for tests, and what is in files."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np


def write_sound(path: Path, samples: np.ndarray, rate_hz: int = 32_000) -> Path:
    """Mono samples, −1..1, as an uncompressed WAV file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=rate_hz, layout="mono")
        whole = np.round(samples.clip(-1, 1) * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(whole, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        if len(samples):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def tone(hz: float, seconds: float, amplitude: float = 0.5, rate_hz: int = 32_000) -> np.ndarray:
    """float32 [N]: a sine."""
    at = np.arange(round(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * hz * at)).astype(np.float32)


def read_pictures(path: Path) -> list[np.ndarray]:
    """Every picture of a video, uint8 [H, W, 3]."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def psnr(a: np.ndarray | Sequence, b: np.ndarray | Sequence) -> float:
    """Of 8-bit pictures, in dB."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    return float(10 * np.log10(255**2 / max(float((difference**2).mean()), 1e-9)))
