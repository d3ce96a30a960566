"""Routes of the similarity meter, with a tiny model that shows no faces and with the embedded model."""

from __future__ import annotations

import io
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from support.web import served, service_of, small_generator

from latent_editor.core.errors import MissingPart
from latent_editor.core.values import Crop, Direction, Photo
from latent_editor.generators import Generator
from latent_editor.rendering import render
from latent_editor.sessions.slider import Slider
from latent_editor.ui.service import similarity_cache
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.similarity_cache import MAX_FACES


@pytest.fixture(scope="module")
def service() -> ModelService:
    g = small_generator()
    g.bundle.about["faces"] = False
    return with_one_slider(g)


def with_one_slider(g: Generator) -> ModelService:
    return service_of(g, [Direction("age", torch.randn(g.num_ws, g.w_dim), score=0.1)])


def from_photo(client: TestClient, service: ModelService, *, seed: int, drawn: int) -> str:
    """A session whose photo is one random picture and whose latent is that of another, or the same."""
    session_id = client.post("/editor/sessions").json()["id"]
    image = render(service.g, service.random(seed))
    photo, crop = Photo(image), Crop(image, np.eye(2, 3))
    latent = service.random(drawn)
    service.store.update(session_id, lambda s: s.opened(photo).cropped(crop).started_with(latent, from_pending=True))
    return session_id


def asked(client: TestClient, address: str) -> dict[str, Any]:
    """The answer, once the statistics of the model are known."""
    for _ in range(600):
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()
        if not data.get("learning"):
            return data
        time.sleep(0.1)
    raise AssertionError("the statistics never arrived")


def test_the_meter_of_a_face_from_a_photo(client: TestClient, service: ModelService) -> None:
    same = asked(client, f"/editor/s/{from_photo(client, service, seed=1, drawn=1)}/likeness")
    other = asked(client, f"/editor/s/{from_photo(client, service, seed=1, drawn=2)}/likeness")
    assert same["words"] == "the same"
    assert same["psnr_db"] > 40 > other["psnr_db"]
    assert same["identity"] is None


def test_the_map_is_bright_where_pictures_differ(client: TestClient, service: ModelService) -> None:
    def light(drawn: int) -> float:
        session_id = from_photo(client, service, seed=1, drawn=drawn)
        answer = client.get(f"/editor/s/{session_id}/differs.jpg")
        assert answer.headers["content-type"] == "image/jpeg"
        picture = np.asarray(Image.open(io.BytesIO(answer.content)).convert("RGB"), float)
        assert picture.shape[:2] == (512, 512)
        return float((picture[..., :2].mean(-1) - picture[..., 2]).mean())

    assert light(2) > light(1) + 10


def test_a_random_face_has_no_meter(client: TestClient) -> None:
    session_id = client.post("/editor/sessions").json()["id"]
    client.post(f"/editor/s/{session_id}/random?seed=1")
    for name in ("likeness", "differs.jpg"):
        answer = client.get(f"/editor/s/{session_id}/{name}")
        assert answer.status_code == 422
        assert "Choose a photo" in answer.json()["error"]["todo"]
    assert client.get(f"/editor/s/{session_id}/advice").json() == {"advice": []}


def test_the_last_few_results_are_kept(client: TestClient, service: ModelService) -> None:
    sessions = [from_photo(client, service, seed=1, drawn=i) for i in range(MAX_FACES + 2)]
    for session_id in sessions:
        asked(client, f"/editor/s/{session_id}/likeness")
    assert len(service.similarity._results) == MAX_FACES
    last = service.store.get(sessions[-1])
    assert service.similarity.similarity(last) is service.similarity.similarity(last)


def test_a_failure_to_learn_is_reported_and_the_next_request_tries_again(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: list[None] = []
    gate = threading.Semaphore(0)

    def learn(g: Generator) -> Any:
        attempts.append(None)
        assert gate.acquire(timeout=20)
        if len(attempts) == 1:
            raise MissingPart("No room to learn. Free some memory.")
        return object()

    monkeypatch.setattr(similarity_cache, "similarity_statistics_known", lambda g: False)
    monkeypatch.setattr(similarity_cache, "load_similarity_statistics", learn)
    service = with_one_slider(small_generator())
    with served(service) as client:
        address = f"/editor/s/{from_photo(client, service, seed=1, drawn=1)}/moved"
        assert client.get(address).json() == {"learning": True}
        gate.release()
        with pytest.raises(MissingPart):
            service.similarity._learning.start().result(20)
        assert client.get(address).json()["error"]["what"] == "No room to learn."
        assert client.get(address).json() == {"learning": True}
        gate.release()
        service.similarity._learning.start().result(20)
        assert service.similarity.is_ready()
    assert len(attempts) == 2


def test_without_faces_there_is_no_change_of_identity(client: TestClient, service: ModelService) -> None:
    assert asked(client, f"/editor/s/{from_photo(client, service, seed=1, drawn=1)}/moved") == {}


def test_edits_change_the_identity(portraits: Generator) -> None:
    service = with_one_slider(portraits)
    away = service.random(27).ws - service.random(14).ws
    with served(service) as client:
        session_id = from_photo(client, service, seed=14, drawn=14)
        slider = Slider.from_direction("t1", Direction("away", away))
        service.store.update(session_id, lambda s: s.added(slider))
        assert asked(client, f"/editor/s/{session_id}/moved") == {"moved": 0.0, "words": "still the same person"}
        service.store.update(session_id, lambda s: s.moved("t1", 1.0))
        moved = asked(client, f"/editor/s/{session_id}/moved")
        assert moved["words"] == "somebody else"
        assert moved["moved"] > 0.3
        meter = asked(client, f"/editor/s/{session_id}/likeness")
        assert meter["words"] == "the same person"
        assert meter["advice"] == []
