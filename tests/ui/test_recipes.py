"""The routes that save and load recipes, with a tiny model."""

from __future__ import annotations

import io
import json

import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from latent_editor.sessions.session import SLIDER_LIMIT

UPLOAD = {"Content-Type": "application/octet-stream", "X-File-Name": "Tuesday.recipe"}


def change(client: TestClient, path: str, **what: object) -> dict:
    answer = client.post(f"{path}/change", json=what)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture(client: TestClient, path: str) -> np.ndarray:
    data = client.get(f"{path}/save/picture.png").content
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def test_a_recipe_of_one_face_is_replayed_on_another(client: TestClient, path: str) -> None:
    change(client, path, do="move", key="d0", value=1.5)
    change(client, path, do="move", key="d1", value=-1.0)
    change(client, path, do="layers", key="d1", value="coarse")
    answer = client.get(f"{path}/save/edits.recipe")
    assert answer.headers["content-disposition"].endswith("face.recipe")
    recipe = json.loads(answer.content)
    assert [(e["slider"], e["strength"]) for e in recipe["edits"]] == [("age", 1.5), ("smile", -1.0)]
    edited = picture(client, path)

    client.post(f"{path}/random?seed=2")
    before = picture(client, path)
    change(client, path, do="move", key="d2", value=2.0)
    state = client.post(f"{path}/recipe", content=answer.content, headers=UPLOAD).json()
    strengths = {s["name"]: s["strength"] for s in state["sliders"]}
    assert strengths["age"] == 1.5
    assert strengths["smile"] == -1.0
    assert strengths["light"] == 0.0
    assert state["history"][-1]["label"] == "recipe Tuesday"
    assert next(s["layers"] for s in state["sliders"] if s["name"] == "smile") == "coarse"
    assert len({s["key"] for s in state["sliders"]}) == len(state["sliders"]) <= SLIDER_LIMIT
    assert not np.array_equal(picture(client, path), before)
    change(client, path, do="undo")
    client.post(f"{path}/random?seed=1")
    client.post(f"{path}/recipe", content=answer.content, headers=UPLOAD)
    assert np.array_equal(picture(client, path), edited)


def test_empty_and_bad_recipes_are_refused(client: TestClient, path: str) -> None:
    answer = client.get(f"{path}/save/edits.recipe")
    assert answer.status_code == 422
    assert "Move a slider first" in json.dumps(answer.json())
    change(client, path, do="move", key="d0", value=1.0)
    before = client.get(path).json()
    for data in (b"", b"[]", b'{"format": "latent-editor recipe", "version": 2}'):
        answer = client.post(f"{path}/recipe", content=data, headers=UPLOAD)
        assert answer.status_code == 422
        assert answer.json()["error"]["kind"] == "BadRecipe"
    assert client.get(path).json() == before


def test_a_recipe_needs_a_face(client: TestClient) -> None:
    empty = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
    answer = client.post(f"{empty}/recipe", content=b"{}", headers=UPLOAD)
    assert answer.status_code == 422
    assert "Choose a photo first" in answer.text
