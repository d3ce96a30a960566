"""The routes of edits in a part of the picture, and of what is taken from another face."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from latent_editor.face_parts import face_part
from latent_editor.regions import REGION_PX, Region
from latent_editor.sessions import Session, Slider
from latent_editor.taking import take
from latent_editor.types import Edit
from latent_editor.ui.examples import added_to, other_face
from latent_editor.ui.requests import SessionOf, StudioOf
from latent_editor.ui.strokes import MOST_STROKES, Stroke, painted
from latent_editor.ui.studio import Studio
from latent_editor.ui.views import session_view

router = APIRouter(prefix="/editor")


class Place(BaseModel, extra="forbid"):
    """Where a slider acts: a part of the face, strokes, or everywhere where neither is given."""

    key: str = Field(max_length=80)
    part: str | None = None
    strokes: list[Stroke] = Field(default_factory=list, max_length=MOST_STROKES)


@router.post("/s/{session_id}/place")
def place(session: SessionOf, place: Place, studio: StudioOf) -> dict[str, Any]:
    """Lets a slider act in a region only, as one entry of the history."""
    region = _region(studio, session, place)
    return session_view(studio.store.update_same(session, lambda s: s.placed_in(place.key, region)))


def _region(studio: Studio, session: Session, place: Place) -> Region | None:
    """Raises BadValue for a part that there is not, or an empty region."""
    session.slider(place.key)
    latent = studio.latent(session)
    if place.strokes:
        mask = painted(place.strokes, (REGION_PX, REGION_PX))
        assert mask is not None
        return Region.of(mask)
    if place.part is None:
        return None
    part = place.part
    return studio.on_gpu(lambda: face_part(studio.g, latent, part))()


class Taking(BaseModel, extra="forbid"):
    """What to take, and of whom: the key of a face that was brought as an example, or the seed of a random one."""

    part: str = Field(max_length=40)
    key: str = ""
    seed: int | None = Field(default=None, ge=0, lt=2**31)


@router.post("/s/{session_id}/take")
def take_part(session: SessionOf, taking: Taking, studio: StudioOf) -> dict[str, Any]:
    """Takes a part of another face, as a slider from 0 to 1 that stands at 1."""
    latent = studio.latent(session)
    other, name = other_face(studio, session, taking.key, taking.seed)

    def work() -> Edit:
        return take(studio.g, latent, other.latent, taking.part, photo=other.crop, name=(name or "")[:40])

    edit: Edit = studio.on_gpu(work)()
    return session_view(added_to(studio, session, latent, lambda n: Slider(f"p{n}", edit)))
