"""Sliders that a visitor asks for: from descriptions, from examples, cleaned of what they change besides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from pydantic import BaseModel, Field

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, OnStep
from latent_editor.directions import disentangle_direction, fit_direction, fit_direction_from_examples
from latent_editor.sessions.session import NAME_LIMIT, Session, Slider
from latent_editor.ui.api.example_routes import example_set
from latent_editor.ui.jobs.job import Answer, Models, checked, events_of, finished, outcome
from latent_editor.ui.service.model_service import TEXT_STRENGTH, ModelService

CLEAN = ", clean"


class FitRequest(BaseModel, extra="forbid"):
    """A slider from what has it and what lacks it: two descriptions, or the keys of two piles of examples."""

    name: str = Field(default="", max_length=NAME_LIMIT)
    more: str | list[str] = Field(max_length=300)
    less: str | list[str] = Field(default="", max_length=300)


def fit_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    """The event that makes a slider from descriptions or examples."""

    def fit(session_id: str, request: dict) -> Iterator[dict]:
        """Makes a slider, {"more": "a happy person", "less": "a sad person"}; yields progress, then the session."""
        yield from events_of("fit", lambda: _fit(models, session_id, checked(FitRequest, request)))

    return fit


def _fit(models: Models, session_id: str, request: FitRequest) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    service = models.service_of(session)
    service.latent(session)  # raises where there is no face yet
    found = yield from outcome(service, session, lambda on_step: _fitted(service, session, request, on_step))
    if found is not None:
        yield finished(service, session, lambda s: s.added(Slider.of(f"f{s.next_id}", found, TEXT_STRENGTH)))


def _fitted(service: ModelService, session: Session, request: FitRequest, on_step: OnStep) -> Direction:
    if isinstance(request.more, str) and isinstance(request.less, str):
        less = request.less if request.less.strip() else None
        return fit_direction(service.g, request.more, less, name=request.name.strip() or None, on_step=on_step)
    piles = [example_set(service, session, keys) for keys in (request.more, request.less) if isinstance(keys, list)]
    if len(piles) < 2:
        raise BadValue("Got one pile of examples and one description; expected two of a kind. Choose one way.")
    name = request.name.strip() or "my examples"
    return fit_direction_from_examples(service.g, piles[0], piles[1], name=name, on_step=on_step)


def clean_event(models: Models) -> Callable[[str, str], Iterator[Answer]]:
    """The event that puts a cleaned slider in a slider's place."""

    def clean(session_id: str, key: str) -> Iterator[dict]:
        """Cleans a slider of what it changes besides its own; yields progress, then the session."""
        yield from events_of("clean", lambda: _clean(models, session_id, key))

    return clean


def _clean(models: Models, session_id: str, key: str) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    service, before = models.service_of(session), session.slider(key)
    dirty = before.edit.direction
    # Under the name that it can be measured by; then under one of its own, as key frames tell sliders apart by names.
    dirty = replace(dirty, name=dirty.name.removesuffix(CLEAN))
    found = yield from outcome(
        service, session, lambda on_step: disentangle_direction(service.g, dirty, on_step=on_step)
    )
    if found is None:
        return

    def exchange(now: Session) -> Session:
        # A key of its own, so that pictures of the uncleaned slider are not taken for this one's.
        slider = next((s for s in now.sliders if s.key == key), before)
        direction = replace(found, name=f"{found.name}{CLEAN}")
        cleaned = replace(slider, key=f"c{now.next_id}", edit=replace(slider.edit, direction=direction))
        return now.exchanged(key, cleaned, f"clean {dirty.name}")

    yield finished(service, session, exchange)
