"""What the routes share: dependencies, request bodies, uploads and responses."""

from __future__ import annotations

import base64
from typing import Annotated
from urllib.parse import quote, unquote

from fastapi import Depends, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field, FiniteFloat

from latent_editor.core.errors import BadInput
from latent_editor.media.exports import file_name
from latent_editor.sessions.session import Session
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.workers import Workers

MAX_UPLOAD_BYTES = 32 << 20
#: Frame numbers are below this: four bytes before each frame hold its number.
MAX_SEQUENCE = 1 << 32
KEEP = {"Cache-Control": "private, max-age=86400, immutable"}  # the address changes with the content
FRESH = {"Cache-Control": "no-store"}


# All dependencies are asynchronous: a synchronous one would need a free thread, and might wait for a model in it.


async def _registry(request: Request) -> ModelRegistry:
    registry: ModelRegistry = request.app.state.registry
    return registry


RegistryOf = Annotated[ModelRegistry, Depends(_registry)]


async def _workers(request: Request) -> Workers:
    workers: Workers = request.app.state.workers
    return workers


WorkersOf = Annotated[Workers, Depends(_workers)]


async def _visitor(session_id: str, registry: RegistryOf) -> Session:
    return registry.store.get(session_id)


#: The session, for routes that do not need its model, which may have to be loaded first or be gone.
VisitorOf = Annotated[Session, Depends(_visitor)]


async def _visit(session_id: str, registry: RegistryOf) -> tuple[Session, ModelService]:
    session = registry.store.get(session_id)
    return session, await registry.wait_for_service(session)


# One look-up for both, so that they belong together even while the visitor changes the model.
_VisitOf = Annotated[tuple[Session, ModelService], Depends(_visit)]


async def _session(visit: _VisitOf) -> Session:
    return visit[0]


async def _service(visit: _VisitOf) -> ModelService:
    return visit[1]


SessionOf = Annotated[Session, Depends(_session)]
ServiceOf = Annotated[ModelService, Depends(_service)]


class FrameRequest(BaseModel):
    """The newest values of the sliders that are being moved.

    Attributes:
        sequence: Returned with the frame, so that the page can drop late answers.
        strengths: By the keys of sliders and axes.
        moving: Whether a smaller and faster frame will do.
    """

    sequence: int = Field(default=0, ge=0, lt=MAX_SEQUENCE)
    strengths: dict[str, FiniteFloat] = Field(default_factory=dict, max_length=64)
    moving: bool = False


class FrameMessage(BaseModel, extra="forbid"):
    """A message of the page over the frame socket.

    Attributes:
        wish: The frame to draw now, instead of any requested before; None if the message only says ``shown``.
        shown: The number of the newest frame on the screen; None means that all are shown.
    """

    wish: FrameRequest | None = None
    shown: int | None = Field(default=None, ge=0, lt=MAX_SEQUENCE)


class Change(BaseModel):
    """One change of the panel: the action, the slider's key, and the new value."""

    do: str
    key: str = ""
    value: float | str | bool | None = None


class CropRequest(BaseModel):
    """A face by its index, or a square (x, y, side) in photo pixels."""

    face: int | None = Field(default=None, ge=0, le=100)
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = None


async def read_upload(request: Request) -> tuple[bytes, str]:
    """The body of an upload and its file name, never more than the limit in memory.

    Raises:
        BadInput: too large.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_UPLOAD_BYTES:
            raise BadInput(
                f"The file is larger than {MAX_UPLOAD_BYTES >> 20} MB, the limit for uploads. "
                "Save it smaller, as a JPEG for example."
            )
    return bytes(data), upload_name(request, "photo")


def upload_name(request: Request, default: str) -> str:
    """The name of the uploaded file, made safe for every file system."""
    name = unquote(request.headers.get("x-file-name", ""))[:200]
    return file_name(name, "") if name else default


def file_stem(session: Session) -> str:
    """What downloads of a session are named after."""
    return session.photo.name if session.photo else "face"


def jpeg(data: bytes, headers: dict[str, str]) -> Response:
    return Response(data, media_type="image/jpeg", headers=headers)


def download(data: bytes, name: str, media_type: str) -> Response:
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(data, media_type=media_type, headers={**FRESH, "Content-Disposition": disposition})


def data_url(jpeg_data: bytes) -> str:
    """A picture as a data URL."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_data).decode()
