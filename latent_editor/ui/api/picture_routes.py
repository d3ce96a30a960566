"""The routes that answer with pictures, small ones for the screen and whole ones to keep."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from latent_editor.core.errors import BadValue
from latent_editor.editing.edits import edited
from latent_editor.media.exports import file_name, jpeg_bytes, latent_bytes, png_bytes
from latent_editor.sessions.session import Session, edits_with
from latent_editor.ui.api.requests import (
    FRESH,
    KEEP,
    CatalogueOf,
    FrameRequest,
    SessionOf,
    StudioOf,
    VisitorOf,
    download,
    jpeg,
)
from latent_editor.ui.service.model_service import (
    EXAMPLE_PX,
    MOMENT_PX,
    MOVING_PX,
    PAIR_STRENGTHS,
    PLAY_STRENGTHS,
    SCREEN_PX,
    ModelService,
)

router = APIRouter(prefix="/editor")

# For the screen. Their addresses carry the session's revision where a browser may keep them.


@router.get("/face/{seed}.jpg")
def first_example(seed: int, registry: CatalogueOf) -> Response:
    """One of the examples of the model that the page starts with."""
    return example(seed, registry.default_studio)


@router.get("/s/{session_id}/face/{seed}.jpg")
def example(seed: int, service: StudioOf) -> Response:
    """One of the examples of the visitor's model."""
    if seed not in service.example_seeds:
        raise BadValue(f"{seed} is no example. Expected one of {', '.join(map(str, service.example_seeds))}.")
    session = Session("").begun(service.random(seed))
    return jpeg(service.frame(session, (), size_px=EXAMPLE_PX), KEEP)


@router.post("/s/{session_id}/frame")
def frame(session: SessionOf, request: FrameRequest, service: StudioOf) -> Response:
    return jpeg(wished_frame(service, session, request), {**FRESH, "X-Sequence": str(request.sequence)})


def wished_frame(service: ModelService, session: Session, wish: FrameRequest) -> bytes:
    """The picture as it is with other values than the session's, as a JPEG. Raises BadValue, BadLatent."""
    placement = session.placement.moved_all(wish.strengths)
    size_px = MOVING_PX if wish.moving else SCREEN_PX
    return service.frame(session, edits_with(session, wish.strengths), placement, size_px=size_px)


@router.get("/s/{session_id}/unedited.jpg")
def unedited(session: SessionOf, service: StudioOf) -> Response:
    return jpeg(service.frame(session, ()), KEEP)


@router.get("/s/{session_id}/crop.jpg")
def original(session: VisitorOf) -> Response:
    if session.crop is None:
        raise BadValue("This face comes from no photo. Compare with the unedited face.")
    return jpeg(jpeg_bytes(session.crop.image, quality=95), KEEP)


@router.get("/s/{session_id}/pair/{key}.jpg")
def pair(session: SessionOf, key: str, service: StudioOf) -> Response:
    """This face at −2 and at +2 of a direction."""
    return jpeg(service.row(session, key, PAIR_STRENGTHS), KEEP)


@router.get("/s/{session_id}/play/{key}.jpg")
def play(session: SessionOf, key: str, service: StudioOf) -> Response:
    """This face from −2 to +2 of a direction, a row of nine."""
    return jpeg(service.row(session, key, PLAY_STRENGTHS), KEEP)


@router.get("/s/{session_id}/moment/{entry_id}.jpg")
def entry(session: SessionOf, entry_id: int, service: StudioOf) -> Response:
    entry = session.entry(entry_id)
    edits = [s.edit for s in entry.sliders]
    return jpeg(service.frame(session, edits, entry.placement, size_px=MOMENT_PX), KEEP)


@router.get("/s/{session_id}/offer.jpg")
def offer(session: VisitorOf) -> Response:
    """The part of a photo that another model drew last."""
    if session.offered is None or session.offered.crop is None:
        raise BadValue("No photo was used with another model. Choose a photo first.")
    return jpeg(jpeg_bytes(session.offered.crop.image), KEEP)


# To keep


def _stem(session: Session) -> str:
    return session.photo.name if session.photo else "face"


@router.get("/s/{session_id}/save/picture.png")
def save_picture(session: SessionOf, service: StudioOf) -> Response:
    data = png_bytes(
        service.picture(session, session.edits, session.placement), model=service.g.name, edits=session.edits
    )
    return download(data, file_name(_stem(session), " edited.png"), "image/png")


@router.get("/s/{session_id}/save/photo.png")
def save_photo(session: SessionOf, service: StudioOf) -> Response:
    data = png_bytes(service.pasted(session), model=service.g.name, edits=session.edits, photo=session.photo)
    return download(data, file_name(_stem(session), " whole edited.png"), "image/png")


@router.get("/s/{session_id}/save/face.latent")
def save_latent(session: SessionOf, service: StudioOf) -> Response:
    """What is on the screen, as a point to start from again; the position is no part of a latent."""
    latent = edited(service.latent(session), session.edits)
    return download(latent_bytes(latent), file_name(_stem(session), ".latent"), "application/octet-stream")
