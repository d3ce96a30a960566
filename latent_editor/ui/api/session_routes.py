"""Routes for sessions, photos and sliders.

Everything about one visitor has an address under ``/editor/s/{session id}``; the random id is the only access control.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response

from latent_editor.core.errors import BadInput, BadValue, MissingPart, NoFaceFound
from latent_editor.core.values import Crop, Photo
from latent_editor.media.exports import jpeg_bytes, latent_from_bytes
from latent_editor.sessions.basis import LATEST_REQUEST, SAME_MODEL, SAME_PHOTO
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.ui.api.requests import (
    FRESH,
    Change,
    CropRequest,
    RegistryOf,
    ServiceOf,
    SessionOf,
    VisitorOf,
    WorkersOf,
    data_url,
    jpeg,
    read_upload,
)
from latent_editor.ui.api.updates import update_view
from latent_editor.ui.api.views import error_view, session_view
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.photo_intake import crop_all, crop_like, crop_one, open_upload

PHOTO_VIEW_PX = 1024

router = APIRouter(prefix="/editor")


@router.post("/sessions")
async def create(registry: RegistryOf) -> dict[str, Any]:
    session = registry.store.create(registry.default)
    return {"id": session.id, **session_view(session)}


@router.get("/s/{session_id}")
def state(session: VisitorOf) -> JSONResponse:
    return JSONResponse(session_view(session), headers=FRESH)


# A face. Each request for another one is numbered when it arrives: the newest that succeeds wins, whichever is ready
# first. One that fails leaves the session as it was, so nothing is stored before everything is computed.


@router.post("/s/{session_id}/photo")
async def upload_photo(session: SessionOf, request: Request, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Opens a photo and finds its faces. If there is exactly one, its crop is ready to be reconstructed."""
    session = service.store.update(session.id, Session.requested)
    data, name = await read_upload(request)
    return await workers.compute(lambda: _open_photo(service, session, data, name))


