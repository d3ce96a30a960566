"""Background work: threads with progress that can be polled, and results that are retried after a failure."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from latent_editor.core.errors import Stopped
from latent_editor.core.values import Directions, Step
from latent_editor.directions import named_directions
from latent_editor.generators import Generator
from latent_editor.preparation import prepare, prepared

log = logging.getLogger(__name__)
T = TypeVar("T")


class Progress:
    """The progress of a long computation, and a way to stop it. Thread-safe.

    ``with progress:`` marks the time in which the computation runs.
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
        """The newest step; None before the first."""
        return self._step

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ends the computation at its next step; its finished parts are kept."""
        self._stopping.set()

    def on_step(self, step: Step) -> bool:
        self._step = step
        return self.stopping


class BackgroundTask(Generic[T]):
    """A value that is computed once, in a background thread. Thread-safe.

    A failure is raised by the next :meth:`poll`, and the poll after that starts the computation again.

    Args:
        work: Computes the value.
        name: For the log.
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work, self._name = work, name
        self._lock = threading.Lock()
        self._future: Future[T] | None = None

    @staticmethod
    def finished(value: T) -> BackgroundTask[T]:
        """A task whose value is known."""
        task = BackgroundTask(lambda: value, "finished")
        task._future = Future()
        task._future.set_result(value)
        return task

    @property
    def value(self) -> T | None:
        """The value; None before it is computed and after a failure."""
        future = self._future
        return future.result() if future and future.done() and future.exception() is None else None

    @property
    def running(self) -> bool:
        return self._future is not None and not self._future.done()

    def start(self) -> Future[T]:
        """Starts the computation unless it is running or has ended."""
        with self._lock:
            if self._future is None:
                self._future = in_background(self._work, self._name)
            return self._future

    def poll(self) -> T | None:
        """The value, or None while it is being computed; starts the computation if needed.

        Raises:
            Exception: what the last computation raised, once.
        """
        future = self.start()
        if not future.done():
            return None
        if future.exception() is not None:
            with self._lock:
                if self._future is future:
                    self._future = None
        return future.result()


def prepare_directions(g: Generator, progress: Progress, turn: threading.Lock) -> Directions:
    """Computes what a new model needs, then its named directions.

    Args:
        g: The generator.
        progress: Gets the steps, and can stop the work.
        turn: Held during the preparation, so that only one model is prepared at a time.

    Returns:
        The model's directions; none if the work was stopped before they were found.
    """
    if not prepared(g):
        with progress, turn:
            prepare(g, on_step=progress.on_step)
    try:
        return named_directions(g, on_step=progress.on_step)
    except Stopped:
        return Directions()


def in_background(work: Callable[[], T], name: str) -> Future[T]:
    """Runs ``work`` in a daemon thread."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as e:
            log.warning("%s: %s", name, e)
            future.set_exception(e)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


async def wait_until_done(future: Future[T], timeout_s: float) -> bool:
    """Waits without occupying a thread; returns whether the future is done. Its result is not consumed."""
    done, loop = asyncio.Event(), asyncio.get_running_loop()

    def wake(_: Future[T]) -> None:
        with contextlib.suppress(RuntimeError):  # the server has stopped meanwhile
            loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(done.wait(), timeout_s)
    return future.done()
