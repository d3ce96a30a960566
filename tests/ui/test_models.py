"""The model routes, with tiny models of every kind: choosing and uploading."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fastapi.testclient import TestClient
from PIL import Image
from support.web import served

from latent_editor.core.errors import UnknownModel
from latent_editor.core.values import Directions
from latent_editor.generators import Generator, construction, load_generator, save_generator
from latent_editor.media.exports import latent_from_bytes
from latent_editor.models.bundle import CACHE_VARIABLE, Bundle
from latent_editor.ui.jobs.reconstruct import reconstruct_event
from latent_editor.ui.service import background
from latent_editor.ui.service.model_listing import ModelEntry
from latent_editor.ui.service.model_registry import ModelRegistry
from latent_editor.ui.service.model_service import ModelService

SMALL = {"z_dim": 16, "w_dim": 16, "img_resolution": 32, "channel_base": 256, "channel_max": 8}
SMALL_KWARGS: dict[str, dict[str, Any]] = {
    "plain": SMALL,
    "classes": {**SMALL, "c_dim": 3},
    "grey": {**SMALL, "img_channels": 1},
    "alpha": {**SMALL, "img_channels": 4},
}


def small(name: str, seed: int = 0) -> Generator:
    kwargs = {"c_dim": 0, "img_channels": 3, "mapping_kwargs": {"num_layers": 2}, **SMALL_KWARGS[name]}
    g = construction.random("stylegan2", kwargs, seed).eval().requires_grad_(False)
    g.bundle = Bundle(name, about={"title": name.title()})
    return g


def small3() -> Generator:
    kwargs = {**SMALL, "c_dim": 0, "img_channels": 3, "num_layers": 4, "channel_base": 256, "channel_max": 8}
    g = construction.random("stylegan3", kwargs, 1).eval().requires_grad_(False)
    g.bundle = Bundle("moving")
    return g


@pytest.fixture(scope="module", autouse=True)
def nothing_to_prepare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CACHE_VARIABLE, str(tmp_path_factory.mktemp("cache")))
        patch.setattr(background, "prepared", lambda g: True)
        patch.setattr("latent_editor.ui.service.model_service.prepared", lambda g: True)
        patch.setattr(background, "named_directions", lambda g, **_: Directions())
        yield


def load(model: str | Path) -> Generator:
    if isinstance(model, Path):
        return load_generator(model)
    if model == "moving":
        return small3()
    if model in SMALL_KWARGS:
        return small(model)
    raise UnknownModel(f"No {model}. Choose another.")


def served_models(**options: Any) -> TestClient:
    entries = [ModelEntry(name, name.title(), path=name) for name in (*SMALL_KWARGS, "moving", "lost")]
    return served(ModelRegistry(ModelService.create(small("plain")), load=load, listed=lambda: entries, **options))


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    with served_models(max_upload_mb=8) as client:
        yield client


@pytest.fixture
def path(client: TestClient) -> str:
    return f"/editor/s/{client.post('/editor/sessions').json()['id']}"


def choose(client: TestClient, path: str, key: str) -> dict[str, Any]:
    for _ in range(100):
        answer = client.post(f"{path}/model", json={"model": key})
        assert answer.status_code == 200, answer.text
        if "session" in answer.json():
            state: dict[str, Any] = answer.json()
            return state
        time.sleep(0.05)
    raise AssertionError("it is still being loaded")


def upload(client: TestClient, path: str, data: bytes, name: str = "mine.safetensors") -> Any:
    return client.post(f"{path}/models", content=data, headers={"X-File-Name": name})


def pixels(data: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(data)).convert("RGB"), dtype=int)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An uploaded model file."""
    file = tmp_path_factory.mktemp("saved") / "mine.safetensors"
    save_generator(small("plain", seed=7), file)
    return file.read_bytes()


