"""A result that is ready late changes nothing: another photo, face, model or run is there by then.

Each case computes something with a stand-in that makes the visitor move on in the middle of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from support.web import png

from latent_editor.core.provenance import Provenance
from latent_editor.core.region import Region
from latent_editor.core.values import Crop, Direction, Edit, Photo, Step
from latent_editor.degradations.fading import Grayscale
from latent_editor.media.exports import latent_bytes
from latent_editor.recipes import Recipe
from latent_editor.restoration.repair import RepairResult
from latent_editor.sessions.session import Session
from latent_editor.sessions.slider import Slider
from latent_editor.ui.api import example_routes, recipe_routes, region_routes, session_routes, slider_pack_routes
from latent_editor.ui.api.requests import MAX_UPLOAD_BYTES
from latent_editor.ui.jobs import fit_direction, part_transfer, point_drag, reconstruct, repair, text_face, text_slider
from latent_editor.ui.jobs import video as video_job
from latent_editor.ui.jobs.fit_direction import disentangle_event, fit_event
from latent_editor.ui.jobs.job import Answer
from latent_editor.ui.jobs.part_transfer import part_transfer_event
from latent_editor.ui.jobs.point_drag import drag_event
from latent_editor.ui.jobs.reconstruct import reconstruct_event
from latent_editor.ui.jobs.repair import repair_event
from latent_editor.ui.jobs.text_face import text_face_event
from latent_editor.ui.jobs.text_slider import describe_event, text_method_event
from latent_editor.ui.jobs.video import video_event
from latent_editor.ui.service.model_service import ModelService

STROKE = [{"radius": 0.2, "points": [[0.5, 0.5]]}]


def photo(color: str) -> Photo:
    return Photo(Image.new("RGB", (64, 48), color), f"{color}.png")


def crop_of(some: Photo) -> Crop:
    return Crop(some.image.crop((0, 0, 48, 48)).resize((32, 32)), np.array([[1.5, 0, 0], [0, 1.5, 0]]))


RED, GREEN, BLUE = photo("red"), photo("green"), photo("blue")


@dataclass
class Visit:
    """A session with a face, a pending photo, a text slider, and a photo of another model."""

    client: TestClient
    service: ModelService
    id: str

    @property
    def path(self) -> str:
        return f"/editor/s/{self.id}"

    @property
    def session(self) -> Session:
        return self.service.store.get(self.id)

    def post(self, name: str, **options: Any) -> Answer:
        answer: Answer = self.client.post(f"{self.path}/{name}", **options).json()
        return answer

    def direction(self, name: str = "found") -> Direction:
        g = self.service.g
        return Direction(name, torch.ones(g.num_ws, g.w_dim), source="text", provenance=Provenance("fast", "red hair"))


@pytest.fixture
def visit(client: TestClient, service: ModelService, monkeypatch: pytest.MonkeyPatch) -> Visit:
    monkeypatch.setitem(service.g.bundle.about, "faces", False)
    monkeypatch.setattr(repair, "SECONDS", 0.1)
    visit = Visit(client, service, client.post("/editor/sessions").json()["id"])
    slider = Slider.from_direction("t9", visit.direction("red hair"), 1.0)

    def furnished(session: Session) -> Session:
        elsewhere = replace(session, model="other").opened(GREEN).cropped(crop_of(GREEN))
        here = elsewhere.started_with(service.random(1), from_pending=True).switched(session.model)
        return here.opened(RED).cropped(crop_of(RED)).started_with(service.random(2), from_pending=True).added(slider)

    service.store.update(visit.id, furnished)
    service.store.update(visit.id, lambda s: s.opened(RED).cropped(crop_of(RED)))
    return visit


def last(answers: Iterator[Answer]) -> Answer:
    *_, answer = answers
    return answer


@dataclass(frozen=True)
class Case:
    """A computation: where its stand-in goes, what that returns, and how the visitor starts it."""

    module: Any
    function: str
    result: Callable[[Visit], Any]
    start: Callable[[Visit], Answer]


ROUTES = {
    "photo, opened late": Case(session_routes, "open_upload", lambda v: RED, lambda v: v.post("photo", content=png())),
    "photo, cropped late": Case(
        session_routes, "crop_all", lambda v: [crop_of(RED)], lambda v: v.post("photo", content=png())
    ),
    "crop": Case(
        session_routes, "crop_one", lambda v: crop_of(RED), lambda v: v.post("crop", json={"box": [0, 0, 40]})
    ),
    "again": Case(session_routes, "crop_like", lambda v: crop_of(RED), lambda v: v.post("again")),
    "random": Case(ModelService, "random", lambda v: RANDOM(v.service, 7), lambda v: v.post("random?seed=7")),
    "latent": Case(
        session_routes,
        "latent_from_bytes",
        lambda v: v.service.random(7),
        lambda v: v.post("latent", content=latent_bytes(v.service.random(7))),
    ),
    "place": Case(
        region_routes,
        "face_part",
        lambda v: Region.of(np.ones((9, 9))),
        lambda v: v.post("place", json={"key": "t9", "part": "mouth"}),
    ),
    "mix": Case(example_routes, "mix_direction", lambda v: v.direction(), lambda v: v.post("mix", json={"seed": 3})),
    "recipe": Case(
        recipe_routes,
        "retarget_edits",
        lambda v: [Edit(v.direction(), 1.0)],
        lambda v: v.post("recipe", content=Recipe.of(v.session.edits, v.service.g).to_bytes()),
    ),
    "describe": Case(
        text_slider,
        "text_direction",
        lambda v: v.direction(),
        lambda v: describe_event(v.service)(v.id, "red hair"),
    ),
    "reread": Case(
        text_slider,
        "text_direction",
        lambda v: v.direction(),
        lambda v: text_method_event(v.service)(v.id, "t9", "global"),
    ),
}
JOBS = {
    "reconstruct": Case(
        reconstruct, "invert", lambda v: v.service.random(7), lambda v: last(reconstruct_event(v.service)(v.id, 1, "w"))
    ),
    "repair": Case(
        repair,
        "repair",
        lambda v: RepairResult(Image.new("RGB", (32, 32)), v.service.random(7), Grayscale(), 20.0),
        lambda v: last(repair_event(v.service)(v.id, {"grey": True})),
    ),
    "text face": Case(
        text_face,
        "generate_from_text",
        lambda v: v.service.random(7),
        lambda v: last(text_face_event(v.service)(v.id, "an old man")),
    ),
    "point drag": Case(
        point_drag,
        "drag",
        lambda v: v.service.random(7),
        lambda v: last(drag_event(v.service)(v.id, [[[0.5, 0.5], [0.6, 0.5]]], 1)),
    ),
    "fit": Case(
        fit_direction,
        "fit_direction",
        lambda v: v.direction(),
        lambda v: last(fit_event(v.service)(v.id, {"more": "happy"})),
    ),
    "disentangle": Case(
        fit_direction,
        "disentangle_direction",
        lambda v: v.direction(),
        lambda v: last(disentangle_event(v.service)(v.id, "t9")),
    ),
    "part transfer": Case(
        part_transfer,
        "transfer_part",
        lambda v: Edit(v.direction(), 1.0),
        lambda v: last(part_transfer_event(v.service)(v.id, {"part": "mouth", "seed": 3})),
    ),
    "video": Case(video_job, "make_video", lambda v: b"video", lambda v: last(video_event(v.service)(v.id, {}))),
}
RANDOM = ModelService.random


def answered(change: Callable[[Session], Session]) -> Callable[[Session], Session]:
    """A request for another photo, face or model, and its answer."""

    def request_and_answer(session: Session) -> Session:
        asked = session.requested()
        return replace(change(asked), answered=asked.request)

    return request_and_answer


MOVES: dict[str, Callable[[Session], Session]] = {
    "another photo": answered(lambda s: s.opened(BLUE).cropped(crop_of(BLUE))),
    "another face": answered(lambda s: s.started_with(replace(s.latent))),  # type: ignore[type-var]
    "another model": answered(lambda s: s.switched("other")),
}
#: Results that fit the session all the same: another pending photo leaves the face as it is.
STILL_FIT = {(name, "another photo") for name in ("place", "mix", "recipe", "describe", "reread")}


def run_case(
    case: Case, visit: Visit, meanwhile: Callable[[Session], Session], monkeypatch: pytest.MonkeyPatch
) -> tuple[Answer, Session]:
    """The last answer, and the session as the visitor's next step left it."""
    result, moved = case.result(visit), []

    def stand_in(*_: Any, **options: Any) -> Any:
        if "on_step" in options:
            options["on_step"](Step(0, 1, 0.0, 0.0))
        moved.append(visit.service.store.update(visit.id, meanwhile))
        return result

    # Stand-ins whose own preparation calls the same function must not move on twice.
    monkeypatch.setattr(case.module, case.function, stand_in)
    answer = case.start(visit)
    assert len(moved) == 1
    return answer, moved[0]


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", ROUTES)
def test_of_a_route(name: str, move: str, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, moved = run_case(ROUTES[name], visit, MOVES[move], monkeypatch)
    state = answer.get("session", answer)
    if (name, move) in STILL_FIT:
        assert "problem" not in state
        assert visit.session.latent is moved.latent
        assert len(visit.session.history) == len(moved.history) + 1
        return
    assert visit.session is moved  # nothing was changed
    assert state["revision"] == moved.revision  # the answer is the present state
    problem = answer.get("error") or state["problem"]
    assert problem["kind"] == "Superseded"
    assert problem["what"]
    assert problem["todo"]


@pytest.mark.parametrize("move", [*MOVES, "another run", "cancel"])
@pytest.mark.parametrize("name", JOBS)
def test_of_a_job(name: str, move: str, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    moves = {**MOVES, "another run": Session.run_started, "cancel": Session.cancelled}
    files = len(visit.service.uploads._items)
    answer, moved = run_case(JOBS[name], visit, moves[move], monkeypatch)
    assert visit.session is moved
    assert answer["error"]["kind"] == "Superseded"
    assert len(visit.service.uploads._items) == files


@pytest.mark.parametrize("name", [*ROUTES, *JOBS])
def test_in_time_it_applies(name: str, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    answer, before = run_case({**ROUTES, **JOBS}[name], visit, lambda s: s.moved("t9", 0.5), monkeypatch)
    assert "error" not in answer
    assert "problem" not in answer.get("session", answer)
    assert visit.session is not before or name == "video"


def test_a_pack_fits_another_face_but_not_another_model(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(
        slider_pack_routes, "import_directions", lambda v: [v.direction()], lambda v: v.post("pack", content=b"pack")
    )
    answer, moved = run_case(case, visit, MOVES["another face"], monkeypatch)
    assert "problem" not in answer
    assert visit.session.latent is moved.latent
    assert visit.session.sliders[0].edit.direction.name == "found"
    answer, moved = run_case(case, visit, MOVES["another model"], monkeypatch)
    assert visit.session is moved
    assert answer["problem"]["kind"] == "Superseded"


def test_the_newest_upload_wins_even_if_it_is_ready_first(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    open_upload = session_routes.open_upload

    def slow(data: bytes, name: str) -> Photo:
        if name == "first":
            opened.append(visit.post("photo", content=png(), headers={"X-File-Name": "second"})["name"])
        return open_upload(data, name)

    monkeypatch.setattr(session_routes, "open_upload", slow)
    answer = visit.client.post(f"{visit.path}/photo", content=png(), headers={"X-File-Name": "first"})
    assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "Superseded")
    pending = visit.session.pending
    assert pending is not None
    assert [pending.photo.name] == opened == ["second"]


#: Requests that fail: not a picture, too large, an error while faces are detected, not a latent, no such model.
FAILURES: dict[str, Callable[[Visit], Answer]] = {
    "not a picture": lambda v: v.post("photo", content=b"not a picture"),
    "too large": lambda v: v.post("photo", content=bytes(MAX_UPLOAD_BYTES + 1)),
    "face detection": lambda v: v.post("photo", content=png(), headers={"X-File-Name": "broken"}),
    "latent": lambda v: v.post("latent", content=b"not a latent"),
    "crop": lambda v: v.post("crop", json={"box": [1e9, 0, 10]}),
    "model": lambda v: v.post("model", json={"model": "unknown"}),
}


@pytest.fixture
def broken_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    """Face detection fails for the photo "broken"."""
    crop_all = session_routes.crop_all

    def detect(service: ModelService, photo: Photo) -> list[Crop]:
        if photo.name == "broken":
            raise RuntimeError("out of memory")
        return crop_all(service, photo)

    monkeypatch.setattr(session_routes, "crop_all", detect)


@pytest.mark.usefixtures("broken_detector")
@pytest.mark.parametrize("failure", FAILURES)
def test_a_request_that_fails_leaves_the_session_as_it_was(failure: str, visit: Visit) -> None:
    before = visit.session
    assert FAILURES[failure](visit)["error"]
    assert vars(visit.session) == vars(replace(before, request=visit.session.request))


@pytest.mark.parametrize("name", ["photo, opened late", "photo, cropped late", "crop", "again", "random", "latent"])
def test_a_later_request_that_fails_supersedes_nothing(
    name: str, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, before = ROUTES[name], visit.session
    result = case.result(visit)

    def stand_in(*_: Any, **__: Any) -> Any:
        assert FAILURES["too large"](visit)["error"]
        return result

    monkeypatch.setattr(case.module, case.function, stand_in)
    answer = case.start(visit)
    assert "error" not in answer
    assert "problem" not in answer
    assert visit.session.request == before.request + 2
    assert visit.session.answered == before.request + 1
    assert (visit.session.pending, visit.session.latent) != (before.pending, before.latent)
