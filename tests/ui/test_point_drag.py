"""The event that drags points, called as gradio calls it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from support.web import service_of

from latent_editor.core.values import Direction, Latent
from latent_editor.editing.edits import edited
from latent_editor.editing.point_drag import DragStep
from latent_editor.generators.stylegan2 import StyleGAN2
from latent_editor.sessions.placement import Placement
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.ui.jobs import point_drag
from latent_editor.ui.jobs.point_drag import drag_event
from latent_editor.ui.service import pictures
from latent_editor.ui.service.model_service import ModelService

HANDLES = [[[0.5, 0.5], [0.58, 0.5]]]


@pytest.fixture
def service(tiny_generator: StyleGAN2) -> ModelService:
    return service_of(tiny_generator, [Direction("age", torch.ones(tiny_generator.num_ws, tiny_generator.w_dim) * 0.1)])


@pytest.fixture
def session(service: ModelService) -> Session:
    """A random face whose one slider stands at 1."""
    sliders = (Slider.from_direction("d0", service.directions[0], 1.0),)
    return service.store.update(service.store.create().id, lambda s: s.started_with(service.random(3), sliders))


def test_the_result_is_one_slider_that_undo_removes(service: ModelService, session: Session) -> None:
    *progress, last = drag_event(service)(session.id, HANDLES, 3.0)
    assert any((p["image"] or "").startswith("data:image/jpeg;base64,") for p in progress)
    assert all(len(p["points"]) == 1 and 0 <= p["fraction"] <= 1 for p in progress)
    assert progress[-1]["left"] < 0.08
    assert [(s["name"], s["source"], s["strength"]) for s in last["session"]["sliders"]] == [
        ("drag", "drag", 1.0),
        ("age", "unknown", 1.0),
    ]
    assert [m["label"] for m in last["session"]["history"]] == ["start", "add drag"]
    undone = service.store.update(session.id, Session.undone)
    assert [s.key for s in undone.sliders] == ["d0"]
    assert pictures.frame(service, session, session.edits) == pictures.frame(service, undone, undone.edits)


def stepping(at_step: Callable[[int], None]) -> Callable[..., Latent]:
    """A stand-in for a drag that calls ``at_step`` before each step and moves the latent by 0.01 a step."""

    def drag(
        g: StyleGAN2, start: Latent, handles: Any, *, seconds: float, on_step: Callable[[DragStep], bool]
    ) -> Latent:
        for i in range(1, 50):
            at_step(i)
            if on_step(DragStep(i, 50, i / 10, i / 50, ws=start.ws + i / 100, points=((0.5, 0.5),), remaining=0.08)):
                break
        return replace(start, ws=start.ws + 9)

    return drag


@pytest.mark.usefixtures("every_step")
def test_stop_keeps_the_best_so_far(service: ModelService, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_step(i: int) -> None:
        if i == 7:
            service.store.update(session.id, Session.run_stopping)

    monkeypatch.setattr(point_drag, "drag", stepping(at_step))
    *_, last = drag_event(service)(session.id, HANDLES, 5.0)
    assert last["session"]["ready"]
    now = service.store.get(session.id)
    before = edited(service.latent(session), session.edits).ws
    assert torch.allclose(now.sliders[0].edit.direction.vector, torch.full_like(before, 0.07), atol=1e-6)


@pytest.mark.parametrize(
    "handles",
    [
        [],
        [[[0.5, 1.5], [0.5, 0.5]]],
        [["a", "b"]],
        [[[0.5, None], [0.5, 0.5]]],
        [[[0.1, i / 20], [0.5, 0.5]] for i in range(17)],
        [7],
    ],
)
def test_bad_handles_are_refused_and_change_nothing(
    service: ModelService, session: Session, handles: list[Any]
) -> None:
    (answer,) = drag_event(service)(session.id, handles, 1.0)
    assert answer["error"]["kind"] == "BadValue"
    assert service.store.get(session.id).sliders == session.sliders


def test_without_a_face_or_with_a_placement_it_is_refused(service: ModelService, session: Session) -> None:
    (answer,) = drag_event(service)(service.store.create().id, HANDLES, 1.0)
    assert "no face" in answer["error"]["what"]
    service.store.update(session.id, lambda s: s._with_entry("moved", s.sliders, Placement(x=0.1)))
    (answer,) = drag_event(service)(session.id, HANDLES, 1.0)
    assert "moved or turned" in answer["error"]["what"]
