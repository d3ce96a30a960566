"""The web application: the routes of the page, and gradio mounted beside them."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import AsyncIterator

import gradio as gr
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.staticfiles import StaticFiles

from latent_editor.core.errors import BadValue, LatentEditorError
from latent_editor.ui.api import (
    example_routes,
    frame_socket,
    model_routes,
    picture_routes,
    recipe_routes,
    session_routes,
    similarity_routes,
    slider_pack_routes,
)
from latent_editor.ui.api.requests import MAX_UPLOAD_BYTES
from latent_editor.ui.api.views import error_status, error_view
from latent_editor.ui.jobs import part_transfer, repair, video
from latent_editor.ui.page import STATIC_FOLDER, TITLE, create_page, mount_options
from latent_editor.ui.service.background import in_background
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.model_service import ModelService

log = logging.getLogger(__name__)


def create_app(models: ModelRegistry | ModelService, *, page: gr.Blocks | None = None, warm_up: bool = True) -> FastAPI:
    """Everything that a browser or another program can reach.

    Args:
        models: The models there are; a service is one model alone.
        page: The gradio page, where it is made already; None makes one.
        warm_up: Build in the background, once the server runs, what would else be built at its first use.
    """
    registry = models if isinstance(models, ModelRegistry) else ModelRegistry(models)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if warm_up:
            in_background(registry.default_studio.warm_up, "warm-up")
        yield

    app = FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.registry = registry
    app.include_router(session_routes.router)
    app.include_router(picture_routes.router)
    app.include_router(frame_socket.router)
    app.include_router(example_routes.router)
    app.include_router(video.router)
    app.include_router(similarity_routes.router)
    app.include_router(part_transfer.router)
    app.include_router(slider_pack_routes.router)
    app.include_router(recipe_routes.router)
    app.include_router(repair.router)
    app.include_router(model_routes.router)
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
    return JSONResponse({"error": error_view(error)}, status_code=error_status(error))


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    problem = BadValue(
        f"The request's {where or 'body'} is not as expected: {first['msg']}. Reload the page and try again."
    )
    return JSONResponse({"error": error_view(problem)}, status_code=422)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s", request.method, request.url.path.split("/s/")[0], exc_info=error)
    return JSONResponse({"error": error_view(error)}, status_code=500)
