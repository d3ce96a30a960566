"""Sliders from text prompts. They take a moment only, so they do not begin a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from latent_editor.core.errors import BadValue
from latent_editor.core.values import Direction, Latent
from latent_editor.sessions.basis import SAME_FACE
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.text import text_direction
from latent_editor.ui.api.updates import update_view
from latent_editor.ui.jobs.fit_direction import FIRST_STRENGTH
from latent_editor.ui.jobs.job import Answer, Models, answer_once
from latent_editor.ui.service.model_service import ModelService


def describe_event(models: Models) -> Callable[[str, str], Answer]:
    def describe(session_id: str, prompt: str) -> dict:
        """Adds a slider for a text, such as "red hair"; returns the session."""
        return answer_once("describe", lambda: _describe(models, session_id, prompt))

    return describe


def _describe(models: Models, session_id: str, prompt: str) -> Answer:
    session = models.store.get(session_id)
    service = models.service_of(session)
    latent = service.latent(session)
    direction: Direction = service.on_gpu(lambda: text_direction(service.g, prompt, latent=latent))()

    def add(now: Session) -> Session:
        return now.added(Slider.from_direction(f"t{now.next_id}", direction, FIRST_STRENGTH))

    return {"session": update_view(models.store, session, add, SAME_FACE)}


def text_method_event(models: Models) -> Callable[[str, str, str], Answer]:
    def text_method(session_id: str, key: str, method: str) -> dict:
        """Computes a text slider again by "fast", "global" or "optimize" (for this face), and keeps its strength and
        region; returns the session."""
        return answer_once("text method", lambda: _change_method(models, session_id, key, method))

    return text_method


def _change_method(models: Models, session_id: str, key: str, method: str) -> Answer:
    session = models.store.get(session_id)
    service, slider = models.service_of(session), session.slider(key)
    direction = _computed_again(service, slider, service.latent(session), method)

    def exchange(now: Session) -> Session:
        present = now.slider(key)
        other = replace(present, edit=replace(present.edit, direction=direction))
        return now.slider_replaced(key, other, f"{direction.name}: another method")

    return {"session": update_view(models.store, session, exchange, SAME_FACE)}


def _computed_again(service: ModelService, slider: Slider, latent: Latent, method: str) -> Direction:
    prompt, name = slider.edit.direction.prompt, slider.edit.direction.name
    if prompt is None:
        raise BadValue(f"The slider {name!r} was not made from a text. Choose another one.")
    text: str = prompt
    found: Direction = service.on_gpu(lambda: text_direction(service.g, text, latent=latent, method=method))()
    return replace(found, name=name)
