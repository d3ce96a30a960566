"""No route waits behind slow work of another kind: models being loaded, pictures being drawn, uploads being read."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import httpx
import pytest
import torch
from support.web import small_generator

from latent_editor.core.errors import BadModel, BadValue, UnknownModel
from latent_editor.core.values import Direction, Directions
from latent_editor.sessions.session import Session
from latent_editor.ui.api import picture_routes, session_routes
from latent_editor.ui.api.views import about_view
from latent_editor.ui.app import create_app
from latent_editor.ui.service import model_registry
from latent_editor.ui.service.background import BackgroundTask, wait_until_done
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.similarity_cache import SimilarityCache
from latent_editor.ui.service.workers import Workers

#: More than the threads of the web framework (40) and of every kind of work.
CROWD = 100
TIMEOUT_S = 60.0


def visitors(registry: ModelRegistry, count: int, model: str = "") -> list[str]:
    face = registry.default_service.random(1)

    def ready(session: Session) -> Session:
        return session.started_with(face).switched(model or registry.default).started_with(face)

    return [f"/editor/s/{registry.store.update(registry.store.create().id, ready).id}" for _ in range(count)]


Requests = Callable[[httpx.AsyncClient], list[Awaitable[httpx.Response]]]


def statuses_while_blocked(
    registry: ModelRegistry, gate: threading.Event, slow: Requests, quick: Requests
) -> list[int]:
    """Sends slow requests, which wait for the gate, then quick ones; returns the statuses of the quick ones.

    The gate opens when all quick ones are answered, which they cannot be if they need it.
    """

    async def main() -> list[int]:
        transport = httpx.ASGITransport(app=create_app(registry, warm_up=False), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test", timeout=None) as client:
            blocked = [asyncio.ensure_future(request) for request in slow(client)]
            for _ in range(300):  # lets them take every thread that they can take
                await asyncio.sleep(0.001)
            answers = await asyncio.wait_for(asyncio.gather(*quick(client)), TIMEOUT_S)
            assert not any(request.done() for request in blocked)
            gate.set()
            await asyncio.gather(*blocked)
            return [answer.status_code for answer in answers]

    return asyncio.run(main())


def test_visitors_who_wait_for_a_model_delay_nobody(registry: ModelRegistry, gate: threading.Event) -> None:
    registry.store.capacity = 2 * CROWD
    waiting, (other,) = visitors(registry, CROWD, "slow"), visitors(registry, 1)
    statuses = statuses_while_blocked(
        registry,
        gate,
        lambda client: [client.post(f"{path}/frame", json={}) for path in waiting],
        lambda client: [
            client.get(other),
            client.get(waiting[0]),
            client.post(f"{other}/frame", json={}),
            client.post(f"{other}/change", json={"do": "undo"}),
            client.post(f"{other}/model", json={"model": "slow"}),  # "reading", not an answer that waits
        ],
    )
    assert statuses == [200] * 5


def test_a_model_that_takes_too_long_is_reported(
    registry: ModelRegistry, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_registry, "LOADING_S", 0.01)
    (path,) = visitors(registry, 1, "slow")
    session = registry.store.get(path.rsplit("/", 1)[1])
    with pytest.raises(UnknownModel, match="still being loaded"):
        asyncio.run(registry.wait_for_service(session))
    gate.set()
    monkeypatch.setattr(model_registry, "LOADING_S", TIMEOUT_S)
    assert asyncio.run(registry.wait_for_service(session)).g.name == "slow"


#: What is blocked for each kind of slow work, and the request that needs it.
KINDS: dict[str, tuple[Any, str, Callable[[httpx.AsyncClient, str], Awaitable[httpx.Response]]]] = {
    "drawing": (picture_routes, "requested_frame", lambda client, path: client.post(f"{path}/frame", json={})),
    "uploads": (session_routes, "open_upload", lambda client, path: client.post(f"{path}/photo", content=b"photo")),
    "measuring": (SimilarityCache, "similarity", lambda client, path: client.get(f"{path}/likeness")),
}


@pytest.mark.parametrize("kind", KINDS)
def test_slow_work_of_one_kind_delays_no_other(
    kind: str, registry: ModelRegistry, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: object) -> bytes:
        assert gate.wait(TIMEOUT_S)
        raise BadValue("It was blocked. Try again.")

    module, function, request = KINDS[kind]
    monkeypatch.setattr(module, function, blocked)
    monkeypatch.setattr(SimilarityCache, "is_ready", lambda self: True)
    (path,) = visitors(registry, 1)

    def quick(client: httpx.AsyncClient) -> list[Awaitable[httpx.Response]]:
        requests = [client.get(path), client.post(f"{path}/stop"), client.get(f"{path}/models")]
        if kind != "drawing":
            requests.append(client.get(f"{path}/unedited.jpg"))
        if kind != "uploads":
            requests.append(client.post(f"{path}/crop", json={"box": [0, 0, 5]}))  # there is no photo: 422
        return list(requests)

    def slow(client: httpx.AsyncClient) -> list[Awaitable[httpx.Response]]:
        return [request(client, path) for _ in range(CROWD)]

    statuses = statuses_while_blocked(registry, gate, slow, quick)
    assert statuses[:3] == [200] * 3
    assert set(statuses[3:]) <= {200, 422}


def test_measurements_that_nobody_waits_for_are_skipped() -> None:
    async def main() -> tuple[list[int | None], list[int]]:
        workers, done, begun, resume = Workers(), [], asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        def measure(i: int) -> int:
            loop.call_soon_threadsafe(begun.set)
            assert resume.wait(TIMEOUT_S)
            done.append(i)
            return i

        async def is_wanted(i: int) -> bool:
            return i != 1

        tasks = [asyncio.create_task(workers.measure(partial(measure, i), partial(is_wanted, i))) for i in range(3)]
        await begun.wait()
        resume.set()
        return list(await asyncio.gather(*tasks)), done

    assert asyncio.run(main()) == ([0, None, 2], [0, 2])


class TestBackgroundTask:
    def test_a_failure_is_raised_once_and_the_next_poll_tries_again(self) -> None:
        attempts: list[int] = []

        def work() -> str:
            attempts.append(1)
            if len(attempts) < 3:
                raise BadModel("Broken. Get it again.")
            return "value"

        task = BackgroundTask(work, "test")
        for _ in range(2):
            with pytest.raises(BadModel):
                task.start().result(TIMEOUT_S)
            with pytest.raises(BadModel):
                task.poll()
            assert not task.running
        task.start().result(TIMEOUT_S)
        assert task.poll() == task.value == "value"
        assert len(attempts) == 3

    def test_it_runs_once_however_many_ask(self, gate: threading.Event) -> None:
        attempts: list[int] = []

        def work() -> int:
            attempts.append(1)
            assert gate.wait(TIMEOUT_S)
            return 5

        task = BackgroundTask(work, "test")
        assert [task.poll() for _ in range(9)] == [None] * 9
        assert task.running
        gate.set()
        assert task.start().result(TIMEOUT_S) == task.poll() == 5
        assert len(attempts) == 1

    def test_directions_that_could_not_be_found_are_reported_and_found_later(self) -> None:
        g, failures = small_generator(), [BadModel("The file of directions is damaged. Delete it.")]

        def find() -> Directions:
            if failures:
                raise failures.pop()
            return Directions([Direction("age", torch.ones(g.num_ws, g.w_dim))])

        service = ModelService(g, BackgroundTask(find, "directions"))
        with pytest.raises(BadModel):
            service.directions_task.start().result(TIMEOUT_S)
        failed = about_view(service)
        assert (failed["directions"], failed["finding"]) == ([], False)
        assert failed["directions_problem"]["todo"] == "Delete it."
        again = about_view(service)
        assert (again["finding"], again["directions_problem"]) == (True, None) or again["directions"]
        service.directions_task.start().result(TIMEOUT_S)
        assert [d["name"] for d in about_view(service)["directions"]] == ["age"]


def test_waiting_leaves_the_future_as_it_is() -> None:
    async def main() -> None:
        future: Future[int] = Future()
        assert not await wait_until_done(future, 0.01)
        assert not future.cancelled()
        threading.Thread(target=future.set_exception, args=(BadModel("Broken."),)).start()
        assert await wait_until_done(future, TIMEOUT_S)
        assert isinstance(future.exception(), BadModel)

    asyncio.run(main())
