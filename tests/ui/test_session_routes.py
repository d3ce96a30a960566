"""The routes for sessions and pictures, with a tiny model, and their answers to bad requests."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from support.web import change, pixels, png

from latent_editor.core.refinement import Refinement
from latent_editor.sessions.session import Session
from latent_editor.ui.api import picture_routes
from latent_editor.ui.api.requests import MAX_UPLOAD_BYTES
from latent_editor.ui.page import STATIC_FOLDER
from latent_editor.ui.service.model_service import ModelService


class TestFaces:
    def test_about_names_model_directions_and_examples(self, client: TestClient) -> None:
        about = client.get("/editor/about").json()
        assert about["model"]["name"] == "tiny"
        assert [d["name"] for d in about["directions"]] == ["age", "smile", "light", "hair", "turn"]
        assert about["directions"][0]["unsure"]
        assert client.get(f"/editor/face/{about['examples'][0]}.jpg").headers["content-type"] == "image/jpeg"
        assert client.get("/editor/face/4.jpg").status_code == 422

    def test_a_new_face_starts_with_sliders_at_zero(self, client: TestClient, path: str) -> None:
        state = client.get(path).json()
        assert [s["name"] for s in state["sliders"]] == ["age", "smile", "light"]
        assert {s["strength"] for s in state["sliders"]} == {0.0}
        assert state["photo"] is None
        assert state["likeness"] is None

    def test_the_same_seed_is_the_same_face(self, client: TestClient, path: str) -> None:
        first = client.post(f"{path}/frame", json={}).content
        client.post(f"{path}/random?seed=2")
        assert client.post(f"{path}/frame", json={}).content != first
        client.post(f"{path}/random?seed=1")
        assert client.post(f"{path}/frame", json={}).content == first

    def test_a_photo_is_opened_cropped_and_cancelled(
        self, client: TestClient, path: str, service: ModelService
    ) -> None:
        answer = client.post(f"{path}/photo", content=png(), headers={"X-File-Name": "me%20%C3%A9.png"}).json()
        assert (answer["name"], answer["width"], answer["height"]) == ("me e.png", 60, 40)
        assert len(answer["faces"]) == 1  # no face detection: the center is cropped
        crop = client.post(f"{path}/crop", json={"box": [5, 5, 30]}).json()["crop"]
        assert pixels(base64.b64decode(crop.split(",")[1])).shape == (32, 32, 3)
        assert pixels(client.get(f"{path}/draft.jpg").content).shape == (40, 60, 3)
        assert client.post(f"{path}/cancel").json()["ready"]
        assert client.get(f"{path}/draft.jpg").status_code == 422


class TestSliders:
    def test_frame_follows_the_newest_strengths_without_history(self, client: TestClient, path: str) -> None:
        rest = client.post(f"{path}/frame", json={"sequence": 7})
        moved = client.post(f"{path}/frame", json={"sequence": 8, "strengths": {"d0": 2.0}})
        assert (rest.headers["x-sequence"], moved.headers["x-sequence"]) == ("7", "8")
        assert np.abs(pixels(rest.content) - pixels(moved.content)).mean() > 1
        assert len(client.get(path).json()["history"]) == 1

    def test_move_undo_redo(self, client: TestClient, path: str) -> None:
        rest = client.post(f"{path}/frame", json={}).content
        assert change(client, path, "move", key="d0", value=2.0)["sliders"][0]["strength"] == 2.0
        moved = client.post(f"{path}/frame", json={}).content
        assert change(client, path, "undo")["at"] == 0
        assert client.post(f"{path}/frame", json={}).content == rest
        change(client, path, "redo")
        assert client.post(f"{path}/frame", json={}).content == moved

    def test_add_layers_mute_rename_remove_reset_goto(self, client: TestClient, path: str) -> None:
        assert change(client, path, "add", key="d3")["sliders"][0]["name"] == "hair"
        change(client, path, "move", key="d3", value=-1.5)
        assert change(client, path, "layers", key="d3", value="coarse")["sliders"][0]["layers"] == "coarse"
        assert change(client, path, "mute", key="d3", value=True)["sliders"][0]["muted"]
        assert change(client, path, "rename", key="d3", value="<b>hair</b>")["sliders"][0]["name"] == "<b>hair</b>"
        assert len(change(client, path, "remove", key="d3")["sliders"]) == 3
        start = client.get(path).json()["history"][0]["id"]
        assert change(client, path, "goto", value=start)["at"] == 0
        change(client, path, "move", key="d1", value=1.0)
        assert {s["strength"] for s in change(client, path, "reset")["sliders"]} == {0.0}

    def test_layers_change_the_picture(self, client: TestClient, path: str) -> None:
        change(client, path, "move", key="d0", value=3.0)
        frames = []
        for layers in ("all", "coarse", "fine"):
            change(client, path, "layers", key="d0", value=layers)
            frames.append(client.post(f"{path}/frame", json={}).content)
        assert len(set(frames)) == 3

    def test_small_pictures(self, client: TestClient, path: str) -> None:
        pair = pixels(client.get(f"{path}/pair/d4.jpg").content)
        assert pair.shape[1] == 2 * pair.shape[0]
        assert np.abs(pair[:, : len(pair)] - pair[:, len(pair) :]).mean() > 1
        play = pixels(client.get(f"{path}/play/d4.jpg").content)
        assert play.shape[1] == 9 * play.shape[0]
        moment = client.get(path).json()["history"][0]["id"]
        assert client.get(f"{path}/moment/{moment}.jpg").status_code == 200
        assert client.get(f"{path}/unedited.jpg").status_code == 200


class TestFiles:
    def test_the_picture_has_the_generators_size_and_is_marked_as_synthetic(
        self, client: TestClient, path: str
    ) -> None:
        answer = client.get(f"{path}/save/picture.png")
        assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''face%20edited.png"
        image = Image.open(io.BytesIO(answer.content))
        assert image.size == (32, 32)
        assert image.text["Synthetic"] == "all"

    def test_a_saved_latent_gives_the_same_picture_with_sliders_at_zero(self, client: TestClient, path: str) -> None:
        change(client, path, "move", key="d0", value=2.0)
        before = client.post(f"{path}/frame", json={}).content
        latent = client.get(f"{path}/save/face.latent").content
        client.post(f"{path}/random?seed=5")
        state = client.post(f"{path}/latent", content=latent, headers={"X-File-Name": "face.latent"}).json()
        assert {s["strength"] for s in state["sliders"]} == {0.0}
        assert client.post(f"{path}/frame", json={}).content == before

    def test_a_saved_latent_keeps_its_refinement(self, client: TestClient, path: str, service: ModelService) -> None:
        def refined(session: Session) -> Session:
            assert session.latent is not None
            shape = service.g.activations(session.latent.ws[None], 8).shape[1:]
            refinement = Refinement({8: torch.randn(shape)}, {}, session.latent.ws, 1.3)
            return replace(session, latent=replace(session.latent, refinement=refinement))

        plain = client.post(f"{path}/frame", json={}).content
        service.store.update(path.rsplit("/", 1)[1], refined)
        change(client, path, "move", key="d0", value=2.0)
        before = client.post(f"{path}/frame", json={}).content
        assert before != plain
        latent = client.get(f"{path}/save/face.latent").content
        client.post(f"{path}/random?seed=5")
        client.post(f"{path}/latent", content=latent, headers={"X-File-Name": "face.latent"})
        assert client.post(f"{path}/frame", json={}).content == before

    def test_whole_photo_needs_a_photo(self, client: TestClient, path: str) -> None:
        answer = client.get(f"{path}/save/photo.png")
        assert answer.status_code == 422
        assert "no photo" in answer.json()["error"]["what"]


class TestBadRequests:
    def test_unknown_sessions_have_expired(self, client: TestClient) -> None:
        answer = client.get("/editor/s/guess")
        assert answer.status_code == 410
        assert answer.json()["error"]["kind"] == "SessionExpired"

    @pytest.mark.parametrize("data", [b"", b"hello", png()[:80], b"\xff\xd8\xff" + b"\x00" * 50])
    def test_a_file_that_is_no_picture_changes_nothing(self, client: TestClient, path: str, data: bytes) -> None:
        before = client.get(path).json()
        answer = client.post(f"{path}/photo", content=data, headers={"X-File-Name": "x.png"})
        assert answer.status_code == 422
        error = answer.json()["error"]
        assert error["kind"] == "BadImage"
        assert error["what"]
        assert error["todo"]
        assert client.get(path).json() == before

    def test_a_file_that_is_too_large_is_refused_during_the_upload(self, client: TestClient, path: str) -> None:
        answer = client.post(f"{path}/photo", content=b"\x00" * (MAX_UPLOAD_BYTES + 1))
        assert answer.status_code == 422
        assert "32 MB" in answer.json()["error"]["what"]

    def test_a_latent_of_another_model(self, client: TestClient, path: str, service: ModelService) -> None:
        latent = client.get(f"{path}/save/face.latent").content.replace(service.g.fingerprint.encode(), b"0" * 12)
        answer = client.post(f"{path}/latent", content=latent)
        assert answer.status_code == 422
        assert answer.json()["error"]["kind"] == "BadLatent"

    @pytest.mark.parametrize(
        "body",
        [
            {"do": "explode"},
            {"do": "move", "key": "d77", "value": 1},
            {"do": "move", "key": "d0", "value": "left"},
            {"do": "move", "key": "d0", "value": 1e9},
            {"do": "layers", "key": "d0", "value": "deep"},
            {"do": "goto", "value": 12345},
            {"do": "add", "key": "d²"},
            {"do": "add", "key": "../x"},
            {"nothing": 1},
        ],
    )
    def test_invalid_changes(self, client: TestClient, path: str, body: dict[str, Any]) -> None:
        before = client.get(path).json()
        answer = client.post(f"{path}/change", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"]["todo"]
        assert client.get(path).json() == before

    @pytest.mark.parametrize("strengths", ['{"d0": NaN}', '{"d0": 1e999}', '{"d0": "x"}', '{"d0": 50}'])
    def test_invalid_strengths(self, client: TestClient, path: str, strengths: str) -> None:
        answer = client.post(f"{path}/frame", content=f'{{"strengths": {strengths}}}')
        assert answer.status_code == 422

    @pytest.mark.parametrize("box", [[0, 0, 0], [0, 0, -5], [1e9, 0, 10], [0, 0, 1e9]])
    def test_squares_outside_the_photo(self, client: TestClient, path: str, box: list[float]) -> None:
        client.post(f"{path}/photo", content=png())
        answer = client.post(f"{path}/crop", json={"box": box})
        assert answer.status_code == 422
        assert answer.json()["error"]["kind"] == "BadValue"

    def test_a_session_without_a_face(self, client: TestClient) -> None:
        path = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
        for answer in (client.post(f"{path}/frame", json={}), client.get(f"{path}/save/picture.png")):
            assert answer.status_code == 422
            assert "Choose a photo" in answer.json()["error"]["todo"]

    def test_unexpected_errors_reveal_no_details(
        self, client: TestClient, path: str, service: ModelService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: object, **__: object) -> bytes:
            raise RuntimeError("/secret/path")

        monkeypatch.setattr(picture_routes, "requested_frame", broken)
        answer = client.post(f"{path}/frame", json={})
        assert answer.status_code == 500
        assert "secret" not in answer.text
        assert answer.json()["error"]["todo"]


def test_the_page_and_its_files_are_served_from_here_only(client: TestClient) -> None:
    page = client.get("/").text
    assert 'class=\\"le\\"' in page or 'class="le"' in page
    names = sorted(path.name for path in STATIC_FOLDER.iterdir() if path.suffix in {".js", ".css"})
    assert {"main.js", "style.css", "panel.css", "slider-card.js"} <= set(names)
    for name in names:
        answer = client.get(f"/editor/ui/{name}")
        assert answer.status_code == 200, name
        assert "https://" not in answer.text, name
        assert not re.search(r"@import\s+(url|['\"])", answer.text), name
    assert client.get("/editor/ui/../page.py").status_code == 404
