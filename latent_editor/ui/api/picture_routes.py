"""Routes that answer with pictures: small ones for the screen, full-size ones to keep."""

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
    FrameRequest,
    RegistryOf,
    ServiceOf,
    SessionOf,
    VisitorOf,
    WorkersOf,
    download,
    file_stem,
    jpeg,
)
from latent_editor.ui.service import pictures
from latent_editor.ui.service.model_service import ModelService

router = APIRouter(prefix="/editor")

CROP_QUALITY = 95

# For the screen. The addresses of pictures that a browser may cache contain the session's revision.


@router.get("/face/{seed}.jpg")
async def default_example(seed: int, registry: RegistryOf, workers: WorkersOf) -> Response:
    """One of the examples of the default model."""
    return await example(seed, registry.default_service, workers)


@router.get("/s/{session_id}/face/{seed}.jpg")
async def example(seed: int, service: ServiceOf, workers: WorkersOf) -> Response:
    """One of the examples of the visitor's model."""
    if seed not in service.example_seeds:
        seeds = ", ".join(map(str, service.example_seeds))
        raise BadValue(f"Got the example {seed}; expected one of: {seeds}.")
    size_px = pictures.EXAMPLE_PX
    data = await workers.draw(lambda: pictures.face_frame(service, service.random(seed), size_px=size_px))
    return jpeg(data, KEEP)


@router.post("/s/{session_id}/frame")
async def frame(session: SessionOf, request: FrameRequest, service: ServiceOf, workers: WorkersOf) -> Response:
    data = await workers.draw(lambda: requested_frame(service, session, request))
    return jpeg(data, {**FRESH, "X-Sequence": str(request.sequence)})


def requested_frame(service: ModelService, session: Session, request: FrameRequest) -> bytes:
    """The picture with the requested strengths instead of the session's, as a JPEG. Raises BadValue, BadLatent."""
    placement = session.placement.moved_all(request.strengths)
    size_px = pictures.MOVING_PX if request.moving else pictures.SCREEN_PX
    return pictures.frame(service, session, edits_with(session, request.strengths), placement, size_px=size_px)


@router.get("/s/{session_id}/unedited.jpg")
async def unedited(session: SessionOf, service: ServiceOf, workers: WorkersOf) -> Response:
    return jpeg(await workers.draw(lambda: pictures.frame(service, session, ())), KEEP)


@router.get("/s/{session_id}/pair/{key}.jpg")
async def pair(session: SessionOf, key: str, service: ServiceOf, workers: WorkersOf) -> Response:
    """The face at −2 and +2 of a direction."""
    strengths = pictures.PAIR_STRENGTHS
    return jpeg(await workers.draw(lambda: pictures.direction_strip(service, session, key, strengths)), KEEP)


@router.get("/s/{session_id}/play/{key}.jpg")
async def play(session: SessionOf, key: str, service: ServiceOf, workers: WorkersOf) -> Response:
    """The face from −2 to +2 of a direction, in nine steps."""
    strengths = pictures.PLAY_STRENGTHS
    return jpeg(await workers.draw(lambda: pictures.direction_strip(service, session, key, strengths)), KEEP)


@router.get("/s/{session_id}/moment/{entry_id}.jpg")
async def history_entry(session: SessionOf, entry_id: int, service: ServiceOf, workers: WorkersOf) -> Response:
    entry = session.entry(entry_id)
    edits, size_px = [s.edit for s in entry.sliders], pictures.HISTORY_PX
    data = await workers.draw(lambda: pictures.frame(service, session, edits, entry.placement, size_px=size_px))
    return jpeg(data, KEEP)


@router.get("/s/{session_id}/crop.jpg")
def original(session: VisitorOf) -> Response:
    if session.crop is None:
        raise BadValue("This face comes from no photo. Compare with the unedited face.")
    return jpeg(jpeg_bytes(session.crop.image, quality=CROP_QUALITY), KEEP)


@router.get("/s/{session_id}/offer.jpg")
def offer(session: VisitorOf) -> Response:
    """The crop that another model reconstructed last."""
    if session.offered is None or session.offered.crop is None:
        raise BadValue("No photo was used with another model. Choose a photo first.")
    return jpeg(jpeg_bytes(session.offered.crop.image), KEEP)


@router.get("/s/{session_id}/damaged.jpg")
def damaged(session: VisitorOf) -> Response:
    """The crop before a repair, which the brush paints on."""
    crop = session.repair_source().crop
    assert crop is not None
    return jpeg(jpeg_bytes(crop.image, quality=CROP_QUALITY), FRESH)


# To keep


@router.get("/s/{session_id}/save/picture.png")
async def save_picture(session: SessionOf, service: ServiceOf, workers: WorkersOf) -> Response:
    def work() -> bytes:
        image = pictures.full_picture(service, session, session.edits, session.placement)
        return png_bytes(image, model=service.g.name, edits=session.edits)

    return download(await workers.compute(work), file_name(file_stem(session), " edited.png"), "image/png")


@router.get("/s/{session_id}/save/photo.png")
async def save_photo(session: SessionOf, service: ServiceOf, workers: WorkersOf) -> Response:
    def work() -> bytes:
        image = pictures.whole_photo(service, session)
        return png_bytes(image, model=service.g.name, edits=session.edits, photo=session.photo)

    return download(await workers.compute(work), file_name(file_stem(session), " whole edited.png"), "image/png")


@router.get("/s/{session_id}/save/face.latent")
def save_latent(session: SessionOf, service: ServiceOf) -> Response:
    """The edited face as a new starting point; a latent has no placement."""
    latent = edited(service.latent(session), session.edits)
    return download(latent_bytes(latent), file_name(file_stem(session), ".latent"), "application/octet-stream")
