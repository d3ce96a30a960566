"""The server's threads, divided by kind of work."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from latent_editor.ui.service.frame_renderer import MAX_BATCH

T = TypeVar("T")

#: Threads that wait for frames: two full batches, so that the next one gathers while one is drawn.
DRAWING_THREADS = 2 * MAX_BATCH
#: Uploads, face detection, encoding: each uses all cores by itself.
COMPUTING_THREADS = 4


class Workers:
    """Thread limits of one server, one for each kind of slow work.

    The web framework's own threads are left to routes that answer at once, so that these never wait for slow work, and
    no kind of slow work waits for another kind.
    """

    def __init__(self) -> None:
        self._drawing = anyio.CapacityLimiter(DRAWING_THREADS)
        self._computing = anyio.CapacityLimiter(COMPUTING_THREADS)
        self._measuring = anyio.CapacityLimiter(1)

    async def draw(self, work: Callable[[], T]) -> T:
        """For pictures of the screen."""
        return await anyio.to_thread.run_sync(work, limiter=self._drawing)

    async def compute(self, work: Callable[[], T]) -> T:
        """For whatever takes up to seconds and is not a job of its own."""
        return await anyio.to_thread.run_sync(work, limiter=self._computing)

    async def measure(self, work: Callable[[], T], is_wanted: Callable[[], Awaitable[bool]]) -> T | None:
        """For measurements, one at a time; None if the answer is no longer wanted when its turn comes."""
        async with self._measuring:
            return await anyio.to_thread.run_sync(work) if await is_wanted() else None
