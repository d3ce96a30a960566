"""The route that limits a slider to a region of the picture."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from latent_editor.core.region import REGION_PX, Region
from latent_editor.editing.face_parts import face_part
from latent_editor.sessions.basis import SAME_FACE
from latent_editor.sessions.session import Session
from latent_editor.ui.api.requests import ServiceOf, SessionOf, WorkersOf
from latent_editor.ui.api.strokes import MAX_STROKES, Stroke, stroke_mask
from latent_editor.ui.api.updates import update_view
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")


class RegionRequest(BaseModel, extra="forbid"):
    """Where a slider acts: in a part of the face, where strokes are painted, or everywhere if neither is given."""

    key: str = Field(max_length=80)
    part: str | None = None
    strokes: list[Stroke] = Field(default_factory=list, max_length=MAX_STROKES)


@router.post("/s/{session_id}/place")
async def limit_to_region(
    session: SessionOf, request: RegionRequest, service: ServiceOf, workers: WorkersOf
) -> dict[str, Any]:
    """Limits a slider to a region, as one entry of the history."""

    def work() -> dict[str, Any]:
        region = _region(service, session, request)
        return update_view(service.store, session, lambda s: s.limited_to_region(request.key, region), SAME_FACE)

    return await workers.compute(work)


def _region(service: ModelService, session: Session, request: RegionRequest) -> Region | None:
    """Raises BadValue for an unknown part or an empty region, UnknownDirection for an unknown slider."""
    session.slider(request.key)
    latent = service.latent(session)
    if request.strokes:
        mask = stroke_mask(request.strokes, (REGION_PX, REGION_PX))
        assert mask is not None
        return Region.of(mask)
    if request.part is None:
        return None
    part = request.part
    return service.on_gpu(lambda: face_part(service.g, latent, part))()
