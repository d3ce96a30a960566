"""The routes that the page's script talks to for sessions, photos and sliders.

Everything about one visitor lies under ``/editor/s/{session id}``; the id is random and is the only key.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadInput, BadValue, MissingPart, NoFaceFound
from latent_editor.core.values import Photo
from latent_editor.media.exports import jpeg_bytes, latent_from_bytes
from latent_editor.sessions.session import Session, Slider
from latent_editor.ui.api.requests import (
    FRESH,
    CatalogueOf,
    Change,
    CropRequest,
    SessionOf,
    StudioOf,
    VisitorOf,
    data_address,
    jpeg,
    read_upload,
)
from latent_editor.ui.api.views import error_view, session_view
from latent_editor.ui.service.model_service import ModelService

PHOTO_VIEW_PX = 1024

router = APIRouter(prefix="/editor")


@router.post("/sessions")
def create(registry: CatalogueOf) -> dict[str, Any]:
    session = registry.store.create(registry.default)
    return {"id": session.id, **session_view(session)}


@router.get("/s/{session_id}")
def state(session: VisitorOf) -> JSONResponse:
    return JSONResponse(session_view(session), headers=FRESH)


# A face


@router.post("/s/{session_id}/photo")
async def take_photo(session: SessionOf, request: Request, service: StudioOf) -> dict[str, Any]:
    """Opens a photo and finds its faces; where there is just one, its crop is ready to be reconstructed."""
    data, name = await read_upload(request)
    return await run_in_threadpool(_take_photo, service, session, data, name)


def _take_photo(service: ModelService, session: Session, data: bytes, name: str) -> dict[str, Any]:
    photo = service.open(data, name)
    service.store.update_same(session, lambda s: s.opened(photo))
    answer = _photo_view(photo)
    try:
        crops = service.crops(photo)
    except (NoFaceFound, MissingPart) as e:  # the photo itself is good: it can still be cropped by hand
        return {**answer, "faces": [], "problem": error_view(e)}
    if len(crops) == 1:
        service.store.update_same(session, lambda s: s.cropped(crops[0]))
    # Where no faces are looked for, the middle is a proposal: the page asks for a square.
    return {**answer, "by_hand": not service.shows_faces, "faces": [data_address(jpeg_bytes(c.image)) for c in crops]}


def _photo_view(photo: Photo) -> dict[str, Any]:
    return {"name": photo.name, "width": photo.image.width, "height": photo.image.height}


@router.post("/s/{session_id}/again")
def draw_again(session: SessionOf, service: StudioOf) -> dict[str, Any]:
    """Takes the photo that another model drew last, and the same part of it, to be reconstructed with this one."""
    workspace = session.offered
    if workspace is None or workspace.photo is None or workspace.crop is None:
        raise BadValue("No photo was used with another model. Choose a photo first.")
    photo, crop = workspace.photo, service.crop_again(workspace.photo, workspace.crop)
    service.store.update_same(session, lambda s: s.opened(photo).cropped(crop))
    return {**_photo_view(photo), "faces": [data_address(jpeg_bytes(crop.image))]}


@router.get("/s/{session_id}/draft.jpg")
def pending(session: VisitorOf) -> Response:
    image = _draft_photo(session).image.copy()
    image.thumbnail((PHOTO_VIEW_PX, PHOTO_VIEW_PX))
    return jpeg(jpeg_bytes(image), FRESH)


@router.post("/s/{session_id}/crop")
def crop(session: SessionOf, request: CropRequest, service: StudioOf) -> dict[str, Any]:
    crop = service.crop(_draft_photo(session), face=request.face, box=request.box)
    service.store.update_same(session, lambda s: s.cropped(crop))
    return {"crop": data_address(jpeg_bytes(crop.image))}


def _draft_photo(session: Session) -> Photo:
    if session.pending is None:
        raise BadValue("There is no photo to crop. Choose a photo first.")
    return session.pending.photo


@router.post("/s/{session_id}/stop")
def stop(session: VisitorOf, registry: CatalogueOf) -> dict[str, Any]:
    """Ends the reconstruction under way; its best is kept."""
    return session_view(registry.store.update(session.id, Session.run_stopping))


@router.post("/s/{session_id}/cancel")
def cancel(session: VisitorOf, registry: CatalogueOf, keep_photo: bool = False) -> dict[str, Any]:
    """Ends the reconstruction under way without its result; what was there before stays.

    With ``keep_photo`` its photo can still be cropped in another way; otherwise it is forgotten.
    """
    change = Session.run_started if keep_photo else Session.cancelled  # an older run sees that it was replaced
    return session_view(registry.store.update(session.id, change))


@router.post("/s/{session_id}/random")
def surprise(
    session: SessionOf,
    service: StudioOf,
    seed: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    class_index: Annotated[int | None, Query(ge=0)] = None,
) -> dict[str, Any]:
    latent = service.random(seed, class_index)
    return session_view(service.store.update_same(session, lambda s: s.begun(latent, service.first_sliders())))


@router.post("/s/{session_id}/latent")
async def load_latent(session: SessionOf, request: Request, service: StudioOf) -> dict[str, Any]:
    data, name = await read_upload(request)
    latent = latent_from_bytes(data, name)
    service.g.check(latent)
    return session_view(service.store.update_same(session, lambda s: s.begun(latent, service.first_sliders())))


# Sliders


@router.post("/s/{session_id}/change")
def change(session: SessionOf, change: Change, service: StudioOf) -> dict[str, Any]:
    """Changes the panel or moves in the history."""
    return session_view(service.store.update_same(session, lambda s: changed(service, s, change)))


def changed(service: ModelService, session: Session, change: Change) -> Session:
    """Carries out one change of the panel.

    Raises:
        BadValue, UnknownDirection.
    """
    key, value = change.key, change.value
    actions: dict[str, Callable[[], Session]] = {
        "add": lambda: session.added(Slider.of(key, service.direction(session, key))),
        "move": lambda: session.moved(key, float(value or 0)),
        "place": lambda: session.placed(key, float(value or 0)),
        "layers": lambda: session.limited(key, str(value), service.layer_range(str(value))),
        "mute": lambda: session.muted(key, bool(value)),
        "rename": lambda: session.renamed(key, str(value or "")),
        "pin": lambda: session.pinned(key, bool(value)),
        "remove": lambda: session.removed(key),
        "reset": session.all_reset,
        "undo": session.undone,
        "redo": session.redone,
        "goto": lambda: session.gone_to(int(value or 0)),
    }
    if change.do not in actions:
        raise BadValue(f"{change.do[:40]!r} is no change of the panel. Expected one of: {', '.join(actions)}.")
    try:
        return actions[change.do]()
    except (TypeError, ValueError) as e:
        if isinstance(e, BadInput):
            raise
        raise BadValue(f"{str(value)[:40]!r} is no value for {change.do!r}. Expected a number.") from e
