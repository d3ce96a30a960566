"""What runs beside the page: in threads, with progress that can be asked for, and an end that can be asked for too."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from latent_editor.core.errors import Stopped
from latent_editor.core.values import Directions, Step
from latent_editor.directions import named_directions
from latent_editor.generators import Generator
from latent_editor.preparation import prepare, prepared

log = logging.getLogger(__name__)
T = TypeVar("T")


class Progress:
    """What a long piece of work reports to, and what stops it. Safe to use from threads.

    ``with progress:`` marks the time in which the work runs.
    """

    def __init__(self) -> None:
        self._step: Step | None = None
        self._running = threading.Event()
        self._stopping = threading.Event()

    def __enter__(self) -> Progress:
        self._running.set()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.clear()

    @property
    def running(self) -> bool:
        return self._running.is_set()

    @property
    def step(self) -> Step | None:
        """The newest report; None before the first."""
        return self._step

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ends the work at its next step; what it has finished is kept."""
        self._stopping.set()

    def on_step(self, step: Step) -> bool:
        self._step = step
        return self.stopping


def prepare_directions(g: Generator, progress: Progress, turn: threading.Lock) -> Directions:
    """Works out what a model that is new here needs, then gives its directions.

    Args:
        g: The generator.
        progress: Told about the work, and asked whether to go on.
        turn: Held meanwhile, so that one model is prepared at a time.

    Returns:
        The model's directions; none where the work was ended before they were found.
    """
    if not prepared(g):
        with progress, turn:
            prepare(g, on_step=progress.on_step)
    try:
        return named_directions(g, on_step=progress.on_step)
    except Stopped:
        return Directions()


def in_background(work: Callable[[], T], name: str) -> Future[T]:
    """Runs something in a thread that does not keep the program from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as e:
            log.warning("%s: %s", name, e)
            future.set_exception(e)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