def _open_photo(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    photo = open_upload(data, name)
    answer = _photo_view(photo)
    crops: list[Crop] = []
    try:
        crops = crop_all(service, photo)
        # Without face detection the center is only a proposal: the page asks for a square.
        answer |= {"by_hand": not service.shows_faces, "faces": [_crop_url(crop) for crop in crops]}
    except (NoFaceFound, MissingPart) as e:  # the photo can still be cropped by hand
        answer |= {"faces": [], "problem": error_view(e)}

    def opened(now: Session) -> Session:
        return now.opened(photo).cropped(crops[0]) if len(crops) == 1 else now.opened(photo)

    service.store.update_if(session, opened, LATEST_REQUEST)
    return answer


def _photo_view(photo: Photo) -> dict[str, Any]:
    return {"name": photo.name, "width": photo.image.width, "height": photo.image.height}


def _crop_url(crop: Crop) -> str:
    return data_url(jpeg_bytes(crop.image))


@router.post("/s/{session_id}/again")
async def reuse_photo(session: SessionOf, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    """Opens the last photo of another model, cropped to the same face, to be reconstructed with this model."""
    offered = session.offered
    if offered is None or offered.photo is None or offered.crop is None:
        raise BadValue("No photo was used with another model. Choose a photo first.")
    photo, other = offered.photo, offered.crop
    session = service.store.update(session.id, Session.requested)

    def work() -> dict[str, Any]:
        crop = crop_like(service, photo, other)
        service.store.update_if(session, lambda s: s.opened(photo).cropped(crop), LATEST_REQUEST)
        return {**_photo_view(photo), "faces": [_crop_url(crop)]}

    return await workers.compute(work)


@router.get("/s/{session_id}/draft.jpg")
def pending_photo(session: VisitorOf) -> Response:
    image = _pending_photo(session).image.copy()
    image.thumbnail((PHOTO_VIEW_PX, PHOTO_VIEW_PX))
    return jpeg(jpeg_bytes(image), FRESH)


@router.post("/s/{session_id}/crop")
async def crop(session: SessionOf, request: CropRequest, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    session = service.store.update(session.id, Session.requested)
    photo = _pending_photo(session)

    def work() -> dict[str, Any]:
        crop = crop_one(service, photo, face=request.face, box=request.box)
        service.store.update_if(session, lambda s: s.cropped(crop), SAME_PHOTO)
        return {"crop": _crop_url(crop)}

    return await workers.compute(work)


def _pending_photo(session: Session) -> Photo:
    if session.pending is None:
        raise BadValue("There is no photo to crop. Choose a photo first.")
    return session.pending.photo


@router.post("/s/{session_id}/stop")
def stop(session: VisitorOf, registry: RegistryOf) -> dict[str, Any]:
    """Ends the running job and keeps its best result."""
    return session_view(registry.store.update(session.id, Session.run_stopping))


@router.post("/s/{session_id}/cancel")
def cancel(session: VisitorOf, registry: RegistryOf, keep_photo: bool = False) -> dict[str, Any]:
    """Ends the running job without a result; the session stays as it was.

    With ``keep_photo`` the pending photo can be cropped again; otherwise it is dropped.
    """
    change = Session.run_started if keep_photo else Session.cancelled  # either supersedes the running job
    return session_view(registry.store.update(session.id, change))


@router.post("/s/{session_id}/random")
def random_face(
    session: SessionOf,
    service: ServiceOf,
    seed: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    class_index: Annotated[int | None, Query(ge=0)] = None,
) -> dict[str, Any]:
    session = service.store.update(session.id, Session.requested)
    latent, sliders = service.random(seed, class_index), service.first_sliders()
    return update_view(service.store, session, lambda s: s.started_with(latent, sliders), LATEST_REQUEST)


@router.post("/s/{session_id}/latent")
async def upload_latent(session: SessionOf, request: Request, service: ServiceOf, workers: WorkersOf) -> dict[str, Any]:
    session = service.store.update(session.id, Session.requested)
    data, name = await read_upload(request)

    def work() -> dict[str, Any]:
        latent, sliders = latent_from_bytes(data, name), service.first_sliders()
        service.g.check(latent)
        return update_view(service.store, session, lambda s: s.started_with(latent, sliders), LATEST_REQUEST)

    return await workers.compute(work)


# Sliders


@router.post("/s/{session_id}/change")
def change(session: SessionOf, change: Change, service: ServiceOf) -> dict[str, Any]:
    """Changes the panel or moves in the history."""
    return update_view(service.store, session, lambda s: changed(service, s, change), SAME_MODEL)


def changed(service: ModelService, session: Session, change: Change) -> Session:
    """Applies one change of the panel.

    Raises:
        BadValue, UnknownDirection.
    """
    key, value = change.key, change.value
    actions: dict[str, Callable[[], Session]] = {
        "add": lambda: session.added(Slider.from_direction(key, service.direction(session, key))),
        "move": lambda: session.moved(key, float(value or 0)),
        "place": lambda: session.placed(key, float(value or 0)),
        "layers": lambda: session.limited_to_layers(key, str(value), service.layer_range(str(value))),
        "mute": lambda: session.muted(key, bool(value)),
        "rename": lambda: session.renamed(key, str(value or "")),
        "pin": lambda: session.pinned(key, bool(value)),
        "remove": lambda: session.removed(key),
        "reset": session.all_reset,
        "undo": session.undone,
        "redo": session.redone,
        "goto": lambda: session.jumped_to(int(value or 0)),
    }
    if change.do not in actions:
        raise BadValue(f"Got the change {change.do[:40]!r}; expected one of: {', '.join(actions)}.")
    try:
        return actions[change.do]()
    except (TypeError, ValueError) as e:
        if isinstance(e, BadInput):
            raise
        raise BadValue(f"Got the value {str(value)[:40]!r} for {change.do!r}; expected a number.") from e
