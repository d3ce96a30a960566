"""Routes for other faces than the visitor's own: examples for new sliders, and faces to mix in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field, FiniteFloat

from latent_editor.core.values import Edit
from latent_editor.editing.style_mixing import mix_direction
from latent_editor.inversion import invert
from latent_editor.media.exports import jpeg_bytes, latent_from_bytes
from latent_editor.sessions.basis import SAME_FACE
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import NAME_LIMIT, Slider
from latent_editor.ui.api.requests import ServiceOf, SessionOf, WorkersOf, data_url, read_upload
from latent_editor.ui.api.updates import update_view
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.other_faces import OtherFace, find_other_face, keep_other_face
from latent_editor.ui.service.photo_intake import crop_all, open_upload
from latent_editor.ui.service.pictures import face_frame

router = APIRouter(prefix="/editor")

#: Side of the thumbnail of an uploaded face.
THUMBNAIL_PX = 96


class MixRequest(BaseModel, extra="forbid"):
    """The face to mix in: the key of an upload, or the seed of a random face; which layers, and how much."""

    key: str = ""
    seed: int | None = None
    layers: Literal["all", "coarse", "middle", "fine"] = "all"
    amount: FiniteFloat = Field(default=0.5, ge=-1, le=1)


@router.post("/s/{session_id}/example")
async def upload_face(session: SessionOf, request: Request, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Stores the face of a photo or a saved latent; of a photo only the crop is kept."""
    data, name = await read_upload(request)
    return await workers.compute(lambda: _store_face(service, session, data, name))


def _store_face(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    if name.endswith((".latent", ".safetensors")):
        face = OtherFace(latent_from_bytes(data, name))
        service.g.check(face.latent)
        thumbnail = face_frame(service, face.latent, size_px=THUMBNAIL_PX)
    else:
        crop = crop_all(service, open_upload(data, name))[0]
        latent = service.on_gpu(lambda: invert(service.g, crop, method="encoder"))()
        face = OtherFace(replace(latent, refinement=None), crop)  # the crop has more detail than the refinement
        thumbnail = jpeg_bytes(crop.image.resize((THUMBNAIL_PX, THUMBNAIL_PX)))
    return {"key": keep_other_face(service, session, face, name), "image": data_url(thumbnail)}


@router.post("/s/{session_id}/mix")
async def mix_in(session: SessionOf, request: MixRequest, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Adds another face as a slider, whose layers and strength can be changed later."""
    return await workers.compute(lambda: _mix(service, session, request))


def _mix(service: ModelService, session: Session, request: MixRequest) -> dict[str, Any]:
    base = service.latent(session)
    other = find_other_face(service, session, request.key, request.seed)
    name = f"mix {other.name or 'another face'}"[:NAME_LIMIT]
    direction = mix_direction(service.g, base, other.latent, "all", name=name)
    edit = Edit(direction, request.amount, service.layer_range(request.layers))

    def add(now: Session) -> Session:
        return now.added(Slider(f"m{now.next_id}", edit, request.layers))

    return update_view(service.store, session, add, SAME_FACE)
