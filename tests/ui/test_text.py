"""The events for faces and sliders from texts, called as gradio calls them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from support.web import service_of

from latent_editor.core.errors import BadPrompt
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Latent, OnStep, Step
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.text import METHODS
from latent_editor.ui.jobs import text_face, text_slider
from latent_editor.ui.jobs.text_face import text_face_event
from latent_editor.ui.jobs.text_slider import describe_event, text_method_event
from latent_editor.ui.service.model_service import ModelService


@pytest.fixture
def service(tiny_generator: StyleGAN2) -> ModelService:
    return service_of(tiny_generator, [Direction("age", torch.ones(tiny_generator.num_ws, tiny_generator.w_dim))])


def generate_from_text(g: StyleGAN2, text: str, *, seconds: float, seed: int, on_step: OnStep) -> Latent:
    """A stand-in for the search."""
    if not text:
        raise BadPrompt("Got an empty prompt. Type a few words.")
    for i in range(3):
        on_step(Step(i, 3, i / 10, i / 3, image=torch.zeros(3, 32, 32) if i else None))
    return g.latent(torch.ones(g.num_ws, g.w_dim), method="text")


@pytest.mark.usefixtures("every_step")
def test_a_generated_face_can_be_edited(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_face, "generate_from_text", generate_from_text)
    session = service.store.create()
    *progress, last = text_face_event(service)(session.id, "an old man")
    assert len(progress) == 2  # steps without a picture are skipped
    assert all(p["image"].startswith("data:image/jpeg;base64,") for p in progress)
    assert last["session"]["ready"]
    latent = service.store.get(session.id).latent
    assert latent is not None
    assert latent.method == "text"
    assert [s["name"] for s in last["session"]["sliders"]] == ["age"]
    (empty,) = text_face_event(service)(session.id, "")
    assert empty["error"]["kind"] == "BadPrompt"
    assert service.store.get(session.id).latent is latent


def test_a_text_slider_is_computed_by_another_method(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    def text_direction(g: StyleGAN2, prompt: str, *, method: str, **_: Any) -> Direction:
        vector = torch.full((g.num_ws, g.w_dim), float(METHODS.index(method)))
        return Direction(prompt, vector, source="text", provenance=Provenance(method, prompt))

    monkeypatch.setattr(text_slider, "text_direction", text_direction)
    g = service.g
    slider = Slider.from_direction("t1", text_direction(g, "red hair", method="fast").renamed("mine"), 1.5)
    session = service.store.update(service.store.create().id, lambda s: s.started_with(service.random(1)).added(slider))
    answer = text_method_event(service)(session.id, "t1", "optimize")
    assert [(s["name"], s["strength"]) for s in answer["session"]["sliders"]] == [("mine", 1.5)]
    now = service.store.get(session.id)
    assert now.slider("t1").edit.direction.provenance.method == "optimize"
    assert float(now.slider("t1").edit.direction.vector[0, 0]) == METHODS.index("optimize")
    assert now.undone().slider("t1").edit.direction.provenance.method == "fast"
    service.store.update(session.id, lambda s: s.added(Slider.from_direction("d0", service.directions[0])))
    assert text_method_event(service)(session.id, "d0", "fast")["error"]["kind"] == "BadValue"


class TestDescribe:
    @pytest.fixture
    def ready(self, service: ModelService) -> Session:
        return service.store.update(service.store.create().id, lambda s: s.started_with(service.random(1)))

    def test_a_text_becomes_a_slider(
        self, service: ModelService, ready: Session, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def text_direction(g: StyleGAN2, prompt: str, **_: Any) -> Direction:
            return Direction(prompt, torch.ones(g.num_ws, g.w_dim), source="text")

        monkeypatch.setattr(text_slider, "text_direction", text_direction)
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
