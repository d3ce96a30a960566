"""What the page's routes share: who is asking, what may be sent, how an answer is packed."""

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

MAX_UPLOAD_BYTES = 32 << 20
#: Frames are numbered below this: the number goes before a frame in four bytes.
MAX_SEQUENCE = 1 << 32
KEEP = {"Cache-Control": "private, max-age=86400, immutable"}  # the address changes with the content
FRESH = {"Cache-Control": "no-store"}


async def _catalogue(request: Request) -> ModelRegistry:
    registry: ModelRegistry = request.app.state.registry
    return registry


CatalogueOf = Annotated[ModelRegistry, Depends(_catalogue)]


def _visitor(session_id: str, registry: CatalogueOf) -> Session:
    return registry.store.get(session_id)


#: Who is asking, where the model does not matter: it may have to be read again, or be gone.
VisitorOf = Annotated[Session, Depends(_visitor)]


def _visit(session_id: str, registry: CatalogueOf) -> tuple[Session, ModelService]:
    session = registry.store.get(session_id)
    return session, registry.service_of(session)


# One look-up for both, so that they belong together even while the visitor goes to another model. What follows is
# asynchronous because that runs at once, where anything else waits for a thread.
_VisitOf = Annotated[tuple[Session, ModelService], Depends(_visit)]


async def _session(visit: _VisitOf) -> Session:
    return visit[0]


async def _studio(visit: _VisitOf) -> ModelService:
    return visit[1]


SessionOf = Annotated[Session, Depends(_session)]
StudioOf = Annotated[ModelService, Depends(_studio)]


class FrameRequest(BaseModel):
    """The newest values of the sliders being moved; ``sequence`` comes back, so that late answers can be dropped.

    While ``moving`` the picture is smaller and quicker.
    """

    sequence: int = Field(default=0, ge=0, lt=MAX_SEQUENCE)
    strengths: dict[str, FiniteFloat] = Field(default_factory=dict, max_length=64)
    moving: bool = False


class DragMessage(BaseModel, extra="forbid"):
    """What a page says over the connection that frames come by.

    Attributes:
        wish: The frame that it wants now, instead of any that it wanted before; None says ``shown`` only.
        shown: The number of the newest frame on the screen; None counts all as shown.
    """

    wish: FrameRequest | None = None
    shown: int | None = Field(default=None, ge=0, lt=MAX_SEQUENCE)


class Change(BaseModel):
    """One change of the panel: what to do, to which slider, and the value that it takes."""

    do: str
    key: str = ""
    value: float | str | bool | None = None


class CropRequest(BaseModel):
    """A face by its number, or a square (x, y, side) in photo pixels."""

    face: int | None = Field(default=None, ge=0, le=100)
    box: tuple[FiniteFloat, FiniteFloat, FiniteFloat] | None = None


async def read_upload(request: Request) -> tuple[bytes, str]:
    """The body of an upload and its name, never more than the limit in memory.

    Raises:
        BadInput: too large.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_UPLOAD_BYTES:
            raise BadInput(
                f"The file is larger than {MAX_UPLOAD_BYTES >> 20} MB, which is the most that is taken. "
                "Save it smaller, as JPEG for example."
            )
    return bytes(data), upload_name(request, "photo")


def upload_name(request: Request, default: str) -> str:
    """The name of the file in the body, made safe for every file system."""
    name = unquote(request.headers.get("x-file-name", ""))[:200]
    return file_name(name, "") if name else default


def jpeg(data: bytes, headers: dict[str, str]) -> Response:
    return Response(data, media_type="image/jpeg", headers=headers)


def download(data: bytes, name: str, media_type: str) -> Response:
    disposition = f"attachment; filename*=UTF-8''{quote(name)}"
    return Response(data, media_type=media_type, headers={**FRESH, "Content-Disposition": disposition})


def data_address(jpeg_data: bytes) -> str:
    """A picture as an address that holds it."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_data).decode()
