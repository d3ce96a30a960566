"""Serves the page: ``python app.py``, then open http://127.0.0.1:7860.

Options can also be set in the environment: LATENT_EDITOR_MODEL, LATENT_EDITOR_DEVICE, LATENT_EDITOR_HOST,
LATENT_EDITOR_PORT (or GRADIO_SERVER_NAME and GRADIO_SERVER_PORT), LATENT_EDITOR_MAX_MODEL_MB,
LATENT_EDITOR_MODEL_UPLOADS (yes or no).
"""

from __future__ import annotations

import argparse
import functools
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from latent_editor.runtime.openmp import OPENMP_ENV

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.update({**OPENMP_ENV, **os.environ})  # before torch is imported

try:  # on a Hugging Face Space with shared GPUs; must be imported before torch
    import spaces

    on_gpu: Callable[..., Any] = spaces.GPU
except ImportError:

    def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
        return function


import torch
import uvicorn
from fastapi import FastAPI

from latent_editor.core.errors import LatentEditorError
from latent_editor.generators import load_generator
from latent_editor.runtime.malloc import keep_freed_memory
from latent_editor.ui.api.frame_socket import MAX_BYTES
from latent_editor.ui.app import create_app
from latent_editor.ui.service.model_listing import installed_entries
from latent_editor.ui.service.model_registry import MAX_UPLOAD_MB, ModelRegistry
from latent_editor.ui.service.model_service import ModelService

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")


def build(model: str, device: str, *, max_model_mb: int = 0) -> FastAPI:
    """Builds the model, the registry and the web app.

    Args:
        model: The initial model: a name, a folder, or a file.
        device: "cpu" or "cuda".
        max_model_mb: Size limit of uploaded model files, in MB; 0 disables uploads.
    """
    keep_freed_memory()
    load = functools.partial(load_generator, device=device)
    service = ModelService.create(load(model), on_gpu=on_gpu)
    registry = ModelRegistry(service, load=load, listed=installed_entries, on_gpu=on_gpu, max_upload_mb=max_model_mb)
    return create_app(registry)


def model_limit_mb(options: argparse.Namespace) -> int:
    """Size limit of uploaded model files, in MB; by default 0 (no uploads) if other computers can reach the page."""
    local = options.host in LOCAL_HOSTS and "SPACE_ID" not in os.environ
    allowed = options.model_uploads if options.model_uploads is not None else local
    return int(options.max_model_mb) if allowed else 0


def read_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    setting = os.environ.get
    on_a_space = "SPACE_ID" in os.environ
    host = setting("LATENT_EDITOR_HOST") or setting("GRADIO_SERVER_NAME") or ("0.0.0.0" if on_a_space else "127.0.0.1")
    port = setting("LATENT_EDITOR_PORT") or setting("GRADIO_SERVER_PORT") or "7860"
    device = setting("LATENT_EDITOR_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    parser = argparse.ArgumentParser(prog="app.py", description="Serves the Latent Editor's page.")
    parser.add_argument(
        "--model",
        default=setting("LATENT_EDITOR_MODEL") or "portraits",
        help="a name in weights/, a model folder, or a StyleGAN checkpoint (default: %(default)s)",
    )
    parser.add_argument("--device", default=device, help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--host", default=host, help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=int(port), help="port to listen on (default: %(default)s)")
    parser.add_argument(
        "--max-model-mb",
        type=int,
        default=int(setting("LATENT_EDITOR_MAX_MODEL_MB") or MAX_UPLOAD_MB),
        help="size limit of uploaded model files (default: %(default)s)",
    )
    parser.add_argument(
        "--model-uploads",
        action=argparse.BooleanOptionalAction,
        default={"yes": True, "no": False}.get(setting("LATENT_EDITOR_MODEL_UPLOADS", "").lower()),
        help="let every visitor upload model files (default: only if no other computer can reach the page)",
    )
    return parser.parse_args(arguments)


@functools.cache
def default_app() -> FastAPI:
    """The app, configured by the environment."""
    options = read_arguments([])
    # The server that imports this app chose the address, which may be public.
    limit_mb = model_limit_mb(options) if options.model_uploads else 0
    return build(options.model, options.device, max_model_mb=limit_mb)


def __getattr__(name: str) -> Any:
    """``uvicorn app:app`` serves the page, ``app.demo`` is its gradio Blocks; importing alone builds nothing."""
    if name == "app":
        return default_app()
    if name == "demo":
        return default_app().state.page
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def main(arguments: Sequence[str] | None = None) -> None:
    options = read_arguments(arguments)
    print(f"Loading the model {options.model} …", flush=True)
    try:
        app = build(options.model, options.device, max_model_mb=model_limit_mb(options))
    except LatentEditorError as e:
        print(e, file=sys.stderr)
        raise SystemExit(2) from e
    shown = "127.0.0.1" if options.host == "0.0.0.0" else options.host
    print(f"Latent Editor with the model {options.model} at http://{shown}:{options.port}", flush=True)
    uvicorn.run(
        app,
        host=options.host,
        port=options.port,
        log_level="warning",
        timeout_graceful_shutdown=2,
        ws_max_size=MAX_BYTES,
        ws_per_message_deflate=False,  # frames are JPEGs
    )


if __name__ == "__main__":
    main()
