"""Routes of the similarity meter: how similar the face is to its photo, where it differs, and what the edits changed.

The page requests them while nothing moves. They are answered one at a time, and skipped if the page no longer wants
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from latent_editor.editing.edits import edited
from latent_editor.generators.refined import generator_for
from latent_editor.media.exports import jpeg_bytes
from latent_editor.sessions.session import Session
from latent_editor.similarity import Similarity
from latent_editor.similarity import identity_change as measure_identity_change
from latent_editor.ui.api.requests import FRESH, KEEP, ServiceOf, SessionOf, WorkersOf, jpeg
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.pictures import SCREEN_PX
from latent_editor.ui.service.workers import Workers

router = APIRouter(prefix="/editor")
T = TypeVar("T")

#: nginx's status for a request whose client has gone.
CLIENT_CLOSED_REQUEST = 499


async def _measure(request: Request, workers: Workers, work: Callable[[], T]) -> T | None:
    """The result, or None if the page has aborted the request before its turn came."""

    async def is_wanted() -> bool:
        await anyio.sleep(0)  # lets the server notice a request that was aborted at once
        return not await request.is_disconnected()

    return await workers.measure(work, is_wanted)


@router.get("/s/{session_id}/likeness")
async def likeness(session: SessionOf, service: ServiceOf, workers: WorkersOf, request: Request) -> Response:
    """Similarity of the unedited face to its photo."""
    if not await workers.compute(service.similarity.is_ready):
        return JSONResponse({"learning": True}, headers=FRESH)
    found = await _measure(request, workers, lambda: service.similarity.similarity(session))
    if found is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return JSONResponse(similarity_view(found), headers=KEEP)


@router.get("/s/{session_id}/differs.jpg")
async def difference_map(session: SessionOf, service: ServiceOf, workers: WorkersOf, request: Request) -> Response:
    """A heat map of the differences between the unedited face and its photo."""

    def work() -> bytes:
        found = service.similarity.similarity(session)
        return jpeg_bytes(found.heat_map(size_px=SCREEN_PX, legend=False))

    data = await _measure(request, workers, work)
    return Response(status_code=CLIENT_CLOSED_REQUEST) if data is None else jpeg(data, KEEP)


@router.get("/s/{session_id}/advice")
async def advice(session: SessionOf, service: ServiceOf, workers: WorkersOf, request: Request) -> Response:
    """What makes the pending photo hard to reconstruct."""
    pending = session.pending
    if pending is None or pending.crop is None or not await workers.compute(service.similarity.is_ready):
        return JSONResponse({"advice": []}, headers=FRESH)
    crop, photo = pending.crop, pending.photo
    found = await _measure(request, workers, lambda: service.similarity.advice(crop, photo))
    if found is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return JSONResponse({"advice": list(found)}, headers=FRESH)


@router.get("/s/{session_id}/moved")
async def identity_meter(session: SessionOf, service: ServiceOf, workers: WorkersOf, request: Request) -> Response:
    """How much the edits changed the identity; empty if the model has no measure of it."""
    if not await workers.compute(service.similarity.is_ready):
        return JSONResponse({"learning": True}, headers=FRESH)
    found = await _measure(request, workers, lambda: _identity_change(service, session))
    return Response(status_code=CLIENT_CLOSED_REQUEST) if found is None else JSONResponse(found, headers=FRESH)


def _identity_change(service: ModelService, session: Session) -> dict[str, Any]:
    latent = service.latent(session)
    # Drawn by the frame renderer, whose cache holds most of both: they are on the screen already.
    faces = (latent, edited(latent, session.edits))
    before, after = (service.frame_renderer.draw(generator_for(service.g, x), x.ws[None]) for x in faces)
    found = measure_identity_change(service.g, before, after)
    return {} if found is None else {"moved": round(found.change, 3), "words": found.words}


def similarity_view(similarity: Similarity) -> dict[str, Any]:
    """A similarity as JSON."""
    return {
        "words": similarity.words,
        "identity": None if similarity.identity is None else round(similarity.identity, 3),
        "psnr_db": round(similarity.psnr_db, 1),
        "face_psnr_db": None if similarity.face_psnr_db is None else round(similarity.face_psnr_db, 1),
        "advice": list(similarity.advice),
    }
