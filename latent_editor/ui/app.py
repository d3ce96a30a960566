"""The web application: the routes, and the gradio page mounted next to them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator
from typing import Any

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from latent_editor.core.errors import BadValue, LatentEditorError
from latent_editor.sessions.basis import Superseded
from latent_editor.ui.api import (
    example_routes,
    frame_socket,
    model_routes,
    picture_routes,
    recipe_routes,
    region_routes,
    session_routes,
    similarity_routes,
    slider_pack_routes,
    video_routes,
)
from latent_editor.ui.api.requests import MAX_UPLOAD_BYTES
from latent_editor.ui.api.views import error_status, error_view, session_view
from latent_editor.ui.page import STATIC_FOLDER, TITLE, create_page, mount_options
from latent_editor.ui.service.background import in_background
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.workers import Workers

log = logging.getLogger(__name__)

_ROUTERS = (
    session_routes.router,
    picture_routes.router,
    frame_socket.router,
    region_routes.router,
    example_routes.router,
    video_routes.router,
    similarity_routes.router,
    slider_pack_routes.router,
    recipe_routes.router,
    model_routes.router,
)


def create_app(models: ModelRegistry | ModelService, *, page: gr.Blocks | None = None, warm_up: bool = True) -> FastAPI:
    """Builds the app with its routes, the static files and the gradio page.

    Args:
        models: The models; a service is a single model.
        page: The gradio page; None builds it.
        warm_up: Whether to build lazily built parts in the background as soon as the server runs.
    """
    registry = models if isinstance(models, ModelRegistry) else ModelRegistry(models)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if warm_up:
            in_background(registry.default_service.warm_up, "warm-up")
        yield

    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.registry = registry
    app.state.workers = Workers()
    for router in _ROUTERS:
        app.include_router(router)
    app.mount("/editor/ui", StaticFiles(directory=STATIC_FOLDER), name="ui")
    app.add_exception_handler(LatentEditorError, _expected)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(Exception, _unexpected)
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    app.state.page = page or create_page(registry)
    return gr.mount_gradio_app(
        app, app.state.page, path="/", max_file_size=MAX_UPLOAD_BYTES, ssr_mode=False, **mount_options()
    )


async def _expected(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, LatentEditorError)
    answer: dict[str, Any] = {"error": error_view(error)}
    if isinstance(error, Superseded):
        answer["session"] = session_view(error.session)
    return JSONResponse(answer, status_code=error_status(error))


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    problem = BadValue(f"The request's {where or 'body'} is invalid: {first['msg']}. Reload the page and try again.")
    return JSONResponse({"error": error_view(problem)}, status_code=422)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path.split("/s/")[0], exc_info=error)
    return JSONResponse({"error": error_view(error)}, status_code=500)
