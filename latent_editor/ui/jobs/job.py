"""What the events of long work share: progress for the page, an end when the visitor goes elsewhere, errors as answers.

Each begins with ``Session.run_started``; whoever starts another run, or cancels, makes it end at its next step.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from latent_editor.core.errors import BadValue
from latent_editor.core.values import OnStep, Step
from latent_editor.sessions.session import Session
from latent_editor.sessions.store import SessionStore
from latent_editor.ui.api.views import error_view, session_view
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.streaming import stream

log = logging.getLogger(__name__)
T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Answer = dict[str, Any]


class Models(Protocol):
    """What the events need of a registry; one service alone will do."""

    @property
    def store(self) -> SessionStore: ...

    def service_of(self, session: Session) -> ModelService: ...


def events_of(name: str, work: Callable[[], Iterator[Answer]]) -> Iterator[Answer]:
    """The answers of some work; what it raises is told as its last."""
    try:
        yield from work()
    except Exception as e:
        log.warning("%s: %r", name, e)
        yield {"error": error_view(e)}


def answer_of(name: str, work: Callable[[], Answer]) -> Answer:
    """The one answer of some work, or what it raises."""
    return next(iter(events_of(name, lambda: iter([work()]))))


def outcome(
    service: ModelService, session: Session, algorithm: Callable[[OnStep], T]
) -> Generator[Answer, None, T | None]:
    """Yields how far an algorithm is; returns what it gives, or None where the visitor went elsewhere meanwhile."""

    def work() -> Iterator[Step | T]:
        return stream(algorithm)

    yield {"fraction": None, "seconds": 0.0, "label": ""}
    for item in service.on_gpu(work)():
        if service.store.get(session.id).run != session.run:
            return None
        if not isinstance(item, Step):
            found: T = item
            return found
        yield {"fraction": round(item.fraction, 3), "seconds": round(item.seconds, 1), "label": item.label}
    return None


def finished(service: ModelService, session: Session, change: Callable[[Session], Session]) -> Answer:
    """What came of some work goes into the session, unless the visitor went elsewhere meanwhile."""
    now = service.store.update(session.id, lambda s: change(s) if s.run == session.run else s)
    return {"session": session_view(now)}


def checked(kind: type[M], request: Any) -> M:
    """What a page asks for. Raises BadValue for what is not understood."""
    try:
        return kind.model_validate(request)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"][:3]) or "whole"
        raise BadValue(f"The request's {where} is not as expected: {first['msg']}. Set it again.") from e
