"""The routes of edits in a part of the picture."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from latent_editor.face_parts import face_part
from latent_editor.regions import REGION_PX, Region
from latent_editor.sessions import Session
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