class TestSwitching:
    def test_the_picker_lists_the_models_without_their_paths(self, client: TestClient, path: str) -> None:
        answer = client.get(f"{path}/models").json()
        assert [m["key"] for m in answer["models"]] == ["plain", "classes", "grey", "alpha", "moving", "lost"]
        assert answer["model"] == "plain"
        assert answer["max_upload_mb"] == 8
        assert "path" not in answer["models"][0]

    def test_a_face_returns_with_its_model(self, client: TestClient, path: str) -> None:
        client.post(f"{path}/random?seed=1")
        before = client.post(f"{path}/frame", json={}).content
        there = choose(client, path, "grey")
        assert there["about"]["model"]["name"] == "grey"
        assert not there["session"]["ready"]
        assert client.get(f"{path}/about").json()["model"]["name"] == "grey"
        client.post(f"{path}/random?seed=1")
        assert client.post(f"{path}/frame", json={}).content != before
        back = choose(client, path, "plain")
        assert back["session"]["ready"]
        assert client.post(f"{path}/frame", json={}).content == before

    def test_a_model_that_fails_to_load_leaves_the_face_as_it_was(self, client: TestClient, path: str) -> None:
        client.post(f"{path}/random?seed=1")
        for key in ("lost", "nothing", "../plain"):
            answer = client.post(f"{path}/model", json={"model": key})
            assert answer.status_code == 422
            assert answer.json()["error"]["kind"] == "UnknownModel"
        assert client.get(path).json()["ready"]
        assert client.post(f"{path}/frame", json={}).status_code == 200

    def test_two_visitors_use_two_models(self, client: TestClient, path: str) -> None:
        other = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
        choose(client, other, "grey")
        client.post(f"{path}/random?seed=1")
        client.post(f"{other}/random?seed=1")
        mine, yours = (pixels(client.post(f"{p}/frame", json={}).content) for p in (path, other))
        assert np.ptp(yours, axis=-1).max() <= 3  # grey, up to JPEG's rounding
        assert np.ptp(mine, axis=-1).max() > 30

    def test_a_photo_is_offered_to_the_next_model(self, client: TestClient, path: str) -> None:
        assert client.post(f"{path}/again").status_code == 422
        photo = Image.fromarray(np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8))
        data = io.BytesIO()
        photo.save(data, "PNG")
        answer = client.post(f"{path}/photo", content=data.getvalue(), headers={"X-File-Name": "me.png"}).json()
        assert answer["by_hand"]  # no face detection: the page asks for a square
        client.post(f"{path}/crop", json={"box": [10, 5, 20]})
        models = client.app.state.registry  # type: ignore[attr-defined]
        *_, last = reconstruct_event(models)(path.rsplit("/", 1)[1], 0.05, "w")
        assert last["session"]["photo"] == "me.png"
        assert last["session"]["offer"] is None
        assert choose(client, path, "alpha")["session"]["offer"] == "me.png"
        assert pixels(client.get(f"{path}/offer.jpg").content).shape == (32, 32, 3)
        assert len(client.post(f"{path}/again").json()["faces"]) == 1
        session = models.store.get(path.rsplit("/", 1)[1])
        assert np.allclose(session.pending.crop.crop_to_photo, [[20 / 32, 0, 10], [0, 20 / 32, 5]])
        *_, last = reconstruct_event(models)(session.id, 0.05, "w")  # a model with alpha reconstructs a photo too
        assert last["session"]["photo"] == "me.png"
        assert last["session"]["offer"] is None


class TestKinds:
    def test_a_class_is_chosen(self, client: TestClient, path: str) -> None:
        about = choose(client, path, "classes")["about"]
        assert about["model"]["classes"] == ["0", "1", "2"]
        frames = set()
        for i in range(3):
            assert client.post(f"{path}/random?seed=5&class_index={i}").json()["ready"]
            frames.add(client.post(f"{path}/frame", json={}).content)
        assert len(frames) == 3
        assert client.post(f"{path}/random?class_index=3").status_code == 422
        choose(client, path, "plain")
        assert client.post(f"{path}/random?class_index=0").status_code == 422

    def test_alpha_is_saved_and_blended_on_the_screen(self, client: TestClient, path: str) -> None:
        choose(client, path, "alpha")
        client.post(f"{path}/random?seed=1")
        saved = Image.open(io.BytesIO(client.get(f"{path}/save/picture.png").content))
        assert saved.mode == "RGBA"
        assert client.post(f"{path}/frame", json={}).headers["content-type"] == "image/jpeg"

    def test_a_placement_moves_the_picture_and_is_undone(self, client: TestClient, path: str) -> None:
        about = choose(client, path, "moving")["about"]
        assert [a["key"] for a in about["model"]["axes"]] == ["position-x", "position-y", "position-turn"]
        client.post(f"{path}/random?seed=1")
        rest = client.post(f"{path}/frame", json={}).content
        dragged = client.post(f"{path}/frame", json={"strengths": {"position-x": 0.25}}).content
        assert np.abs(pixels(rest) - pixels(dragged)).mean() > 1
        latent = latent_from_bytes(client.get(f"{path}/save/face.latent").content)
        state = client.post(f"{path}/change", json={"do": "place", "key": "position-x", "value": 0.25}).json()
        assert state["position"] == {"position-x": 0.25, "position-y": 0.0, "position-turn": 0.0}
        assert client.post(f"{path}/frame", json={}).content == dragged
        again = latent_from_bytes(client.get(f"{path}/save/face.latent").content)
        assert torch.equal(latent.ws, again.ws)  # a latent has no placement
        assert client.post(f"{path}/change", json={"do": "undo"}).json()["position"]["position-x"] == 0
        assert client.post(f"{path}/frame", json={}).content == rest
        for strengths in ({"position-x": 1.5}, {"position-turn": 181}):
            assert client.post(f"{path}/frame", json={"strengths": strengths}).status_code == 422

    def test_a_model_without_an_input_transform_has_no_axes(self, client: TestClient, path: str) -> None:
        assert choose(client, path, "plain")["about"]["model"]["axes"] == []
        client.post(f"{path}/random?seed=1")
        assert client.post(f"{path}/frame", json={"strengths": {"position-x": 0.5}}).status_code == 422

    def test_a_model_without_faces_says_so_and_why_it_has_no_text_prompts(self, client: TestClient, path: str) -> None:
        about = choose(client, path, "grey")["about"]
        assert about["model"]["faces"] is False
        assert about["model"]["points"] == []
        assert about["text_problem"]["kind"] == "MissingPart"


