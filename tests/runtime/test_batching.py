"""Batched calls of many threads: the right result for each caller, and no caller starves or hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest

from latent_editor.core.errors import BadValue
from latent_editor.runtime.batching import Batcher


class Work:
    """Squares numbers, refuses negative ones, remembers its batches; can be blocked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.batches: list[tuple[str, list[int]]] = []
        self.begun, self.go = threading.Semaphore(0), threading.Event()
        self.go.set()
        self.seconds = seconds

    def __call__(self, key: str, items: Sequence[int]) -> list[int]:
        self.batches.append((key, list(items)))
        self.begun.release()
        assert self.go.wait(20)
        time.sleep(self.seconds)
        if min(items) < 0:
            raise BadValue(f"{min(items)} is negative.")
        return [item**2 for item in items]

    def batcher(self, max_size: int = 8, idle_s: float = 10.0) -> Batcher[str, int, int]:
        return Batcher(self, max_size=lambda _: max_size, idle_s=idle_s)


@contextmanager
def held(work: Work, batcher: Batcher[str, int, int]) -> Iterator[Callable[..., Future[int]]]:
    """Blocks a first call and yields a function that queues others in order; they run when the context ends."""
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(32))
        stack.callback(work.go.set)
        work.go.clear()
        pool.submit(batcher, "first", 0)
        assert work.begun.acquire(timeout=20)
        made = 0

        def call(key: str, item: int, size: int = 1) -> Future[int]:
            nonlocal made
            future = pool.submit(batcher, key, item, size=size)
            made += 1
            end = time.monotonic() + 20
            while len(batcher._waiting) < made and time.monotonic() < end:
                time.sleep(0.001)
            return future

        yield call


def test_waiting_calls_are_batched_and_each_caller_gets_its_own_result() -> None:
    work = Work()
    batcher = work.batcher()
    with held(work, batcher) as call:
        futures = [call("a", i) for i in range(5)]
    assert [f.result(20) for f in futures] == [0, 1, 4, 9, 16]
    assert work.batches == [("first", [0]), ("a", [0, 1, 2, 3, 4])]


def test_a_single_caller_does_not_wait() -> None:
    work = Work()
    batcher = work.batcher()
    assert batcher("a", 3) == 9
    start = time.perf_counter()
    for _ in range(200):
        batcher("a", 3)
    assert (time.perf_counter() - start) / 200 < 0.01
    assert all(len(items) == 1 for _, items in work.batches)


def test_keys_are_kept_apart_and_the_oldest_is_always_next() -> None:
    work = Work()
    batcher = work.batcher(max_size=3)
    with held(work, batcher) as call:
        futures = [call(key, i) for i, key in enumerate("abaabab")]
    assert [f.result(20) for f in futures] == [i**2 for i in range(7)]
    assert work.batches[1:] == [("a", [0, 2, 3]), ("b", [1, 4, 6]), ("a", [5])]


def test_sizes_are_limited_and_a_larger_item_runs_alone() -> None:
    work = Work()
    batcher = work.batcher(max_size=4)
    with held(work, batcher) as call:
        futures = [call("a", i, size) for i, size in enumerate([9, 2, 2, 2, 1])]
    assert [f.result(20) for f in futures] == [0, 1, 4, 9, 16]
    assert work.batches[1:] == [("a", [0]), ("a", [1, 2]), ("a", [3, 4])]


def test_an_error_goes_to_the_caller_that_made_it() -> None:
    work = Work()
    batcher = work.batcher()
    with held(work, batcher) as call:
        futures = [call("a", i) for i in (1, -2, 3, -4)]
    assert [futures[0].result(20), futures[2].result(20)] == [1, 9]
    for future, number in ((futures[1], -2), (futures[3], -4)):
        with pytest.raises(BadValue, match=f"^{number} is"):
            future.result(20)
    assert batcher("a", 5) == 25  # and it goes on


class _Incomparable:
    """A key that cannot be compared, as a tensor of several numbers cannot."""

    def __eq__(self, other: object) -> bool:
        raise BadValue("not comparable")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize("fault", ["size", "comparison", "exit in work"])
def test_any_fault_of_a_callback_reaches_its_callers_and_the_worker_lives_on(fault: str) -> None:
    def max_size(key: object) -> int:
        if key == "bad size":
            raise BadValue("no size")
        return 8

    def run(key: object, items: Sequence[int]) -> list[int]:
        if key == "bad work":
            raise SystemExit("no work")
        return work(str(type(key)), items)

    work = Work()
    batcher: Batcher[object, int, int] = Batcher(run, max_size=max_size)
    key = {"size": "bad size", "comparison": _Incomparable(), "exit in work": "bad work"}[fault]
    with held(work, batcher) as call:  # type: ignore[arg-type]
        bad, others = [call(key, i) for i in range(2)], [call("good", i) for i in range(3)]  # type: ignore[arg-type]
    for future in bad[:1] if fault == "comparison" else bad:
        with pytest.raises((BadValue, SystemExit)):
            future.result(20)
    assert [f.result(20) for f in others] == [0, 1, 4]
    assert batcher("good", 5) == 25


def test_no_caller_starves() -> None:
    """Seven callers that ask all the time, and one with another key that asks now and then."""
    work = Work(0.002)
    batcher = work.batcher(max_size=2)
    stop = threading.Event()

    def ask() -> int:
        count = 0
        while not stop.is_set():
            assert batcher("a", 2) == 4
            count += 1
        return count

    with ThreadPoolExecutor(8) as pool:
        busy = [pool.submit(ask) for _ in range(7)]
        waits = []
        for _ in range(20):
            before = len(work.batches)
            assert batcher("b", 3) == 9
            waits.append(len(work.batches) - before)
        stop.set()
        counts = [f.result(20) for f in busy]
    assert max(waits) <= 6  # the running batch, at most seven waiting calls in pairs, its own
    assert min(counts) > 0.5 * max(counts)


def test_the_idle_thread_ends_and_starts_again() -> None:
    batcher = Work().batcher(idle_s=0.05)
    for _ in range(3):
        assert batcher("a", 2) == 4
        thread = batcher._thread
        assert thread is not None
        thread.join(20)
        assert not thread.is_alive()
    assert batcher._thread is None
