"""The reconstruction event, called as gradio calls it: as a plain function."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import torch
from PIL import Image
from support.web import service_of

from latent_editor.core.values import Crop, Direction, Latent, OnStep, Photo, Step
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.sessions.session import Session
from latent_editor.ui.jobs import reconstruct
from latent_editor.ui.jobs.reconstruct import reconstruct_event
from latent_editor.ui.jobs.text_slider import describe_event
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.photo_intake import crop_all


@pytest.fixture
def service(tiny_generator: StyleGAN2) -> ModelService:
    return service_of(tiny_generator, [Direction("age", torch.ones(tiny_generator.num_ws, tiny_generator.w_dim))])


@pytest.fixture
def session(service: ModelService) -> Session:
    photo = Photo(Image.new("RGB", (64, 64), (200, 120, 60)), "me.png")
    crop = crop_all(service, photo)[0]
    return service.store.update(service.store.create().id, lambda s: s.opened(photo).cropped(crop))


def stepping(service: ModelService, each: Callable[[int], None], steps: int = 100) -> Callable[..., Latent]:
    """A stand-in for an inversion that calls ``each`` before every step."""

    def invert(g: StyleGAN2, crop: Crop, *, method: str, seconds: float, on_step: OnStep) -> Latent:
        ws = service.random(1).ws
        for i in range(steps):
            each(i)
            if on_step(Step(i, steps, i / 10, i / steps, 20.0 + i, torch.zeros(3, 32, 32), ws + i)):
                break
        return g.latent(ws, method=method, psnr_db=99.0)

    return invert


class TestReconstruct:
    def test_real_inversion_ends_with_the_session_ready(self, service: ModelService, session: Session) -> None:
        *progress, last = reconstruct_event(service)(session.id, 2, "w+")
        assert progress
        assert all(0 <= p["fraction"] <= 1 for p in progress)
        assert any((p["image"] or "").startswith("data:image/jpeg;base64,") for p in progress)
        assert last["session"]["ready"]
        assert last["session"]["photo"] == "me.png"
        assert last["session"]["likeness"]["psnr_db"] > 5
        assert [s["name"] for s in last["session"]["sliders"]] == ["age"]

    @pytest.mark.usefixtures("every_step")
    def test_stop_keeps_the_best_so_far(
        self, service: ModelService, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def each(i: int) -> None:
            if i == 7:
                service.store.update(session.id, Session.run_stopping)

        monkeypatch.setattr(reconstruct, "invert", stepping(service, each))
        *_, last = reconstruct_event(service)(session.id, 5, "auto")
        assert last["session"]["likeness"]["psnr_db"] == 27.0
        latent = service.store.get(session.id).latent
        assert latent is not None
        assert torch.equal(latent.ws, service.random(1).ws + 7)

    def test_errors_are_answers(self, service: ModelService, session: Session) -> None:
        (unknown,) = reconstruct_event(service)("guess", 1, "auto")
        assert unknown["error"]["kind"] == "SessionExpired"
        (empty,) = reconstruct_event(service)(service.store.create().id, 1, "auto")
        assert "Choose a photo" in empty["error"]["todo"]
        *_, bad = reconstruct_event(service)(session.id, 1, "magic")
        assert bad["error"]["kind"] == "BadValue"
        assert service.store.get(session.id).pending is not None


def test_every_heavy_call_uses_the_gpu_wrapper(service: ModelService, session: Session) -> None:
    wrapped: list[str] = []

    def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
        wrapped.append(threading.current_thread().name)
        return function

    shared = ModelService(service.g, service.directions_task, service.store, on_gpu)
    list(reconstruct_event(shared)(session.id, 0.1, "w"))
    describe_event(shared)(session.id, "red hair")
    assert len(wrapped) == 2
