"""From an algorithm that reports through a callback to an iterator that a page can read."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from latent_editor.core.values import OnStep, Step

T = TypeVar("T")


def stream(algorithm: Callable[[OnStep], T]) -> Iterator[Step | T]:
    """Runs an algorithm in a thread and yields its newest steps, then what it returns.

    A reader slower than the algorithm gets fewer steps, never old ones. Closing the iterator stops the algorithm at its
    next step; what it raises is raised here.

    Args:
        algorithm: Takes the callback, returns the outcome.
    """
    inbox: queue.SimpleQueue[tuple[str, Step | T | BaseException]] = queue.SimpleQueue()
    closed = threading.Event()

    def on_step(step: Step) -> bool:
        inbox.put(("step", step))
        return closed.is_set()

    def work() -> None:
        try:
            inbox.put(("end", algorithm(on_step)))
        except BaseException as e:
            inbox.put(("error", e))

    thread = threading.Thread(target=work, name="algorithm", daemon=True)
    thread.start()
    try:
        while True:
            kind, item = inbox.get()
            while kind == "step" and not inbox.empty():
                kind, item = inbox.get()
            if isinstance(item, BaseException):
                raise item
            yield item
            if kind == "end":
                return
    finally:
        closed.set()
