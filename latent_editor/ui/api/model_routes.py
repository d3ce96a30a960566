"""The routes for models: which there are, going from one to another, bringing one's own."""

from __future__ import annotations

import os
import shutil
import tempfile
from concurrent.futures import wait
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadInput, LatentEditorError
from latent_editor.sessions.session import Session
from latent_editor.ui.api.requests import FRESH, CatalogueOf, SessionOf, StudioOf, VisitorOf, upload_name
from latent_editor.ui.api.views import about_view, entry_view, error_view, session_view
from latent_editor.ui.service.model_registry import ModelRegistry

#: How long a page's question is held back while a model is being read, so that the answer comes at once when it is.
PATIENCE_S = 0.8
#: An upload is written to the disk in pieces of this size.
PIECE_BYTES = 4 << 20

router = APIRouter(prefix="/editor")


class Choice(BaseModel):
    """The key of a model."""

    model: str


@router.get("/about")
def about(registry: CatalogueOf) -> dict[str, Any]:
    """About the model that the page starts with."""
    return about_view(registry.default_studio)


@router.get("/s/{session_id}/about")
def about_mine(session: VisitorOf, registry: CatalogueOf) -> JSONResponse:
    """About the visitor's model. One that is gone makes room for the page's first, and the answer says so."""
    try:
        return JSONResponse({**about_view(registry.service_of(session)), "key": session.model}, headers=FRESH)
    except LatentEditorError as e:
        if registry.key_of(session) == registry.default:
            raise
        answer = {**_switched(registry, session, registry.default), "problem": error_view(e)}
        return JSONResponse(answer, headers=FRESH)


@router.get("/s/{session_id}/models")
def models(session: VisitorOf, registry: CatalogueOf) -> JSONResponse:
    """What this visitor can choose from."""
    answer = {
        "models": [entry_view(e) for e in registry.entries(session.id)],
        "model": registry.key_of(session),
        "max_upload_mb": registry.max_upload_mb,
    }
    return JSONResponse(answer, headers=FRESH)


@router.post("/s/{session_id}/model")
def choose(session: VisitorOf, choice: Choice, registry: CatalogueOf) -> dict[str, Any]:
    """Goes to another model; ask again while it is being read, until the answer is the session."""
    reading = registry.start(choice.model, session.id)
    wait([reading], PATIENCE_S)
    if not reading.done():
        return {"reading": True}
    reading.result()  # raises what went wrong
    return _switched(registry, session, choice.model)


def _switched(registry: ModelRegistry, session: Session, key: str) -> dict[str, Any]:
    session = registry.store.update(session.id, lambda s: s.switched(key))
    about = {**about_view(registry.service_of(session)), "key": key}
    return {"session": session_view(session), "about": about}


@router.post("/s/{session_id}/models")
async def upload(session: VisitorOf, request: Request, registry: CatalogueOf) -> dict[str, Any]:
    """Takes a model file and begins to read it; nothing in it is executed. Choose its key to use it."""
    registry.check_uploads()
    most = registry.max_upload_mb << 20
    _check_size(int(request.headers.get("content-length") or 0), most)
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="latent-editor-"))
    try:
        file = folder / upload_name(request, "model")
        with registry.receiving():
            await _write(request, file, most)
        return {"model": registry.take(folder, file, session.id)}
    except BaseException:  # also a visitor who left; what was taken is deleted when it is read
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
        raise


async def _write(request: Request, path: Path, most: int) -> None:
    """Writes the body of a request to a file, never more than a piece of it in memory."""
    size, piece = 0, bytearray()
    with await run_in_threadpool(open, path, "wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            _check_size(size, most)
            piece += chunk
            if len(piece) >= PIECE_BYTES:
                await run_in_threadpool(_append, file, bytes(piece))
                piece.clear()
        await run_in_threadpool(_append, file, bytes(piece))


def _append(file: BinaryIO, piece: bytes) -> None:
    try:
        file.write(piece)
    except OSError as e:
        raise BadInput(
            f"The file could not be stored ({os.strerror(e.errno or 0)}). Make room on the disk of the computer that "
            "serves this page, or put the model into its folder of models."
        ) from e


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise BadInput(
            f"The file is larger than {most >> 20:,} MB, which is the most that is taken. Make a smaller one with "
            "“latent-editor convert”, or start the editor with a larger --max-model-mb."
        )


@router.post("/s/{session_id}/preparation/stop")
def stop_preparing(session: SessionOf, service: StudioOf, registry: CatalogueOf) -> dict[str, Any]:
    """Ends the preparation of the visitor's model; what is finished is kept."""
    registry.check_uploads()  # where visitors bring no models, every model is for all of them
    service.progress.stop()
    return about_view(service)
