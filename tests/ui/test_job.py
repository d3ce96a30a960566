"""The frame of all jobs: one run each, progress, stop, and one final answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import BaseModel
from support.web import service_of, small_generator

from latent_editor.core.errors import BadValue
from latent_editor.core.values import OnStep, Step
from latent_editor.sessions.session import Session
from latent_editor.ui.jobs import job
from latent_editor.ui.jobs.job import Answer, Job, LiveJob, Run, checked, run_job
from latent_editor.ui.service.model_service import ModelService

STEPS = 5


@dataclass(frozen=True)
class CountJob(Job[str]):
    """Counts its steps; calls ``each`` before every one."""

    each: Callable[[int], None] = lambda i: None
    with_latents: bool = True
    stops: bool = True
    ended: threading.Event = field(default_factory=threading.Event)

    def prepare(self, run: Run) -> Callable[[OnStep], str]:
        def count(on_step: OnStep) -> str:
            try:
                for i in range(STEPS):
                    self.each(i)
                    ws = torch.full((2, 3), float(i)) if self.with_latents else None
                    if on_step(Step(i, STEPS, i / 10, i / STEPS, ws=ws, label=f"step {i}")):
                        return "closed"
                return "counted"
            finally:
                self.ended.set()

        return count

    def result_so_far(self, run: Run, step: Step) -> str | None:
        return f"stopped at {step.step}" if self.stops else None

    def finish(self, run: Run, result: str) -> Answer:
        run.update(lambda session: session)
        return {"result": result}


class CountLiveJob(CountJob, LiveJob[str]):
    """The same with pictures."""

    first_answer = LiveJob.first_answer
    progress = LiveJob.progress
    is_due = LiveJob.is_due


@pytest.fixture
def service() -> ModelService:
    return service_of(small_generator())


@pytest.fixture
def session(service: ModelService) -> Session:
    return service.store.update(service.store.create().id, lambda s: s.started_with(service.random(1)))


def answers(service: ModelService, session: Session, count: Job[str]) -> list[Answer]:
    return list(run_job(service, session.id, "count", lambda: count))


@pytest.mark.usefixtures("every_step")
def test_progress_then_the_result(service: ModelService, session: Session) -> None:
    first, *progress, last = answers(service, session, CountJob())
    assert first == {"fraction": None, "seconds": 0.0, "label": ""}
    assert progress == [{"fraction": i / STEPS, "seconds": i / 10, "label": f"step {i}"} for i in range(STEPS)]
    assert last == {"result": "counted"}
    assert service.store.get(session.id).run == session.run + 1


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize(
    ("options", "result"),
    [({}, "stopped at 3"), ({"stops": False}, "counted"), ({"with_latents": False}, "counted")],
)
def test_stop_keeps_the_best_result_if_the_job_has_one(
    service: ModelService, session: Session, options: dict[str, Any], result: str
) -> None:
    def stop(i: int) -> None:
        if i == 3:
            service.store.update(session.id, Session.run_stopping)

    count = CountJob(stop, **options)
    assert answers(service, session, count)[-1] == {"result": result}
    assert count.ended.wait(20)


def test_an_earlier_stop_does_not_end_the_next_job(service: ModelService, session: Session) -> None:
    service.store.update(session.id, Session.run_stopping)
    assert answers(service, session, CountJob())[-1] == {"result": "counted"}


@pytest.mark.usefixtures("every_step")
def test_a_page_that_leaves_ends_the_computation(service: ModelService, session: Session) -> None:
    count = CountJob()
    stream = run_job(service, session.id, "count", lambda: count)
    next(stream)
    next(stream)
    assert not count.ended.is_set()
    stream.close()  # type: ignore[attr-defined]
    assert count.ended.wait(20)


def test_a_malformed_request_does_not_end_the_running_job(service: ModelService, session: Session) -> None:
    class Request(BaseModel, extra="forbid"):
        name: str

    for request in ({}, {"name": 3}, {"name": "a", "other": 1}, None, [], "name"):
        (answer,) = run_job(service, session.id, "count", lambda r=request: checked(Request, r))  # type: ignore[misc]
        assert answer["error"]["kind"] == "BadValue"
        assert answer["error"]["todo"]
    assert service.store.get(session.id).run == session.run


@pytest.mark.usefixtures("every_step")
@pytest.mark.parametrize("error", [BadValue("Too few. Take more."), RuntimeError("/secret/path")])
def test_an_error_is_the_last_answer(
    service: ModelService, session: Session, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(i: int) -> None:
        if i == 2:
            raise error

    with caplog.at_level(logging.INFO):
        *_, last = answers(service, session, CountJob(fail))
    assert last["error"]["kind"] == ("BadValue" if isinstance(error, BadValue) else "unexpected")
    assert "secret" not in str(last)
    assert str(error) in caplog.text
    assert service.store.get(session.id).latent is session.latent


def test_pictures_are_sent_at_a_limited_rate(
    service: ModelService, session: Session, monkeypatch: pytest.MonkeyPatch, every_step: None
) -> None:
    clock = iter(x / 100 for x in range(1000, 100_000))  # advances by 10 ms with each reading
    monkeypatch.setattr(job, "MIN_GAP_S", 0.025)
    monkeypatch.setattr(job, "monotonic", lambda: next(clock))
    *progress, last = answers(service, session, CountLiveJob())
    assert last == {"result": "counted"}
    assert [set(p) for p in progress] == [{"fraction", "seconds", "image"}] * len(progress)
    assert 1 <= len(progress) < STEPS


def test_jobs_have_no_routes() -> None:
    for path in Path(job.__file__).parent.glob("*.py"):
        assert "fastapi" not in path.read_text(encoding="utf-8"), f"{path.name}: routes belong in ui/api"
