"""The queue of jobs: one at a time, and none that waits for its model holds up another."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from support.web import served

from latent_editor.sessions.session import Session
from latent_editor.ui.jobs.job import Answer
from latent_editor.ui.jobs.queue import JobQueue
from latent_editor.ui.jobs.text_slider import describe_event
from latent_editor.ui.jobs.video import video_event
from latent_editor.ui.page import MAX_WAITING
from latent_editor.ui.service import model_registry
from latent_editor.ui.service.model_registry import ModelRegistry

TIMEOUT_S = 30.0
#: As many visitors as gradio lets wait, less the one who must not.
WAITING = MAX_WAITING - 1


def visitor(registry: ModelRegistry, model: str = "") -> str:
    """The id of a session with a face."""
    face = registry.default_service.random(1)

    def ready(session: Session) -> Session:
        return session.started_with(face).switched(model or registry.default).started_with(face)

    return registry.store.update(registry.store.create().id, ready).id


def begin(client: TestClient, event: str, *data: Any) -> Callable[[], Answer]:
    """Calls a gradio event; the function returned waits for its last answer."""
    event_id = client.post(f"/gradio_api/call/{event}", json={"data": data}).json()["event_id"]

    def last_answer() -> Answer:
        lines = client.get(f"/gradio_api/call/{event}/{event_id}").text.splitlines()
        answers = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: [")]
        answer: Answer = answers[-1][0]
        return answer

    return last_answer


@pytest.mark.parametrize("event", ["film", "describe"])
def test_jobs_that_wait_for_a_model_delay_nobody(event: str, registry: ModelRegistry, gate: threading.Event) -> None:
    request = {"film": {"keys": [9999]}, "describe": ""}[event]  # refused, but only once the model is there
    with served(registry) as client, ThreadPoolExecutor() as pool:
        waiting = [begin(client, event, visitor(registry, "slow"), request) for _ in range(WAITING)]
        quick = pool.submit(begin(client, event, visitor(registry), request))
        try:
            assert quick.result(TIMEOUT_S / 2)["error"]["kind"]
            assert not gate.is_set()
        finally:
            gate.set()
        assert all(answer()["error"]["kind"] == quick.result()["error"]["kind"] for answer in waiting)


@pytest.mark.parametrize(("model", "seconds", "problem"), [("slow", 0.01, "still being loaded"), ("lost", 9.0, "gone")])
@pytest.mark.parametrize("event", [describe_event, video_event])
def test_a_model_that_does_not_arrive_is_the_answer(
    event: Callable[..., Any],
    model: str,
    seconds: float,
    problem: str,
    registry: ModelRegistry,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(model_registry, "LOADING_S", seconds)
    (answer,) = asyncio.run(answers_of(JobQueue(registry).queued(event(registry)), visitor(registry, model), {}))
    assert answer["error"]["kind"] == "UnknownModel"
    assert problem in answer["error"]["what"]


async def answers_of(event: Callable[..., Any], *arguments: Any) -> list[Answer]:
    if inspect.isasyncgenfunction(event):
        return [answer async for answer in event(*arguments)]
    return [await event(*arguments)]


class Counting:
    """Two events that note how many of them run at a time."""

    def __init__(self) -> None:
        self.running, self.most, self.order = 0, 0, list[int]()

    def _enter(self, number: int) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.order.append(number)

    def stream(self, session_id: str, number: int) -> Iterator[Answer]:
        """Three answers."""
        self._enter(number)
        try:
            for i in range(3):
                yield {"number": number, "answer": i}
        finally:
            self.running -= 1

    def call(self, session_id: str, number: int) -> Answer:
        """One answer."""
        self._enter(number)
        self.running -= 1
        return {"number": number, "answer": 0}


def test_jobs_run_one_at_a_time_in_the_order_in_which_they_came(registry: ModelRegistry) -> None:
    counting, session_id = Counting(), visitor(registry)

    async def main() -> list[list[Answer]]:
        queue = JobQueue(registry)
        events = [queue.queued(counting.stream), queue.queued(counting.call)]
        return await asyncio.gather(*(answers_of(events[i % 2], session_id, i) for i in range(8)))

    answers = asyncio.run(main())
    assert answers == [[{"number": i, "answer": j} for j in range(1 if i % 2 else 3)] for i in range(8)]
    assert (counting.most, counting.running) == (1, 0)
    assert counting.order == list(range(8))


def test_a_visitor_who_leaves_gives_up_the_turn(registry: ModelRegistry) -> None:
    counting, session_id = Counting(), visitor(registry)

    async def main() -> list[Answer]:
        queue = JobQueue(registry)
        left = queue.queued(counting.stream)(session_id, 0)
        await anext(left)
        assert counting.running == 1
        await left.aclose()
        assert counting.running == 0
        return await asyncio.wait_for(answers_of(queue.queued(counting.call), session_id, 1), TIMEOUT_S)

    assert asyncio.run(main()) == [{"number": 1, "answer": 0}]


def test_a_model_switched_while_the_job_waits_for_its_turn_is_waited_for_without_holding_it(
    registry: ModelRegistry, gate: threading.Event
) -> None:
    counting, first, other = Counting(), visitor(registry), visitor(registry)

    async def main() -> list[Answer]:
        queue = JobQueue(registry)
        running = queue.queued(counting.stream)(first, 0)
        await anext(running)
        switched = asyncio.create_task(answers_of(queue.queued(counting.call), other, 1))
        await asyncio.sleep(0.05)  # it waits for its turn
        registry.store.update(other, lambda s: s.switched("slow"))
        await running.aclose()
        await asyncio.wait_for(answers_of(queue.queued(counting.call), first, 2), TIMEOUT_S)
        assert not switched.done()
        gate.set()
        return await switched

    assert asyncio.run(main()) == [{"number": 1, "answer": 0}]
    assert counting.order == [0, 2, 1]


def test_queued_events_keep_their_signature(registry: ModelRegistry) -> None:
    event = video_event(registry)
    assert inspect.signature(JobQueue(registry).queued(event)) == inspect.signature(event)
