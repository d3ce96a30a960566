"""The connection that frames come by while a slider is dragged: newest values in, JPEGs out, over one WebSocket.

A page says what it wants as JSON (:class:`latent_editor.ui.api.requests.DragMessage`). A frame comes back as four
bytes, the number of the wish that it answers (big-endian), then the JPEG; a problem as JSON with ``sequence`` and
``error``.
The server draws the newest wish only, and stays at most AHEAD frames ahead of the screen, so that the picture never
lags behind, on a slow machine or a slow line. Where a WebSocket cannot pass, ``POST …/frame`` gives the same frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadInput, BadValue, LatentEditorError, SessionExpired
from latent_editor.ui.api.picture_routes import wished_frame
from latent_editor.ui.api.requests import DragMessage, FrameRequest
from latent_editor.ui.api.views import error_view
from latent_editor.ui.service.model_registry import ModelRegistry

log = logging.getLogger(__name__)

#: A message is at most this long: 64 sliders take a tenth of it. Of longer ones a server need not read more than
#: MAX_BYTES to know.
MAX_CHARACTERS, MAX_BYTES = 32_768, 65_536
#: Frames that may be on their way to the screen: one is sent while the next is drawn.
AHEAD = 2
#: After so many messages that make no sense the connection is closed.
MAX_BAD = 20

router = APIRouter(prefix="/editor")


@router.websocket("/s/{session_id}/drag")
async def drag(socket: WebSocket, session_id: str) -> None:
    """Frames for one visitor, until the page closes the connection or the session ends."""
    registry: ModelRegistry = socket.app.state.registry
    if not registry.store.holds(session_id):
        await socket.close()  # refused: 403. The page asks by a plain request, which tells it why.
        return
    await socket.accept()
    await _Line(socket, registry, session_id).run()


class _Line:
    """One connection: what it wants newest, and how far its screen is."""

    def __init__(self, socket: WebSocket, registry: ModelRegistry, session_id: str) -> None:
        self.socket, self.registry, self.session_id = socket, registry, session_id
        self.wish: FrameRequest | None = None
        self.unseen: list[int] = []  # frames sent and not yet shown, oldest first
        self.news = asyncio.Event()

    async def run(self) -> None:
        drawing = asyncio.create_task(self._answer())
        reading = asyncio.create_task(self._read())
        try:
            await asyncio.wait((drawing, reading), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (drawing, reading):
                task.cancel()
                # A page that left is no error: whoever sends then is told so in one of these two ways.
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _read(self) -> None:
        """Takes messages in, until there are no more or too many bad ones."""
        bad = 0
        while bad < MAX_BAD:
            message = await self.socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                self._take(_parsed(message.get("text")))
            except BadInput as e:
                bad += 1
                await self._complain(None, e)
        await self.socket.close(status.WS_1008_POLICY_VIOLATION)

    def _take(self, message: DragMessage) -> None:
        self.unseen = [n for n in self.unseen if message.shown is not None and n > message.shown]
        self.wish = message.wish or self.wish
        self.news.set()

    async def _answer(self) -> None:
        """Draws the newest wish whenever there is one and the screen has caught up."""
        while True:
            await self.news.wait()
            self.news.clear()
            while self.wish is not None and len(self.unseen) < AHEAD:
                wish, self.wish = self.wish, None
                try:
                    frame = await run_in_threadpool(self._draw, wish)
                except Exception as e:
                    await self._complain(wish.sequence, e)
                    if isinstance(e, SessionExpired):
                        await self.socket.close(status.WS_1008_POLICY_VIOLATION)
                        return
                    continue
                self.unseen.append(wish.sequence)
                await self.socket.send_bytes(wish.sequence.to_bytes(4, "big") + frame)

    def _draw(self, wish: FrameRequest) -> bytes:
        session = self.registry.store.get(self.session_id)
        return wished_frame(self.registry.service_of(session), session, wish)

    async def _complain(self, sequence: int | None, error: Exception) -> None:
        if not isinstance(error, LatentEditorError):
            log.error("A frame could not be drawn", exc_info=error)
        await self.socket.send_json({"sequence": sequence, "error": error_view(error)})


def _parsed(text: str | None) -> DragMessage:
    """Raises BadValue for what is no message."""
    again = "Reload the page and try again."
    if text is None:
        raise BadValue(f"A message of bytes came; expected JSON as text. {again}")
    if len(text) > MAX_CHARACTERS:
        raise BadValue(f"A message of {len(text):,} characters came; expected at most {MAX_CHARACTERS:,}. {again}")
    try:
        return DragMessage.model_validate_json(text)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise BadValue(f"The message's {where or 'text'} is not as expected: {first['msg']}. {again}") from e
