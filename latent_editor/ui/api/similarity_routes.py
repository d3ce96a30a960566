"""The routes of the likeness meter: how like the photo, where it differs, what stands in the way, what edits moved.

They are asked for when nothing moves, answered one at a time, and given up where the page has gone on meanwhile.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Latent
from latent_editor.editing.edits import edited
from latent_editor.media.exports import jpeg_bytes
from latent_editor.networks.likeness_statistics import likeness_statistics, statistics_known
from latent_editor.sessions.session import Session
from latent_editor.similarity import Similarity, advise, compare, identity_moved
from latent_editor.ui.api.requests import FRESH, KEEP, SessionOf, StudioOf, jpeg
from latent_editor.ui.service.background import in_background
from latent_editor.ui.service.model_service import SCREEN_PX, ModelService

router = APIRouter(prefix="/editor")
T = TypeVar("T")

#: Faces whose likeness is kept for each model.
MAX_KEPT = 8
#: The status of an answer that nobody waits for any more.
GONE_ON = 499


class SimilarityCache:
    """What was measured of the last few faces of one model, and the turn to measure. Threads may share it."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self._kept: OrderedDict[int, tuple[Latent, Similarity]] = OrderedDict()
        self._learning = threading.Lock()

    def likeness(self, service: ModelService, session: Session) -> Similarity:
        """Of the session's unedited face to its photo. Raises BadValue where it comes from no photo."""
        latent, crop = service.latent(session), session.crop
        if crop is None:
            raise BadValue("This face comes from no photo, so that there is nothing to be like. Choose a photo first.")
        with self.turn:
            known = self._kept.get(id(latent))
            if known is None:
                known = latent, compare(service.g, crop, latent, whole=session.photo)
            self._kept[id(latent)] = known  # holds the latent too, whose id is the key
            self._kept.move_to_end(id(latent))
            while len(self._kept) > MAX_KEPT:
                self._kept.popitem(last=False)
        return known[1]

    def ready(self, service: ModelService) -> bool:
        """Whether what is usual for the model is known; where not, that is learned in the background."""
        if statistics_known(service.g):
            return True
        if self._learning.acquire(blocking=False):  # once; what fails is told by the measure itself

            def learn() -> None:
                likeness_statistics(service.g)

            in_background(learn, "likeness")
        return False


def similarity_cache_of(service: ModelService) -> SimilarityCache:
    """The desk of a service's model."""
    return service.g.bundle.part("likeness desk", SimilarityCache)


async def _while_wanted(request: Request, work: Callable[[], T]) -> T | None:
    """Does work in a thread, unless the page has gone on before it began: None then."""
    await anyio.sleep(0)  # a request that was broken off at once is known by now
    if await _gone(request):
        return None
    return await run_in_threadpool(work)


async def _gone(request: Request) -> bool:
    gone: Awaitable[bool] = request.is_disconnected()
    return await gone


@router.get("/s/{session_id}/likeness")
async def likeness(session: SessionOf, service: StudioOf, request: Request) -> Response:
    """How like the unedited face is to the photo."""
    cache = similarity_cache_of(service)
    if not cache.ready(service):
        return JSONResponse({"learning": True}, headers=FRESH)
    found = await _while_wanted(request, lambda: cache.likeness(service, session))
    return Response(status_code=GONE_ON) if found is None else JSONResponse(meter_view(found), headers=KEEP)


@router.get("/s/{session_id}/differs.jpg")
def differs(session: SessionOf, service: StudioOf) -> Response:
    """A map of where the unedited face differs from the photo."""
    found = similarity_cache_of(service).likeness(service, session)
    return jpeg(jpeg_bytes(found.heat_map(size_px=SCREEN_PX, legend=False)), KEEP)


@router.get("/s/{session_id}/advice")
async def advice(session: SessionOf, service: StudioOf, request: Request) -> Response:
    """What stands in the way of the photo that is on its way in."""
    pending, cache = session.pending, similarity_cache_of(service)
    if pending is None or pending.crop is None or not cache.ready(service):
        return JSONResponse({"advice": []}, headers=FRESH)
    crop, photo = pending.crop, pending.photo

    def work() -> tuple[str, ...]:
        with cache.turn:
            return advise(service.g, crop, photo=photo)

    found = await _while_wanted(request, work)
    return Response(status_code=GONE_ON) if found is None else JSONResponse({"advice": list(found)}, headers=FRESH)


@router.get("/s/{session_id}/moved")
async def moved(session: SessionOf, service: StudioOf, request: Request) -> Response:
    """How much of who it is the session's edits moved; nothing where that cannot be told."""
    cache = similarity_cache_of(service)
    if not cache.ready(service):
        return JSONResponse({"learning": True}, headers=FRESH)
    found = await _while_wanted(request, lambda: _moved(cache, service, session))
    return Response(status_code=GONE_ON) if found is None else JSONResponse(found, headers=FRESH)


def _moved(cache: SimilarityCache, service: ModelService, session: Session) -> dict[str, Any]:
    latent = service.latent(session)
    with cache.turn:  # drawn where frames are drawn, and kept there: most of it is on the screen already
        now = edited(latent, session.edits)
        before, after = (service.frame_renderer.draw(service.generator(x), x.ws[None]) for x in (latent, now))
        found = identity_moved(service.g, before, after)
    return {} if found is None else {"moved": round(found.moved, 3), "words": found.words}


def meter_view(likeness: Similarity) -> dict[str, Any]:
    """A likeness as the JSON that the page reads."""
    return {
        "words": likeness.words,
        "identity": None if likeness.identity is None else round(likeness.identity, 3),
        "psnr_db": round(likeness.psnr_db, 1),
        "face_psnr_db": None if likeness.face_psnr_db is None else round(likeness.face_psnr_db, 1),
        "advice": list(likeness.advice),
    }
