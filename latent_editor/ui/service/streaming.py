"""Turns an algorithm that reports through a callback into an iterator."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from latent_editor.core.values import OnStep, Step

T = TypeVar("T")


class _Mailbox(Generic[T]):
    """Holds the newest step only, then the outcome; a slow reader costs no memory. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._step: Step | None = None
        self._outcome: tuple[T] | BaseException | None = None  # a result is wrapped: it may be None

    def put_step(self, step: Step) -> None:
        """Replaces a step that was not read yet."""
        with self._changed:
            self._step = step
            self._changed.notify()

    def put_result(self, result: T) -> None:
        self._end((result,))

    def put_error(self, error: BaseException) -> None:
        self._end(error)

    def _end(self, outcome: tuple[T] | BaseException) -> None:
        with self._changed:
            self._outcome = outcome
            self._changed.notify()

    def take(self) -> Step | tuple[T]:
        """Waits for the next step, or for the result as a tuple of one. Raises what the algorithm raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._step is not None or self._outcome is not None)
            if self._step is not None:
                step, self._step = self._step, None
                return step
            if isinstance(self._outcome, BaseException):
                raise self._outcome
            assert self._outcome is not None
            return self._outcome


def stream(algorithm: Callable[[OnStep], T]) -> Iterator[Step | T]:
    """Runs an algorithm in a thread and yields its newest steps, then its result.

    A reader slower than the algorithm gets fewer steps, never outdated ones, and always the result. Closing the
    iterator stops the algorithm at its next step.

    Args:
        algorithm: Takes the callback, returns the result.

    Raises:
        Exception: whatever the algorithm raises.
    """
    mailbox: _Mailbox[T] = _Mailbox()
    closed = threading.Event()

    def on_step(step: Step) -> bool:
        mailbox.put_step(step)
        return closed.is_set()

    def work() -> None:
        try:
            mailbox.put_result(algorithm(on_step))
        except BaseException as e:
            mailbox.put_error(e)

    threading.Thread(target=work, name="algorithm", daemon=True).start()
    try:
        while True:
            item = mailbox.take()
            if isinstance(item, tuple):
                yield item[0]
                return
            yield item
    finally:
        closed.set()
