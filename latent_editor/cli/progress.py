"""Progress bars, and graceful interruption of long computations."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from latent_editor.core.values import Step


class ProgressBar:
    """A progress bar on stderr: redrawn on a terminal, otherwise one line per 10 %.

    Use as a context manager, and pass the steps to :meth:`show`. The label of a step overrides that of the bar.
    """

    WIDTH = 30

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.last: Step | None = None
        self._drawn = -1
        self._width = 0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.last is not None and self.stream.isatty():
            self.stream.write("\n")
            self.stream.flush()

    def show(self, step: Step) -> None:
        """Shows a step."""
        self.last = step
        terminal = self.stream.isatty()
        mark = int(step.fraction * (100 if terminal else 10))
        if mark != self._drawn or terminal:
            self._drawn = mark
            self.stream.write(f"\r{self.line(step)}" if terminal else f"{self.line(step)}\n")
            self.stream.flush()

    def line(self, step: Step) -> str:
        """The step as text: label, bar, percentage, seconds, PSNR."""
        fraction = min(max(step.fraction, 0.0), 1.0)
        full = round(fraction * self.WIDTH)
        psnr = "" if step.psnr_db is None else f"  {step.psnr_db:5.2f} dB"
        bar = "#" * full + "." * (self.WIDTH - full)
        self._width = max(self._width, len(step.label or self.label))  # overwrite a longer label completely
        label = (step.label or self.label).ljust(self._width)
        return f"{label} {bar} {fraction * 100:3.0f} % {step.seconds:5.1f} s{psnr}"


@contextmanager
def stop_on_interrupt() -> Iterator[threading.Event]:
    """Yields an event that the first Ctrl-C sets, so that the best result can be kept; the second one interrupts.

    Outside of the main thread, which receives no signals, the event is never set.
    """
    stopped = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stopped
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        if stopped.is_set():
            raise KeyboardInterrupt
        stopped.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield stopped
    finally:
        signal.signal(signal.SIGINT, before)
