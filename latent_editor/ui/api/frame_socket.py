"""WebSocket that streams preview frames while a slider moves.

The page sends JSON (:class:`latent_editor.ui.api.requests.FrameMessage`). A frame is four bytes, the number of the
request that it answers (big-endian), then the JPEG; a problem is JSON with ``sequence`` and ``error``.

The server draws only the newest request and stays at most MAX_IN_FLIGHT frames ahead of the screen, so that the picture
never lags behind on a slow machine or connection. If WebSockets are blocked, ``POST …/frame`` returns the same frames.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from fastapi import APIRouter, WebSocket, WebSocketDisconnect, status
from pydantic import ValidationError

from latent_editor.core.errors import BadInput, BadValue, LatentEditorError, SessionExpired
from latent_editor.ui.api.picture_routes import requested_frame
from latent_editor.ui.api.requests import FrameMessage, FrameRequest
from latent_editor.ui.api.views import error_view
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.workers import Workers

log = logging.getLogger(__name__)

#: Limits of a message: 64 sliders take a tenth of MAX_CHARACTERS, and the server reads at most MAX_BYTES.
MAX_CHARACTERS, MAX_BYTES = 32_768, 65_536
#: Frames on their way to the screen: one is sent while the next is drawn.
MAX_IN_FLIGHT = 2
#: Malformed messages until the connection is closed.
MAX_BAD = 20

router = APIRouter(prefix="/editor")


@router.websocket("/s/{session_id}/drag")
async def frames(socket: WebSocket, session_id: str) -> None:
    """Streams frames to one page until it closes the connection or the session ends."""
    registry: ModelRegistry = socket.app.state.registry
    if not registry.store.holds(session_id):
        await socket.close()  # refused with 403; the page then sends a plain request, whose answer says why
        return
    await socket.accept()
    await _Connection(socket, registry, socket.app.state.workers, session_id).run()


class _Connection:
    """One connection: its newest request, and the frames that its screen has not shown yet."""

    def __init__(self, socket: WebSocket, registry: ModelRegistry, workers: Workers, session_id: str) -> None:
        self.socket, self.registry, self.workers, self.session_id = socket, registry, workers, session_id
        self.request: FrameRequest | None = None
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
                # A page that has left is no error; sending to it raises one of the last two.
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task

    async def _read(self) -> None:
        """Reads messages until the page leaves or has sent too many malformed ones."""
        bad = 0
        while bad < MAX_BAD:
            message = await self.socket.receive()
            if message["type"] != "websocket.receive":
                return
            try:
                self._accept(_parsed(message.get("text")))
            except BadInput as e:
                bad += 1
                await self._send_error(None, e)
        await self.socket.close(status.WS_1008_POLICY_VIOLATION)

    def _accept(self, message: FrameMessage) -> None:
        self.unseen = [n for n in self.unseen if message.shown is not None and n > message.shown]
        self.request = message.wish or self.request
        self.news.set()

    async def _answer(self) -> None:
        """Draws the newest request whenever there is one and the screen has caught up."""
        while True:
            await self.news.wait()
            self.news.clear()
            while self.request is not None and len(self.unseen) < MAX_IN_FLIGHT:
                request, self.request = self.request, None
                try:
                    frame = await self._draw(request)
                except Exception as e:
                    await self._send_error(request.sequence, e)
                    if isinstance(e, SessionExpired):
                        await self.socket.close(status.WS_1008_POLICY_VIOLATION)
                        return
                    continue
                self.unseen.append(request.sequence)
                await self.socket.send_bytes(request.sequence.to_bytes(4, "big") + frame)

    async def _draw(self, request: FrameRequest) -> bytes:
        session = self.registry.store.get(self.session_id)
        service = await self.registry.wait_for_service(session)
        return await self.workers.draw(lambda: requested_frame(service, session, request))

    async def _send_error(self, sequence: int | None, error: Exception) -> None:
        if not isinstance(error, LatentEditorError):
            log.error("A frame could not be drawn", exc_info=error)
        await self.socket.send_json({"sequence": sequence, "error": error_view(error)})


def _parsed(text: str | None) -> FrameMessage:
    """Raises BadValue for a malformed message."""
    todo = "Reload the page and try again."
    if text is None:
        raise BadValue(f"Got a message of bytes; expected JSON as text. {todo}")
    if len(text) > MAX_CHARACTERS:
        raise BadValue(f"Got a message of {len(text):,} characters; expected at most {MAX_CHARACTERS:,}. {todo}")
    try:
        return FrameMessage.model_validate_json(text)
    except ValidationError as e:
        first = e.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part)[:40] for part in first["loc"])
        raise BadValue(f"The message's {where or 'text'} is invalid: {first['msg']}. {todo}") from e
