"""Micro-batches concurrent calls that share a key."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")


@dataclass(eq=False)
class _PendingCall(Generic[K, T, R]):
    """One call in the queue; ``outcome`` gets its result or its error."""

    key: K
    item: T
    size: int
    outcome: Future[R] = field(default_factory=Future)


class Batcher(Generic[K, T, R]):
    """Runs the calls of many threads in one worker thread, calls with the same key together. Thread-safe.

    1. The oldest call is taken from the queue, with waiting calls of the same key, oldest first, up to a limit.
    2. They run as one batch; calls that arrive meanwhile wait for the next one.
    3. If a batch fails, its calls run one by one, so that each caller gets its own result or error.

    Calls gather while the previous batch runs, so a single caller never waits for others to arrive, as it would with a
    fixed delay. The oldest call is always in the next batch, so no caller starves.

    One thread for all work also keeps one set of OpenMP threads and one memory arena warm. It starts with the first
    call and ends after an idle time.

    Args:
        work: Maps a key and the items of some calls to their results, in the same order.
        max_size: Maps a key to the largest total size of a batch; a larger item runs alone.
        idle_s: How long the thread waits for another call before it ends.
    """

    def __init__(
        self, work: Callable[[K, Sequence[T]], Sequence[R]], *, max_size: Callable[[K], int], idle_s: float = 10.0
    ) -> None:
        self.work, self.max_size, self.idle_s = work, max_size, idle_s
        self._waiting: deque[_PendingCall[K, T, R]] = deque()  # oldest first
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, key: K, item: T, *, size: int = 1) -> R:
        """Returns the result for one item, or raises what its work raises; ``size`` counts towards ``max_size``."""
        call: _PendingCall[K, T, R] = _PendingCall(key, item, size)
        with self._ready:
            self._waiting.append(call)
            if self._thread is None or not self._thread.is_alive():  # not alive: this process was forked
                self._thread = threading.Thread(target=self._serve, name="batcher", daemon=True)
                self._thread.start()
            self._ready.notify()
        return call.outcome.result()

    def _serve(self) -> None:
        while True:
            with self._ready:
                if not self._ready.wait_for(lambda: self._waiting, self.idle_s):
                    self._thread = None
                    return
                batch = self._next_batch()
            self._run(batch)
            del batch  # otherwise the last results would stay in memory while the queue is empty

    def _next_batch(self) -> list[_PendingCall[K, T, R]]:
        """Takes the oldest call and those that can run with it from the queue; none of them if that fails."""
        first = self._waiting.popleft()
        batch, size = [first], first.size
        try:
            max_size = self.max_size(first.key)
            for call in list(self._waiting):
                if call.key == first.key and size + call.size <= max_size:
                    self._waiting.remove(call)
                    batch.append(call)
                    size += call.size
        except BaseException as e:  # the callers wait for an outcome, whatever it is, and the thread has to live on
            _fail(batch, e)
            return []
        return batch

    def _run(self, batch: list[_PendingCall[K, T, R]]) -> None:
        if not batch:
            return
        results: Sequence[Any]
        try:
            results = self.work(batch[0].key, [call.item for call in batch])
            assert len(results) == len(batch)
        except BaseException as e:
            if len(batch) == 1 or not isinstance(e, Exception):
                _fail(batch, e)
                return
            for call in batch:
                self._run([call])
            return
        for call, result in zip(batch, results, strict=True):
            call.outcome.set_result(result)


def _fail(calls: Sequence[_PendingCall[Any, Any, Any]], error: BaseException) -> None:
    for call in calls:
        call.outcome.set_exception(error)
