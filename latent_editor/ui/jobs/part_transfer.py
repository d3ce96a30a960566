"""Edits in a part of the picture, and what is taken from another face."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from latent_editor.core.region import REGION_PX, Region
from latent_editor.core.values import Edit, OnStep
from latent_editor.editing.face_parts import face_part
from latent_editor.editing.part_transfer import transfer_part
from latent_editor.sessions.session import Session, Slider
from latent_editor.ui.api.example_routes import other_face
from latent_editor.ui.api.requests import SessionOf, StudioOf
from latent_editor.ui.api.strokes import MAX_STROKES, Stroke, painted
from latent_editor.ui.api.views import session_view
from latent_editor.ui.jobs.job import Answer, Models, checked, events_of, finished, outcome
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")


class Place(BaseModel, extra="forbid"):
    """Where a slider acts: a part of the face, strokes, or everywhere where neither is given."""

    key: str = Field(max_length=80)
    part: str | None = None
    strokes: list[Stroke] = Field(default_factory=list, max_length=MAX_STROKES)


@router.post("/s/{session_id}/place")
def place(session: SessionOf, place: Place, service: StudioOf) -> dict[str, Any]:
    """Lets a slider act in a region only, as one entry of the history."""
    region = _region(service, session, place)
    return session_view(service.store.update_same(session, lambda s: s.placed_in(place.key, region)))


def _region(service: ModelService, session: Session, place: Place) -> Region | None:
    """Raises BadValue for a part that there is not, or an empty region."""
    session.slider(place.key)
    latent = service.latent(session)
    if place.strokes:
        mask = painted(place.strokes, (REGION_PX, REGION_PX))
        assert mask is not None
        return Region.of(mask)
    if place.part is None:
        return None
    part = place.part
    return service.on_gpu(lambda: face_part(service.g, latent, part))()


class PartTransferRequest(BaseModel, extra="forbid"):
    """What to take, and of whom: the key of a face that was brought as an example, or the seed of a random one."""

    part: str = Field(max_length=40)
    key: str = ""
    seed: int | None = Field(default=None, ge=0, lt=2**31)


def part_transfer_event(models: Models) -> Callable[[str, dict], Iterator[Answer]]:
    """The event that takes a part of another face, as a slider from 0 to 1 that stands at 1."""

    def take_part(session_id: str, request: dict) -> Iterator[dict]:
        """Takes a part of another face, {"part": "mouth", "key": "…"}; yields progress, then the session."""
        yield from events_of("take", lambda: _take(models, session_id, checked(PartTransferRequest, request)))

    return take_part


def _take(models: Models, session_id: str, request: PartTransferRequest) -> Iterator[Answer]:
    session = models.store.update(session_id, Session.run_started)
    service = models.service_of(session)
    latent = service.latent(session)
    other, name = other_face(service, session, request.key, request.seed)

    def work(on_step: OnStep) -> Edit:
        called = (name or "")[:40]
        return transfer_part(
            service.g, latent, other.latent, request.part, photo=other.crop, name=called, on_step=on_step
        )

    edit = yield from outcome(service, session, work)
    if edit is not None:
        yield finished(service, session, lambda s: s.added(Slider(f"p{s.next_id}", edit)))
