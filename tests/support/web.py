"""The web app for tests: a tiny model, its service, and a client of the served app."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from latent_editor.core.values import Direction, Directions
from latent_editor.generators import Generator
from latent_editor.generators.stylegan2 import StyleGAN2, StyleGAN2Config
from latent_editor.models.bundle import Bundle
from latent_editor.ui.app import create_app
from latent_editor.ui.jobs.job import Models
from latent_editor.ui.service.background import BackgroundTask
from latent_editor.ui.service.model_service import ModelService


def small_generator() -> StyleGAN2:
    """A seeded random StyleGAN2 of 32 pixels."""
    torch.manual_seed(0)
    config = StyleGAN2Config(z_dim=32, w_dim=32, img_resolution=32, channel_base=256, channel_max=16, mapping_layers=2)
    g = StyleGAN2(config).eval().requires_grad_(False)
    g.bundle = Bundle("tiny")
    return g


def service_of(g: Generator, directions: Iterable[Direction] = ()) -> ModelService:
    """A model's service whose directions are ready."""
    return ModelService(g, BackgroundTask.finished(Directions(directions)))


def served(models: Models) -> TestClient:
    """A client of the app; enter it as a context."""

    async def build() -> FastAPI:  # outside of a running loop gradio makes loops of its own and never closes them
        return create_app(models, warm_up=False)

    return TestClient(asyncio.run(build()), raise_server_exceptions=False)


def pixels(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)


def png(size: tuple[int, int] = (60, 40)) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)).save(out, "PNG")
    return out.getvalue()


def change(client: TestClient, path: str, do: str, **values: Any) -> dict[str, Any]:
    answer = client.post(f"{path}/change", json={"do": do, **values})
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.json()
    return state
