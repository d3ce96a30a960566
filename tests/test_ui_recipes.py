"""The routes that save and load recipes and save videos, with a tiny model."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from media_files import psnr, read_pictures
from PIL import Image
from test_ui_routes import client, path, studio  # noqa: F401 (fixtures)

from latent_editor.sessions import SLIDER_LIMIT

UPLOAD = {"Content-Type": "application/octet-stream", "X-File-Name": "Tuesday.recipe"}


def change(client: TestClient, path: str, **what: object) -> dict:  # noqa: F811
    answer = client.post(f"{path}/change", json=what)
    assert answer.status_code == 200, answer.text
    return answer.json()


def picture(client: TestClient, path: str) -> np.ndarray:  # noqa: F811
    data = client.get(f"{path}/save/picture.png").content
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"))


def test_what_was_done_to_one_face_is_done_to_another(client: TestClient, path: str) -> None:  # noqa: F811
    change(client, path, do="move", key="d0", value=1.5)
    change(client, path, do="move", key="d1", value=-1.0)
    change(client, path, do="layers", key="d1", value="coarse")
    answer = client.get(f"{path}/save/edits.recipe")
    assert answer.headers["content-disposition"].endswith("face.recipe")
    told = json.loads(answer.content)
    assert [(e["slider"], e["strength"]) for e in told["edits"]] == [("age", 1.5), ("smile", -1.0)]
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


@pytest.mark.parametrize("kind", ["mp4", "webm", "gif"])
def test_a_video_goes_to_the_edited_face_and_back(
    kind: str,
    client: TestClient,  # noqa: F811
    path: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    plain = picture(client, path)
    change(client, path, do="move", key="d0", value=2.0)
    answer = client.get(f"{path}/save/loop.{kind}?seconds=1")
    assert answer.headers["content-type"] == f"video/{kind}" or kind == "gif"
    (tmp_path / f"a.{kind}").write_bytes(answer.content)
    seen = read_pictures(tmp_path / f"a.{kind}")
    assert len(seen) == 25
    assert psnr(seen[0], plain) > 25
    assert psnr(seen[12], picture(client, path)) > 22
    assert psnr(seen[12], plain) < psnr(seen[12], picture(client, path))


def test_nothing_to_keep_and_bad_recipes_are_told(client: TestClient, path: str) -> None:  # noqa: F811
    for name in ("edits.recipe", "loop.mp4"):
        answer = client.get(f"{path}/save/{name}")
        assert answer.status_code == 422
        assert "Move a slider first" in json.dumps(answer.json())
    change(client, path, do="move", key="d0", value=1.0)
    assert client.get(f"{path}/save/loop.avi").status_code == 422
    assert client.get(f"{path}/save/loop.mp4?seconds=7200").status_code == 422
    before = client.get(path).json()
    for data in (b"", b"[]", b'{"format": "latent-editor recipe", "version": 2}'):
        answer = client.post(f"{path}/recipe", content=data, headers=UPLOAD)
        assert answer.status_code == 422
        assert answer.json()["error"]["kind"] == "BadRecipe"
    assert client.get(path).json() == before


def test_a_recipe_needs_a_face(client: TestClient) -> None:  # noqa: F811
    empty = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
    answer = client.post(f"{empty}/recipe", content=b"{}", headers=UPLOAD)
    assert answer.status_code == 422
    assert "Choose a photo first" in answer.text