class TestUploads:
    def test_an_uploaded_model_can_be_used(self, client: TestClient, path: str, saved: bytes) -> None:
        key = upload(client, path, saved).json()["model"]
        about = choose(client, path, key)["about"]
        assert about["model"]["name"] == "mine"
        client.post(f"{path}/random?seed=1")
        assert client.post(f"{path}/frame", json={}).status_code == 200
        assert client.get(f"{path}/models").json()["models"][-1]["source"] == "own"
        other = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
        assert key not in client.get(f"{other}/models").text
        assert client.post(f"{other}/model", json={"model": key}).status_code == 422

    @pytest.mark.parametrize("data", [b"", b"hello", b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"PK\x03\x04" + b"\0" * 90])
    def test_a_file_that_is_no_model_is_reported_by_name(self, client: TestClient, path: str, data: bytes) -> None:
        client.post(f"{path}/random?seed=1")
        key = upload(client, path, data, "odd.pkl").json()["model"]
        for _ in range(100):
            answer = client.post(f"{path}/model", json={"model": key})
            if answer.status_code != 200:
                break
            time.sleep(0.05)
        error = answer.json()["error"]
        assert error["kind"] == "BadModel"
        assert "odd.pkl" in error["what"]
        assert client.get(path).json()["ready"]

    def test_no_file_remains_on_the_disk(
        self, client: TestClient, path: str, saved: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        choose(client, path, upload(client, path, saved).json()["model"])
        assert upload(client, path, b"\0" * ((8 << 20) + 1)).status_code == 422
        assert list(tmp_path.iterdir()) == []

    def test_a_file_that_is_too_large_is_refused_before_and_during_the_upload(
        self, client: TestClient, path: str
    ) -> None:
        def endless() -> Iterator[bytes]:  # without a Content-Length
            for _ in range(9):
                yield b"\0" * (1 << 20)

        for body in (b"\0" * ((8 << 20) + 1), endless()):
            answer = client.post(f"{path}/models", content=body)
            assert answer.status_code == 422
            assert "8 MB" in answer.json()["error"]["what"]

    def test_a_model_that_is_gone_is_replaced_by_the_default(self, client: TestClient, path: str, saved: bytes) -> None:
        key = upload(client, path, saved).json()["model"]
        choose(client, path, key)
        client.post(f"{path}/random?seed=1")
        registry = client.app.state.registry  # type: ignore[attr-defined]
        with registry._lock:
            registry._drop(key)
        answer = client.post(f"{path}/frame", json={})
        assert answer.status_code == 422
        assert "upload the file again" in answer.json()["error"]["todo"]
        about = client.get(f"{path}/about").json()
        assert about["problem"]["kind"] == "UnknownModel"
        assert about["session"]["model"] == "plain"
        assert about["about"]["model"]["name"] == "plain"

    def test_they_can_be_disabled(self, saved: bytes) -> None:
        with served_models() as client:
            path = f"/editor/s/{client.post('/editor/sessions').json()['id']}"
            assert client.get(f"{path}/models").json()["max_upload_mb"] == 0
            answer = upload(client, path, saved)
            assert answer.status_code == 422
            assert "does not accept model files" in answer.json()["error"]["what"]
            assert client.post(f"{path}/preparation/stop").status_code == 422  # here all visitors share the model


class TestUploadPermission:
    @pytest.fixture
    def limit(self, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
        for name in ("SPACE_ID", "LATENT_EDITOR_MODEL_UPLOADS", "LATENT_EDITOR_MAX_MODEL_MB", "LATENT_EDITOR_HOST"):
            monkeypatch.delenv(name, raising=False)
        import app

        return lambda *arguments: app.model_limit_mb(app.read_arguments(arguments))

    def test_by_default_only_on_a_local_address(
        self, limit: Callable[..., int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert limit() == 2048
        assert limit("--host", "localhost", "--max-model-mb", "10") == 10
        assert limit("--host", "0.0.0.0") == 0
        assert limit("--host", "0.0.0.0", "--model-uploads") == 2048
        assert limit("--no-model-uploads") == 0
        monkeypatch.setenv("SPACE_ID", "me/it")
        assert limit("--host", "127.0.0.1") == 0
        monkeypatch.setenv("LATENT_EDITOR_MODEL_UPLOADS", "yes")
        assert limit() == 2048


def test_the_progress_of_a_preparation_comes_with_the_model(
    client: TestClient, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = client.app.state.registry.default_service  # type: ignore[attr-defined]
    assert client.get(f"{path}/about").json()["preparing"] is None
    with service.progress:
        assert client.get(f"{path}/about").json()["preparing"] == {
            "fraction": None,
            "seconds": 0,
            "label": "",
            "stopping": False,
        }
        assert client.post(f"{path}/preparation/stop").json()["preparing"]["stopping"]
