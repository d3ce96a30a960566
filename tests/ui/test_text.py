"""The events for faces from nothing and for other ways to read words, called as gradio calls them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from support.web import service_of

from latent_editor.core.errors import BadPrompt
from latent_editor.core.provenance import Provenance
from latent_editor.core.values import Direction, Latent, OnStep, Step
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.sessions.session import Session, Slider
from latent_editor.text import METHODS
from latent_editor.ui.jobs import text
from latent_editor.ui.jobs.text import imagine_event, reread_event
from latent_editor.ui.service.model_service import ModelService


@pytest.fixture
def service(tiny_generator: StyleGAN2) -> ModelService:
    return service_of(tiny_generator, [Direction("age", torch.ones(tiny_generator.num_ws, tiny_generator.w_dim))])


def imagining(each: Callable[[], None]) -> Callable[..., Latent]:
    """A stand-in for the search, that calls ``each`` before its second step."""

    def generate_from_text(g: StyleGAN2, text: str, *, seconds: float, seed: int, on_step: OnStep) -> Latent:
        if not text:
            raise BadPrompt("Got an empty prompt. Type a few words.")
        for i in range(3):
            if i == 1:
                each()
            on_step(Step(i, 3, i / 10, i / 3, image=torch.zeros(3, 32, 32)))
        return g.latent(torch.ones(g.num_ws, g.w_dim), method="text")

    return generate_from_text


def test_an_imagined_face_is_a_face_to_edit(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "generate_from_text", imagining(lambda: None))
    session = service.store.create()
    *progress, last = imagine_event(service)(session.id, "an old man")
    assert all(p["image"].startswith("data:image/jpeg;base64,") for p in progress)
    assert last["session"]["ready"]
    latent = service.store.get(session.id).latent
    assert latent is not None
    assert latent.method == "text"
    assert [s["name"] for s in last["session"]["sliders"]] == ["age"]
    (empty,) = imagine_event(service)(session.id, "")
    assert empty["error"]["kind"] == "BadPrompt"
    assert service.store.get(session.id).latent is latent


def test_whoever_goes_elsewhere_gets_no_face(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    session = service.store.create()
    monkeypatch.setattr(
        text, "generate_from_text", imagining(lambda: service.store.update(session.id, Session.run_started) and None)
    )
    answers = list(imagine_event(service)(session.id, "an old man"))
    assert all("session" not in answer for answer in answers)
    assert service.store.get(session.id).latent is None


def test_a_slider_is_read_in_another_way(service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    def text_direction(g: StyleGAN2, prompt: str, *, method: str, **_: Any) -> Direction:
        vector = torch.full((g.num_ws, g.w_dim), float(METHODS.index(method)))
        return Direction(prompt, vector, source="text", provenance=Provenance(method, prompt))

    monkeypatch.setattr(text, "text_direction", text_direction)
    g = service.g
    slider = Slider.of("t1", text_direction(g, "red hair", method="fast").renamed("mine"), 1.5)
    session = service.store.update(service.store.create().id, lambda s: s.begun(service.random(1)).added(slider))
    answer = reread_event(service)(session.id, "t1", "optimize")
    assert [(s["name"], s["strength"]) for s in answer["session"]["sliders"]] == [("mine", 1.5)]
    now = service.store.get(session.id)
    assert now.slider("t1").edit.direction.provenance.method == "optimize"
    assert float(now.slider("t1").edit.direction.vector[0, 0]) == METHODS.index("optimize")
    assert now.undone().slider("t1").edit.direction.provenance.method == "fast"
    service.store.update(session.id, lambda s: s.added(Slider.of("d0", service.directions[0])))
    assert reread_event(service)(session.id, "d0", "fast")["error"]["kind"] == "BadValue"
