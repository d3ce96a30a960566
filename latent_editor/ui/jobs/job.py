"""The frame of every long-running job of the page.

A job checks its request against the session, begins a run, streams progress, ends early on request, and gives one final
answer: its result, or an error. Starting another run, opening another face and Cancel supersede it; its result is then
dropped.
"""

from __future__ import annotations

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from latent_editor.core.errors import BadValue, LatentEditorError
from latent_editor.core.values import OnStep, Step
from latent_editor.media.exports import jpeg_bytes
from latent_editor.rendering import to_image
from latent_editor.sessions.basis import SAME_RUN
from latent_editor.sessions.session import Session
from latent_editor.sessions.store import SessionStore
from latent_editor.ui.api.requests import data_url
from latent_editor.ui.api.views import error_view, session_view
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.streaming import stream

log = logging.getLogger(__name__)
R = TypeVar("R")
M = TypeVar("M", bound=BaseModel)

Answer = dict[str, Any]
#: At more pictures a second a page would spend its time decoding them.
MIN_GAP_S = 0.08


class Models(Protocol):
    """What jobs need of a registry; a single service will do."""

    @property
    def store(self) -> SessionStore: ...

    def service_of(self, session: Session) -> ModelService: ...


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a job: the session as it was when the run began, and the service of its model."""

    session: Session
    service: ModelService

    @staticmethod
    def begin(models: Models, session_id: str) -> Run:
        session = models.store.update(session_id, Session.run_started)
        return Run(session, models.service_of(session))

    def present(self) -> Session:
        """The session as it is now. Raises Superseded if the run is no longer its newest."""
        now = self.service.store.get(self.session.id)
        SAME_RUN.check(self.session, now)
        return now

    def update(self, change: Callable[[Session], Session]) -> Answer:
        """Applies a result; returns the session as the final answer. Raises Superseded."""
        return {"session": session_view(self.service.store.update_if(self.session, change, SAME_RUN))}


class Job(ABC, Generic[R]):
    """One job with its request. A subclass states what it computes and what becomes of the result ``R``."""

    @abstractmethod
    def prepare(self, run: Run) -> Callable[[OnStep], R]:
        """Checks the request against the session; returns the computation. Raises typed errors for bad requests."""

    @abstractmethod
    def finish(self, run: Run, result: R) -> Answer:
        """Stores the result; returns the final answer. Raises Superseded."""

    def result_so_far(self, run: Run, step: Step) -> R | None:
        """The result if the visitor stops after ``step``, which has a latent; None if the job cannot end early."""
        return None

    def first_answer(self) -> Answer | None:
        """Sent before the first step."""
        return {"fraction": None, "seconds": 0.0, "label": ""}

    def progress(self, step: Step) -> Answer | None:
        """The answer for a step; None skips it."""
        return {"fraction": round(step.fraction, 3), "seconds": round(step.seconds, 1), "label": step.label}

    def is_due(self, elapsed_s: float) -> bool:
        """Whether to send progress so long after the last one."""
        return True


class LiveJob(Job[R]):
    """A job whose progress shows pictures."""

    def first_answer(self) -> Answer | None:
        return None

    def progress(self, step: Step) -> Answer | None:
        return {
            "fraction": round(step.fraction, 3),
            "seconds": round(step.seconds, 1),
            "image": None if step.image is None else data_url(jpeg_bytes(to_image(step.image))),
        }

    def is_due(self, elapsed_s: float) -> bool:
        return elapsed_s >= MIN_GAP_S


def run_job(models: Models, session_id: str, name: str, create: Callable[[], Job[R]]) -> Iterator[Answer]:
    """Runs a job; yields its progress, then its final answer or its error.

    Args:
        models: The registry.
        session_id: Whose job it is.
        name: For the log.
        create: Builds the job, and raises if the request is malformed.
    """

    def answers() -> Iterator[Answer]:
        job = create()
        yield from _answers(job, Run.begin(models, session_id))

    return _with_errors(name, answers)


def answer_once(name: str, work: Callable[[], Answer]) -> Answer:
    """The single answer of a short event, or its error."""
    return next(_with_errors(name, lambda: iter([work()])))


def _answers(job: Job[R], run: Run) -> Iterator[Answer]:
    computation = job.prepare(run)
    first = job.first_answer()
    if first is not None:
        yield first
    best: Step | None = None
    sent_s = 0.0
    with contextlib.closing(_steps(run, computation)) as steps:
        for item in steps:
            now = run.present()
            if not isinstance(item, Step):
                yield job.finish(run, item)
                return
            best = item if item.ws is not None else best
            result = job.result_so_far(run, best) if now.stopping and best is not None else None
            if result is not None:
                yield job.finish(run, result)
                return
            if job.is_due(monotonic() - sent_s):
                progress = job.progress(item)
                if progress is not None:
                    sent_s = monotonic()
                    yield progress


def _steps(run: Run, computation: Callable[[OnStep], R]) -> Any:
    """The newest steps, then the result, as a generator. Closing it stops the computation."""

    def steps() -> Iterator[Step | R]:
        yield from stream(computation)

    return run.service.on_gpu(steps)()


def _with_errors(name: str, answers: Callable[[], Iterator[Answer]]) -> Iterator[Answer]:
    try:
        yield from answers()
    except Exception as e:
        yield error_answer(name, e)


def error_answer(name: str, error: Exception) -> Answer:
    """The final answer of a job that failed; logs the error."""
    if isinstance(error, LatentEditorError):
        log.info("%s: %s", name, error)
    else:
        log.error("%s failed", name, exc_info=error)
    return {"error": error_view(error)}


def checked(kind: type[M], request: Any) -> M:
    """Parses a request. Raises BadValue if it is malformed."""
    try:
        return kind.model_validate(request)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:3]) or "body"
        raise BadValue(f"The request's {where} is invalid: {first['msg']}. Change it and try again.") from e
