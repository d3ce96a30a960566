"""Routes for models: listing, choosing and uploading them."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from latent_editor.core.errors import BadInput, LatentEditorError
from latent_editor.sessions.basis import LATEST_REQUEST, SAME_MODEL, Superseded
from latent_editor.sessions.session import Session
from latent_editor.ui.api.requests import FRESH, RegistryOf, ServiceOf, VisitorOf, upload_name
from latent_editor.ui.api.views import about_view, entry_view, error_view, session_view
from latent_editor.ui.service.background import wait_until_done
from latent_editor.ui.service.model_registry import ModelRegistry

#: How long an answer is held back while a model is being loaded, so that the page learns of it at once.
PATIENCE_S = 0.8
#: Uploads are written to the disk in pieces of this size.
PIECE_BYTES = 4 << 20

router = APIRouter(prefix="/editor")


class ModelChoice(BaseModel):
    """The key of a model."""

    model: str


@router.get("/about")
def about_default(registry: RegistryOf) -> dict[str, Any]:
    """The default model."""
    return about_view(registry.default_service)


@router.get("/s/{session_id}/about")
async def about(session: VisitorOf, registry: RegistryOf) -> JSONResponse:
    """The visitor's model. If it is gone, the session goes to the default model, and the answer contains the reason."""
    try:
        return JSONResponse(await _about(registry, session), headers=FRESH)
    except LatentEditorError as e:
        if registry.key_of(session) == registry.default:
            raise
        error = error_view(e)
    try:
        session = registry.store.update_if(session, lambda s: s.switched(registry.default), SAME_MODEL)
    except Superseded as e:  # the visitor has already chosen another one
        return await about(e.session, registry)
    return JSONResponse({**await _session_and_about(registry, session), "problem": error}, headers=FRESH)


@router.get("/s/{session_id}/models")
def models(session: VisitorOf, registry: RegistryOf) -> JSONResponse:
    """The models that this visitor can choose from."""
    answer = {
        "models": [entry_view(e) for e in registry.entries(session.id)],
        "model": registry.key_of(session),
        "max_upload_mb": registry.max_upload_mb,
    }
    return JSONResponse(answer, headers=FRESH)


@router.post("/s/{session_id}/model")
async def choose(session: VisitorOf, choice: ModelChoice, registry: RegistryOf) -> dict[str, Any]:
    """Switches to another model. While it is being loaded, the page repeats the request."""
    session = registry.store.update(session.id, Session.requested)
    loading = await run_in_threadpool(registry.start, choice.model, session.id)
    if not await wait_until_done(loading, PATIENCE_S):
        return {"reading": True}
    loading.result()  # raises why it could not be loaded
    session = registry.store.update_if(session, lambda s: s.switched(choice.model), LATEST_REQUEST)
    return await _session_and_about(registry, session)


async def _session_and_about(registry: ModelRegistry, session: Session) -> dict[str, Any]:
    return {"session": session_view(session), "about": await _about(registry, session)}


async def _about(registry: ModelRegistry, session: Session) -> dict[str, Any]:
    service = await registry.wait_for_service(session)
    view = await run_in_threadpool(about_view, service)  # reads files, and all weights for the fingerprint
    return {**view, "key": session.model}


@router.post("/s/{session_id}/models")
async def upload(session: VisitorOf, request: Request, registry: RegistryOf) -> dict[str, Any]:
    """Receives a model file and starts to load it, without executing anything in it. The answer is its key."""
    registry.check_uploads()
    max_bytes = registry.max_upload_mb << 20
    _check_size(int(request.headers.get("content-length") or 0), max_bytes)
    folder = Path(await run_in_threadpool(tempfile.mkdtemp, prefix="latent-editor-"))
    try:
        file = folder / upload_name(request, "model")
        with registry.uploading():
            await _write(request, file, max_bytes)
        return {"model": registry.add_upload(folder, file, session.id)}
    except BaseException:  # also if the visitor leaves; otherwise the registry deletes the folder
        await run_in_threadpool(shutil.rmtree, folder, ignore_errors=True)
        raise


async def _write(request: Request, path: Path, max_bytes: int) -> None:
    """Writes the body of a request to a file, with at most a piece of it in memory."""
    size, piece = 0, bytearray()
    with await run_in_threadpool(open, path, "wb") as file:
        async for chunk in request.stream():
            size += len(chunk)
            _check_size(size, max_bytes)
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
            f"The file could not be stored ({os.strerror(e.errno or 0)}). Free disk space on the server, or put the "
            "model into its folder of models."
        ) from e


def _check_size(size: int, max_bytes: int) -> None:
    if size > max_bytes:
        raise BadInput(
            f"The file is larger than {max_bytes >> 20:,} MB, the limit for uploads. Make a smaller one with "
            "“latent-editor convert”, or start the editor with a larger --max-model-mb."
        )


@router.post("/s/{session_id}/preparation/stop")
def stop_preparation(service: ServiceOf, registry: RegistryOf) -> dict[str, Any]:
    """Ends the preparation of the visitor's model; its finished parts are kept."""
    registry.check_uploads()  # without uploads every model is shared, so no visitor may stop its preparation
    service.progress.stop()
    return about_view(service)
