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
from latent_editor.similarity import Likeness, advise, compare, identity_moved
from latent_editor.ui.api.requests import FRESH, KEEP, SessionOf, StudioOf, jpeg
from latent_editor.ui.service.background import in_background
from latent_editor.ui.service.model_service import SCREEN_PX, Studio

router = APIRouter(prefix="/editor")
T = TypeVar("T")

#: Faces whose likeness is kept for each model.
MOST_KEPT = 8
#: The status of an answer that nobody waits for any more.
GONE_ON = 499


class Desk:
    """What was measured of the last few faces of one model, and the turn to measure. Threads may share it."""

    def __init__(self) -> None:
        self.turn = threading.Lock()
        self._kept: OrderedDict[int, tuple[Latent, Likeness]] = OrderedDict()
        self._learning = threading.Lock()

    def likeness(self, studio: Studio, session: Session) -> Likeness:
        """Of the session's unedited face to its photo. Raises BadValue where it comes from no photo."""
        latent, crop = studio.latent(session), session.crop
        if crop is None:
            raise BadValue("This face comes from no photo, so that there is nothing to be like. Choose a photo first.")
        with self.turn:
            known = self._kept.get(id(latent))
            if known is None:
                known = latent, compare(studio.g, crop, latent, whole=session.photo)
            self._kept[id(latent)] = known  # holds the latent too, whose id is the key
            self._kept.move_to_end(id(latent))
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return known[1]

    def ready(self, studio: Studio) -> bool:
        """Whether what is usual for the model is known; where not, that is learned in the background."""
        if statistics_known(studio.g):
            return True
        if self._learning.acquire(blocking=False):  # once; what fails is told by the measure itself

            def learn() -> None:
                likeness_statistics(studio.g)

            in_background(learn, "likeness")
        return False


def desk_of(studio: Studio) -> Desk:
    """The desk of a studio's model."""
    return studio.g.bundle.part("likeness desk", Desk)


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
async def likeness(session: SessionOf, studio: StudioOf, request: Request) -> Response:
    """How like the unedited face is to the photo."""
    desk = desk_of(studio)
    if not desk.ready(studio):
        return JSONResponse({"learning": True}, headers=FRESH)
    found = await _while_wanted(request, lambda: desk.likeness(studio, session))
    return Response(status_code=GONE_ON) if found is None else JSONResponse(meter_view(found), headers=KEEP)


@router.get("/s/{session_id}/differs.jpg")
def differs(session: SessionOf, studio: StudioOf) -> Response:
    """A map of where the unedited face differs from the photo."""
    found = desk_of(studio).likeness(studio, session)
    return jpeg(jpeg_bytes(found.heat_map(size_px=SCREEN_PX, legend=False)), KEEP)


@router.get("/s/{session_id}/advice")
async def advice(session: SessionOf, studio: StudioOf, request: Request) -> Response:
    """What stands in the way of the photo that is on its way in."""
    draft, desk = session.draft, desk_of(studio)
    if draft is None or draft.crop is None or not desk.ready(studio):
        return JSONResponse({"advice": []}, headers=FRESH)
    crop, photo = draft.crop, draft.photo

    def work() -> tuple[str, ...]:
        with desk.turn:
            return advise(studio.g, crop, photo=photo)

    found = await _while_wanted(request, work)
    return Response(status_code=GONE_ON) if found is None else JSONResponse({"advice": list(found)}, headers=FRESH)


@router.get("/s/{session_id}/moved")
async def moved(session: SessionOf, studio: StudioOf, request: Request) -> Response:
    """How much of who it is the session's edits moved; nothing where that cannot be told."""
    desk = desk_of(studio)
    if not desk.ready(studio):
        return JSONResponse({"learning": True}, headers=FRESH)
    found = await _while_wanted(request, lambda: _moved(desk, studio, session))
    return Response(status_code=GONE_ON) if found is None else JSONResponse(found, headers=FRESH)


def _moved(desk: Desk, studio: Studio, session: Session) -> dict[str, Any]:
    latent = studio.latent(session)
    with desk.turn:  # drawn where frames are drawn, and kept there: most of it is on the screen already
        now = edited(latent, session.edits)
        before, after = (studio.easel.draw(studio.generator(x), x.ws[None]) for x in (latent, now))
        found = identity_moved(studio.g, before, after)
    return {} if found is None else {"moved": round(found.moved, 3), "words": found.words}


def meter_view(likeness: Likeness) -> dict[str, Any]:
    """A likeness as the JSON that the page reads."""
    return {
        "words": likeness.words,
        "identity": None if likeness.identity is None else round(likeness.identity, 3),
        "psnr_db": round(likeness.psnr_db, 1),
        "face_psnr_db": None if likeness.face_psnr_db is None else round(likeness.face_psnr_db, 1),
        "advice": list(likeness.advice),
    }
