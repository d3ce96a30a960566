"""Fixtures of the page: a served app with a tiny model, and a browser."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, sync_playwright
from support import browsing
from support.web import served, service_of, small_generator

from latent_editor.core.errors import UnknownModel
from latent_editor.core.values import Direction, Directions, OnStep, Step
from latent_editor.generators import Generator
from latent_editor.models.bundle import Bundle
from latent_editor.ui.jobs import job
from latent_editor.ui.service import background
from latent_editor.ui.service.model_listing import ModelEntry
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.model_service import ModelService

#: The longest that slow work waits, so that a test that fails does not hang.
GATE_TIMEOUT_S = 30.0


@pytest.fixture(scope="module")
def service() -> ModelService:
    """The service of a tiny model with five directions."""
    g = small_generator()
    names = ["age", "smile", "light", "hair", "turn"]
    return service_of(g, [Direction(n, torch.randn(g.num_ws, g.w_dim) * 3, score=0.1) for n in names])


@pytest.fixture(scope="module")
def client(service: ModelService) -> Iterator[TestClient]:
    with served(service) as client:
        yield client


@pytest.fixture
def path(client: TestClient) -> str:
    """A new session with a random face."""
    path = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
    assert client.post(f"{path}/random?seed=1").json()["ready"]
    return path


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """What slow work waits for; open at the end of the test, so that no thread stays behind."""
    gate = threading.Event()
    yield gate
    gate.set()


@pytest.fixture
def registry(gate: threading.Event, monkeypatch: pytest.MonkeyPatch) -> ModelRegistry:
    """A tiny model, one that is loaded only when the gate opens, and one that cannot be loaded."""
    monkeypatch.setattr(background, "prepared", lambda g: True)
    monkeypatch.setattr("latent_editor.ui.service.model_service.prepared", lambda g: True)
    monkeypatch.setattr(background, "named_directions", lambda g, **_: Directions())

    def load(model: str | Path) -> Generator:
        if model == "lost":
            raise UnknownModel("The model is gone. Choose another one.")
        assert gate.wait(GATE_TIMEOUT_S)
        g = small_generator()
        g.bundle = Bundle(str(model))
        return g

    g = small_generator()
    service = service_of(g, [Direction("age", torch.ones(g.num_ws, g.w_dim))])
    entries = [ModelEntry(name, name, path=name) for name in ("slow", "lost")]
    return ModelRegistry(service, load=load, listed=lambda: entries)


@pytest.fixture(scope="session")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app with the embedded model, started as a user starts it, on a free port."""
    with browsing.running_app(tmp_path_factory.mktemp("app")) as address:
        yield address


@pytest.fixture(scope="module")  # no longer: Playwright keeps an event loop running, in which no other can be started
def browser(chromium: Path) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(chromium), args=browsing.FLAGS)
        yield browser
        browser.close()


def lockstep(algorithm: Callable[[OnStep], Any]) -> Iterator[Any]:
    """A stand-in for :func:`stream` in which the algorithm waits for its reader, so that no step is skipped."""
    items: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    resume, closed = threading.Semaphore(0), threading.Event()

    def on_step(step: Step) -> bool:
        items.put(("step", step))
        assert resume.acquire(timeout=20)
        return closed.is_set()

    def work() -> None:
        try:
            items.put(("result", algorithm(on_step)))
        except Exception as e:
            items.put(("error", e))

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            kind, item = items.get(timeout=20)
            if kind == "error":
                raise item
            yield item
            if kind == "result":
                return
            resume.release()
    finally:
        closed.set()
        resume.release()


@pytest.fixture
def every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs see every step of their algorithm and report each of them."""
    monkeypatch.setattr(job, "stream", lockstep)
    monkeypatch.setattr(job, "MIN_GAP_S", 0.0)
