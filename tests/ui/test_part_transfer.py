"""Regions and part transfer, with a tiny model that shows no faces."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from latent_editor.core.region import Region
from latent_editor.core.values import Crop, Direction, Edit, Step
from latent_editor.sessions.session import Session
from latent_editor.ui.jobs import part_transfer
from latent_editor.ui.jobs.part_transfer import part_transfer_event
from latent_editor.ui.service.model_service import ModelService
from latent_editor.ui.service.other_faces import OtherFace

LEFT = [{"radius": 0.06, "points": [[0.0, 0.0], [0.0, 1.0]]}]


def change(client: TestClient, path: str, **what: object) -> dict:
    answer = client.post(f"{path}/change", json=what)
    assert answer.status_code == 200, answer.text
    return answer.json()


def key_of(path: str) -> str:
    return path.rsplit("/", 1)[1]


def picture(client: TestClient, path: str) -> np.ndarray:
    data = client.get(f"{path}/save/picture.png").content
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"), int)


def test_a_painted_region_limits_a_slider_and_is_saved_everywhere(client: TestClient, path: str) -> None:
    plain = picture(client, path)
    change(client, path, do="move", key="d0", value=2.5)
    whole = picture(client, path)
    state = client.post(f"{path}/place", json={"key": "d0", "strokes": LEFT}).json()
    assert next(s["region"] for s in state["sliders"] if s["key"] == "d0") == "painted"
    assert state["history"][-1]["label"] == "age: only painted"
    now, side = picture(client, path), plain.shape[1]
    assert np.abs(now - plain)[:, -side // 8 :].max() <= 1
    assert np.abs(now - plain)[:, : side // 8].max() > 3
    assert np.abs(whole - plain)[:, -side // 8 :].max() > 3
    assert client.post(f"{path}/frame", json={"strengths": {"d0": 1.0}, "moving": True}).status_code == 200
    recipe, latent = (client.get(f"{path}/save/{kept}").content for kept in ("edits.recipe", "face.latent"))

    assert np.array_equal(picture(client, path), now)
    change(client, path, do="undo")
    assert np.array_equal(picture(client, path), whole)
    client.post(f"{path}/recipe", content=recipe, headers={"X-File-Name": "a.recipe"})
    assert np.abs(picture(client, path) - now).max() <= 1
    client.post(f"{path}/place", json={"key": "d0"})
    assert np.array_equal(picture(client, path), whole)
    client.post(f"{path}/latent", content=latent, headers={"X-File-Name": "a.latent"})
    assert np.abs(picture(client, path) - now).max() <= 3  # the region is stored in 8 bits


@pytest.mark.parametrize(
    ("route", "body", "says"),
    [
        ("place", {"key": "d0", "part": "mouth"}, "shows no faces"),
        ("place", {"key": "d0", "part": "elbow"}, "expected one of"),
        ("place", {"key": "d9", "strokes": LEFT}, "has no slider"),
        ("place", {"key": "d0", "strokes": [{"radius": 0.001, "points": [[1.9, 1.9]]}]}, "empty"),
        ("place", {"key": "d0", "strokes": [{"radius": 9, "points": [[0, 0]]}]}, "radius"),
        ("place", {"key": "d0", "strokes": "all"}, "strokes"),
    ],
)
def test_bad_regions_are_refused(client: TestClient, path: str, route: str, body: dict, says: str) -> None:
    before = client.get(path).json()
    answer = client.post(f"{path}/{route}", json=body)
    assert answer.status_code == 422
    assert says in json.dumps(answer.json(), ensure_ascii=False)
    assert client.get(path).json() == before


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        ({"part": "mouth", "seed": 3}, "shows no faces"),
        ({"part": "background", "seed": 3}, "expected one of"),
        ({"part": "mouth", "key": "gone"}, "no longer available"),
        ({"part": 3}, "part"),
    ],
)
def test_bad_part_transfers_are_refused(path: str, service: ModelService, request_: dict, says: str) -> None:
    before = service.store.get(key_of(path)).history
    *_, last = part_transfer_event(service)(key_of(path), request_)
    assert says in json.dumps(last["error"], ensure_ascii=False)
    assert service.store.get(key_of(path)).history == before


def test_a_transferred_part_is_a_slider(path: str, service: ModelService, monkeypatch: pytest.MonkeyPatch) -> None:
    def transfer_part(g, latent, other, part, *, photo, name, on_step):  # type: ignore[no-untyped-def]
        on_step(Step(1, 2, 0.1, 0.5, label="Features"))
        asked.append((part, photo, name))
        return Edit(
            Direction(f"{part} of {name}", other.ws, 0.0, 1.0, interpolates=True),
            1.0,
            region=Region.of(np.ones((9, 9))),
        )

    asked: list[tuple] = []
    monkeypatch.setattr(part_transfer, "transfer_part", transfer_part)
    crop = Crop(Image.new("RGB", (32, 32)), np.eye(2, 3))
    key = service.uploads.put(key_of(path), "ann.jpg", OtherFace(service.random(5), crop), 1)
    *progress, last = part_transfer_event(service)(key_of(path), {"part": "nose", "key": key})
    assert progress[0]["fraction"] is None
    assert asked == [("nose", crop, "ann")]
    (slider,) = (s for s in last["session"]["sliders"] if s["taken"])
    assert (slider["name"], slider["strength"], slider["region"]) == ("nose of ann", 1.0, "painted")

    answers = part_transfer_event(service)(key_of(path), {"part": "nose", "seed": 3})
    next(answers)
    before = service.store.update(key_of(path), Session.run_started)  # as /cancel does
    *_, last = answers
    assert last["error"]["kind"] == "Superseded"
    assert service.store.get(key_of(path)).history == before.history
