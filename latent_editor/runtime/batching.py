"""What several threads ask for at the same time is done together, where that is quicker than one after another."""

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
    """One call that waits for its turn."""

    key: K
    item: T
    size: int
    outcome: Future[R] = field(default_factory=Future)


class Batcher(Generic[K, T, R]):
    """Carries out calls of many threads in one thread, those of the same key together. Safe to use from threads.

    1. The oldest call takes with it the calls of its key that wait too, oldest first, up to a limit.
    2. They are done together; what came meanwhile waits for the next turn.
    3. Where that fails each is done alone, so that every caller gets what its own call gives or raises.

    The time that calls gather in is thus the time that the ones before them take: a lone caller never waits for
    company, as it would with a fixed pause, and the oldest call is always in the next turn, so nobody starves.

    One thread for all work also keeps one set of OpenMP threads and one arena of memory warm. It is started by a call
    and ends when none comes for a while.

    Args:
        work: From a key and the items of some calls to their results, in the same order.
        most: From a key to the size that is done together at most; an item that is larger is done alone.
        idle_s: How long the thread waits for another call before it ends.
    """

    def __init__(
        self, work: Callable[[K, Sequence[T]], Sequence[R]], *, most: Callable[[K], int], idle_s: float = 10.0
    ) -> None:
        self.work, self.most, self.idle_s = work, most, idle_s
        self._waiting: deque[_PendingCall[K, T, R]] = deque()  # oldest first
        self._ready = threading.Condition()
        self._thread: threading.Thread | None = None

    def __call__(self, key: K, item: T, *, size: int = 1) -> R:
        """The result for one item, or what its work raises; ``size`` counts towards ``most``."""
        call: _PendingCall[K, T, R] = _PendingCall(key, item, size)
        with self._ready:
            self._waiting.append(call)
            if self._thread is None or not self._thread.is_alive():  # not alive: this process is a fork
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
                turn = self._next_turn()
            self._carry_out(turn)
            del turn  # lest the last results stay in memory while nothing is asked for

    def _next_turn(self) -> list[_PendingCall[K, T, R]]:
        """Takes the oldest call and those that can be done with it."""
        first = self._waiting.popleft()
        turn, size, most = [first], first.size, self.most(first.key)
        for call in list(self._waiting):
            if call.key == first.key and size + call.size <= most:
                self._waiting.remove(call)
                turn.append(call)
                size += call.size
        return turn

    def _carry_out(self, turn: list[_PendingCall[K, T, R]]) -> None:
        results: Sequence[Any]
        try:
            results = self.work(turn[0].key, [call.item for call in turn])
            assert len(results) == len(turn)
        except Exception as e:
            if len(turn) == 1:
                turn[0].outcome.set_exception(e)
                return
            for call in turn:
                self._carry_out([call])
            return
        for call, result in zip(turn, results, strict=True):
            call.outcome.set_result(result)
