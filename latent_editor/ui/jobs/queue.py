"""Runs the events of all visitors one at a time, each as soon as its model is loaded."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import anyio.to_thread

from latent_editor.ui.jobs.job import Answer, error_answer
from latent_editor.ui.service.model_registry import ModelRegistry


class JobQueue:
    """Gives events their turn: each uses all cores, so one runs at a time.

    An event takes its turn only when its model is loaded. Until then it holds neither a thread nor a place in front of
    the events of other visitors.

    Args:
        registry: The sessions and their models.
    """

    def __init__(self, registry: ModelRegistry) -> None:
        self._registry = registry
        self._turn = asyncio.Lock()  # fair: first come, first served
        self._thread = anyio.CapacityLimiter(1)

    def queued(self, event: Callable[..., Any]) -> Callable[..., Any]:
        """The asynchronous version of an event, which waits for its model and then for its turn.

        Args:
            event: Takes the session id first. Returns an answer, or yields several of them.

        Returns:
            A coroutine function or an asynchronous generator function with the same signature.
        """
        return self._queued_stream(event) if inspect.isgeneratorfunction(event) else self._queued_call(event)

    def _queued_call(self, event: Callable[..., Answer]) -> Callable[..., Any]:
        @functools.wraps(event)
        async def call(session_id: str, *arguments: Any) -> Answer:
            try:
                async with self._turn_of(session_id):
                    work = functools.partial(event, session_id, *arguments)
                    return await anyio.to_thread.run_sync(work, limiter=self._thread)
            except Exception as e:  # events report their own errors, so this one comes from the wait for the model
                return error_answer(event.__name__, e)

        return call

    def _queued_stream(self, event: Callable[..., Iterator[Answer]]) -> Callable[..., Any]:
        @functools.wraps(event)
        async def stream(session_id: str, *arguments: Any) -> AsyncIterator[Answer]:
            try:
                async with self._turn_of(session_id):
                    answers = event(session_id, *arguments)
                    try:
                        async for answer in self._iterated(answers):
                            yield answer
                    finally:  # also if the visitor leaves
                        answers.close()  # type: ignore[attr-defined]
            except Exception as e:
                yield error_answer(event.__name__, e)

        return stream

    async def _iterated(self, answers: Iterator[Answer]) -> AsyncIterator[Answer]:
        while True:
            answer = await anyio.to_thread.run_sync(next, answers, None, limiter=self._thread)
            if answer is None:
                return
            yield answer

    @contextlib.asynccontextmanager
    async def _turn_of(self, session_id: str) -> AsyncIterator[None]:
        """Waits until the session's model is loaded and it is this event's turn.

        Raises:
            SessionExpired, UnknownModel: see :meth:`ModelRegistry.wait_for_service`.
        """
        registry = self._registry
        while True:
            await registry.wait_for_service(registry.store.get(session_id))
            async with self._turn:
                # While it waited for its turn, the visitor may have switched, or the model been unloaded.
                if registry.is_loaded(registry.store.get(session_id)):
                    yield
                    return
