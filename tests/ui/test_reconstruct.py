"""The gradio events, called as gradio calls them: as plain functions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from PIL import Image
from support.web import service_of

from latent_editor.core.values import Crop, Direction, Latent, Photo, Step
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.sessions.session import Session
from latent_editor.ui.jobs.reconstruct import describe_event, reconstruct_event
from latent_editor.ui.service import model_service as studio_module
from latent_editor.ui.service.model_service import ModelService


@pytest.fixture
def service(tiny_generator: StyleGAN2) -> ModelService:
    return service_of(tiny_generator, [Direction("age", torch.ones(tiny_generator.num_ws, tiny_generator.w_dim))])


@pytest.fixture
def session(service: ModelService) -> Session:
    photo = Photo(Image.new("RGB", (64, 64), (200, 120, 60)), "me.png")
    crop = service.crops(photo)[0]
    return service.store.update(service.store.create().id, lambda s: s.opened(photo).cropped(crop))


def stepping(
    service: ModelService, each: Callable[[int], None], steps: int = 100
) -> Callable[..., Iterator[Step | Latent]]:
    """A stand-in for an inversion that calls ``each`` before every step."""

    def refine(_: ModelService, crop: Crop, *, method: str, seconds: float) -> Iterator[Step | Latent]:
        ws = service.random(1).ws
        for i in range(steps):
            each(i)
            yield Step(i, steps, i / 10, i / steps, 20.0 + i, torch.zeros(3, 32, 32), ws + i)
        yield service.g.latent(ws, method=method, psnr_db=99.0)

    return refine


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

    def test_stop_keeps_the_best_so_far(
        self, service: ModelService, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def each(i: int) -> None:
            if i == 7:
                service.store.update(session.id, Session.run_stopping)

        monkeypatch.setattr(ModelService, "refine", stepping(service, each))
        *_, last = reconstruct_event(service)(session.id, 5, "auto")
        assert last["session"]["likeness"]["psnr_db"] == 27.0
        latent = service.store.get(session.id).latent
        assert latent is not None
        assert torch.equal(latent.ws, service.random(1).ws + 7)

    def test_another_photo_ends_it_without_a_trace(
        self, service: ModelService, session: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        other = Photo(Image.new("RGB", (64, 64)), "other.png")

        def each(i: int) -> None:
            if i == 3:
                service.store.update(session.id, lambda s: s.opened(other))

        monkeypatch.setattr(ModelService, "refine", stepping(service, each))
        answers = list(reconstruct_event(service)(session.id, 5, "auto"))
        assert all("session" not in a for a in answers)
        now = service.store.get(session.id)
        assert now.latent is None
        assert now.pending is not None
        assert now.pending.photo is other

    def test_errors_are_answers(self, service: ModelService, session: Session) -> None:
        (unknown,) = reconstruct_event(service)("guess", 1, "auto")
        assert unknown["error"]["kind"] == "SessionExpired"
        (empty,) = reconstruct_event(service)(service.store.create().id, 1, "auto")
        assert "Choose a photo" in empty["error"]["todo"]
        *_, bad = reconstruct_event(service)(session.id, 1, "magic")
        assert bad["error"]["kind"] == "BadValue"
        assert service.store.get(session.id).pending is not None


class TestDescribe:
    @pytest.fixture
    def ready(self, service: ModelService) -> Session:
        return service.store.update(service.store.create().id, lambda s: s.begun(service.random(1)))

    def test_a_text_becomes_a_slider_like_the_others(
        self, service: ModelService, ready: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def text_direction(g: StyleGAN2, prompt: str, **_: Any) -> Direction:
            return Direction(prompt, torch.ones(g.num_ws, g.w_dim), source="text")

        monkeypatch.setattr(studio_module, "text_direction", text_direction)
        for prompt in ("red hair", "a beard"):
            answer = describe_event(service)(ready.id, prompt)
        sliders = answer["session"]["sliders"]
        assert [s["name"] for s in sliders] == ["a beard", "red hair"]
        assert len({s["key"] for s in sliders}) == 2
        assert all(s["strength"] > 0 for s in sliders)

    def test_errors_are_answers_and_change_nothing(self, service: ModelService, ready: Session) -> None:
        assert describe_event(service)(ready.id, "red hair")["error"]["kind"] == "MissingPart"  # no CLIP in this model
        assert describe_event(service)("guess", "red hair")["error"]["kind"] == "SessionExpired"
        empty = service.store.create()
        assert "Choose a photo" in describe_event(service)(empty.id, "red hair")["error"]["todo"]
        assert service.store.get(ready.id) is ready


def test_every_heavy_call_is_wrapped_for_a_shared_gpu(service: ModelService, session: Session) -> None:
    wrapped: list[str] = []

    def on_gpu(function: Callable[..., Any]) -> Callable[..., Any]:
        wrapped.append(threading.current_thread().name)
        return function

    shared = ModelService(service.g, service.found, service.store, on_gpu)
    list(reconstruct_event(shared)(session.id, 0.1, "w"))
    describe_event(shared)(session.id, "red hair")
    assert len(wrapped) == 2
